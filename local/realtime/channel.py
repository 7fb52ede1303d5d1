"""A client's membership in a topic: from an accepted join until it leaves or is shut out."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from local.realtime.database import DatabaseError
from local.realtime.hub import Hub
from local.realtime.tokens import Token, TokenError, check, refuse_expired
from local.realtime.wire import Broadcast, Message

NO_REPLICATION = "Replication connection was not established in time"
NO_READING = "You do not have permissions to read from this Channel topic: {}"


class Client(Protocol):
    """A client's connection, as far as its channels know it."""

    hub: Hub
    is_keyed: bool
    channels: dict[str, "Channel"]

    def push(self, message: Message) -> None: ...
    def push_broadcast(self, topic: str, broadcast: Broadcast) -> None: ...
    def reply(self, to: Message, status: str, response: dict[str, Any]) -> None: ...


@dataclass(slots=True, eq=False)
class Channel:
    """`topic` is `realtime:` and the name; `may_write` is asked at the first own broadcast."""

    connection: Client
    topic: str
    name: str
    private: bool
    join_ref: str | None
    token: Token
    acknowledges: bool
    hears_itself: bool
    awaits_replication: bool
    may_write: bool | None = None
    is_open: bool = False
    _token_check: asyncio.TimerHandle | None = None
    _patience: asyncio.TimerHandle | None = None

    def enter(self) -> None:
        """Become a member."""
        self.is_open = True
        self.connection.channels[self.topic] = self
        self.connection.hub.admit(self)
        self._plan_token_check()
        if self.awaits_replication:
            seconds = self.connection.hub.settings.replication_ready_seconds
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(seconds, self.shut, NO_REPLICATION)
            self.tell_replication()

    def leave(self) -> None:
        """Be a member no more, without a word to the client."""
        if not self.is_open:
            return
        self.is_open = False
        for timer in (self._token_check, self._patience):
            if timer is not None:
                timer.cancel()
        if self.connection.channels.get(self.topic) is self:
            del self.connection.channels[self.topic]
        self.connection.hub.dismiss(self)

    def shut(self, reason: str) -> None:
        """End it with a system error and `phx_close`: the official clients never rejoin."""
        if self.is_open:
            self.push_system("system", "error", reason)
            self.connection.hub.count("channels_shut")
            self.end("phx_close")

    def end(self, event: str) -> None:
        """End it with `phx_close`, or with `phx_error` as when its process has crashed."""
        if self.is_open:
            self.leave()
            self._push(event, {}, self.join_ref)

    def push_system(self, extension: str, status: str, message: str) -> None:
        self._push(
            "system",
            {"extension": extension, "status": status, "message": message, "channel": self.name},
        )

    def tell_replication(self) -> None:
        """Say, once and to who asked, that messages of the database flow."""
        if self._patience is not None and self.connection.hub.is_following:
            self._patience.cancel()
            self._patience = None
            self.push_system("system", "ok", "Replication connection established")
            self.connection.hub.count("channels_ready")

    def push_broadcast(self, broadcast: Broadcast) -> None:
        self.connection.push_broadcast(self.topic, broadcast)

    async def take(self, message: Message) -> None:
        """A message of the client's to its channel."""
        if message.event == "phx_leave":
            self.connection.reply(message, "ok", {})
            self.end("phx_close")
        elif message.event == "access_token":
            await self._change_token(message.payload.get("access_token"))
        elif message.event == "broadcast":
            await self._broadcast(message)
        elif message.event == "presence":
            self.connection.reply(message, "error", {"reason": "presence is not served here"})

    async def _change_token(self, text: object) -> None:
        if not isinstance(text, str) or text.startswith("sb_") or text == self.token.text:
            return
        hub = self.connection.hub
        try:
            token = check(text, hub.jwt_secret)
            if self.private and not await hub.policies.may_read(token, self.name):
                self.shut(NO_READING.format(self.name))
                return
        except (TokenError, DatabaseError) as error:
            self.shut(str(error))
            return
        self.token = token
        self.may_write = None
        self.connection.is_keyed = False
        self._plan_token_check()

    async def _broadcast(self, message: Message) -> None:
        hub = self.connection.hub
        if self.private and self.may_write is None:
            try:
                self.may_write = await hub.policies.may_write(self.token, self.name)
            except DatabaseError:
                return
        if self.private and not self.may_write:
            return
        broadcast = Broadcast(str(message.payload.get("event")), message.payload.get("payload"))
        hub.deliver(self.name, self.private, broadcast, without=None if self.hears_itself else self)
        if self.acknowledges:
            self.connection.reply(message, "ok", {})

    def _plan_token_check(self) -> None:
        if self._token_check is not None:
            self._token_check.cancel()
        interval = self.connection.hub.settings.token_check_seconds
        self._token_check = asyncio.get_running_loop().call_later(
            min(interval, self.token.seconds_left), self._check_token
        )

    def _check_token(self) -> None:
        try:
            refuse_expired(self.token)
        except TokenError as error:
            self.shut(str(error))
        else:
            self._plan_token_check()

    def _push(self, event: str, payload: dict[str, Any], ref: str | None = None) -> None:
        self.connection.push(Message(self.topic, event, payload, ref, self.join_ref))
