"""All that is connected to one database, and how a message finds its channels."""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Protocol

from local.realtime.database import Follower, Policies, Stored
from local.realtime.limits import Counts, Faults, Meter, Settings
from local.realtime.wire import Broadcast

GOING_AWAY = 1001

log = logging.getLogger("realtime")


class Member(Protocol):
    """A client's channel, as far as the hub knows it."""

    @property
    def name(self) -> str: ...
    @property
    def private(self) -> bool: ...
    def push_broadcast(self, broadcast: Broadcast) -> None: ...
    def tell_replication(self) -> None: ...
    def leave(self) -> None: ...
    def shut(self, reason: str) -> None: ...
    def end(self, event: str) -> None: ...


class Client(Protocol):
    """A client's connection, as far as the hub knows it."""

    @property
    def channels(self) -> Mapping[str, Member]: ...
    def close(self, code: int) -> None: ...


@dataclass(slots=True, eq=False)
class Hub:
    """Public and private channels of one name are strangers, as on hosted."""

    dsn: str
    jwt_secret: str
    settings: Settings = field(default_factory=Settings)
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
    connections: set[Client] = field(default_factory=set)
    policies: Policies = field(init=False)
    _members: dict[tuple[str, bool], set[Member]] = field(init=False)
    _messages: Meter | None = None
    _joins: Meter | None = None
    _follower: Follower = field(init=False)
    _following: asyncio.Task[None] | None = None
    _waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = field(default_factory=list)
    _late: dict[asyncio.TimerHandle, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.policies = Policies(self.dsn)
        self._members = defaultdict(set)
        self._follower = Follower(self.dsn, self.receive, self._follows)

    def connected(self, connection: Client) -> None:
        self.connections.add(connection)
        self.count("sockets_opened", sockets=1)

    async def disconnected(self, connection: Client) -> None:
        """Forget it; nothing stays open for nobody."""
        self.connections.discard(connection)
        for channel in list(connection.channels.values()):
            channel.leave()
        self.count(sockets=-1)
        if not self.connections:
            await self.rest()

    async def rest(self) -> None:
        """Close the connections to the database."""
        if self._following is not None:
            following, self._following = self._following, None
            following.cancel()
            await asyncio.wait([following])
        await self.policies.close()
        self.count("rests")

    async def prepare(self) -> None:
        """At a join: make partitions, and begin to follow the database, for which the join does not
        wait. Raises DatabaseError."""
        await self.policies.make_partitions()
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follower.run())

    @property
    def is_following(self) -> bool:
        return self.settings.follows_database and self._follower.is_ready.is_set()

    def _follows(self, does: bool) -> None:
        if not does:
            self.count(following=-1)
            return
        self.count("follows", following=1)
        self.tell_replication()

    def tell_replication(self) -> None:
        for channel in self.channels():
            channel.tell_replication()

    def admit(self, channel: Member) -> None:
        self._members[channel.name, channel.private].add(channel)
        self.count("joins", channels=1)

    def dismiss(self, channel: Member) -> None:
        members = self._members[channel.name, channel.private]
        members.discard(channel)
        if not members:
            del self._members[channel.name, channel.private]
        self.count(channels=-1)

    def receive(self, stored: Stored) -> None:
        """A message has been committed. Too large or too many: dropped with a line in the log."""
        if not self.settings.follows_database:
            self.count("messages_unheard")
            return
        self.count("messages_followed")
        is_too_large = len(stored.payload.encode()) > self.settings.payload_bytes
        if is_too_large or self.is_over_limit():
            log.error("UnableToBroadcastChanges: %s", "payload" if is_too_large else "rate")
            self.count("messages_dropped")
            return
        delays = self.faults.delays()
        if not delays:
            self.count("messages_dropped")
        broadcast = Broadcast(stored.event, json.loads(stored.payload), stored.id)
        for delay in delays:
            deliver = partial(self.deliver, stored.topic, stored.private, broadcast)
            if delay:
                self._delay(delay, deliver)
            else:
                deliver()

    def _delay(self, seconds: float, deliver: Callable[[], None]) -> None:
        def end() -> None:
            del self._late[timer]
            deliver()

        timer = asyncio.get_running_loop().call_later(seconds, end)
        self._late[timer] = deliver

    def release(self) -> None:
        """Deliver at once what is delayed, in the order in which it came."""
        late, self._late = self._late, {}
        for timer, deliver in late.items():
            timer.cancel()
            deliver()

    def deliver(
        self, name: str, private: bool, broadcast: Broadcast, without: Member | None = None
    ) -> None:
        """Push to every member but one; a member who meets the rate limit is shut out."""
        for channel in list(self._members.get((name, private), ())):
            if channel is without:
                continue
            channel.push_broadcast(broadcast)
            self.count("messages_delivered")
            if self.is_over_limit():
                channel.shut("Too many messages per second")

    def is_over_limit(self) -> bool:
        """Count a message; whether that was one too many."""
        now = asyncio.get_running_loop().time()
        self._messages = self._messages or Meter(now)
        return self._messages.add(now) > self.settings.messages_per_second

    def is_over_join_limit(self) -> bool:
        """Count a join; whether that was one too many."""
        now = asyncio.get_running_loop().time()
        self._joins = self._joins or Meter(now)
        return self._joins.add(now) > self.settings.joins_per_second

    def count(self, *names: str, **changes: int) -> None:
        """Add one to each name, and each change; wake who waits for it."""
        for name, change in [*((name, 1) for name in names), *changes.items()]:
            setattr(self.counts, name, getattr(self.counts, name) + change)
        for is_true, waiter in self._waiting:
            if is_true() and not waiter.done():
                waiter.set_result(None)

    async def wait_until(self, at_least: Mapping[str, int]) -> None:
        """Return when every named count has been reached."""

        def is_true() -> bool:
            reached = asdict(self.counts)
            return all(reached[name] >= number for name, number in at_least.items())

        await self._wait(is_true)

    async def reset(self) -> None:
        """Close every socket and be as after the start."""
        for connection in self.connections:
            connection.close(GOING_AWAY)
        await self._wait(lambda: not self.connections and self._following is None)
        self.settings, self.faults, self.counts = Settings(), Faults(), Counts()
        self._messages = self._joins = None

    async def _wait(self, is_true: Callable[[], bool]) -> None:
        entry = (is_true, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            self.count()
            await entry[1]
        finally:
            self._waiting.remove(entry)

    def channels(self) -> list[Member]:
        return [channel for members in self._members.values() for channel in members]
