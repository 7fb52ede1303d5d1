"""A hosted project's limits, settable so that a test reaches them, and what tests may break."""

from collections import deque
from dataclasses import dataclass, field

METER_SECONDS = 60.0


@dataclass(slots=True)
class Settings:
    """The values are those of the free plan, but a refused join is answered at once."""

    messages_per_second: int = 100
    joins_per_second: int = 100
    channels_per_socket: int = 100
    payload_bytes: int = 256 * 1024
    keyed_socket_seconds: float = 24 * 3600.0
    token_check_seconds: float = 300.0
    silence_seconds: float = 60.0
    # How long a channel that asked for word of replication waits for it before it is shut.
    replication_ready_seconds: float = 60.0
    # Hosted makes the client of a refused join wait 5 s.
    refusal_pause_seconds: float = 0.0
    public_channels: bool = True
    # From here on only tests change a value: refuse or ignore joins, refuse sockets, hear nothing
    # of the database, as while hosted makes its replication slot.
    join_refusal: str = ""
    joins_answered: bool = True
    sockets_accepted: bool = True
    follows_database: bool = True


@dataclass(slots=True)
class Faults:
    """What happens to the next messages from the database: first drops, then doubles, delays."""

    drop: int = 0
    double: int = 0
    delay: int = 0
    delay_seconds: float = 0.0

    def delays(self) -> list[float]:
        """When to deliver the next message: once per element, after so many seconds."""
        if self.drop:
            self.drop -= 1
            return []
        if self.double:
            self.double -= 1
            return [0.0, 0.0]
        if self.delay:
            self.delay -= 1
            return [self.delay_seconds]
        return [0.0]


@dataclass(slots=True)
class Meter:
    """The rate of messages as hosted takes it: the mean of the last minute, less at the start."""

    started_at: float
    _times: deque[float] = field(default_factory=deque)

    def add(self, now: float) -> float:
        """Count a message; returns messages per second."""
        self._times.append(now)
        while self._times[0] <= now - METER_SECONDS:
            self._times.popleft()
        return len(self._times) / min(max(now - self.started_at, 1.0), METER_SECONDS)


@dataclass(slots=True)
class Counts:
    """Since the server started; `sockets` and `channels` are those open now, and it is `following`
    the database or not. It `follows` it once per connection for it, and rests without one when the
    last socket has closed.
    `channels_ready`: were told that messages flow, as they had asked."""

    sockets: int = 0
    channels: int = 0
    sockets_opened: int = 0
    joins: int = 0
    joins_refused: int = 0
    follows: int = 0
    following: int = 0
    rests: int = 0
    messages_followed: int = 0
    messages_unheard: int = 0
    messages_dropped: int = 0
    messages_delivered: int = 0
    channels_ready: int = 0
    channels_shut: int = 0
