"""What the server asks of its database: policies, partitions, and the messages as they commit."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import asyncpg

from local.realtime.tokens import Token

NOTIFICATIONS = "realtime_messages"
PARTITION_DAYS = range(-1, 4)
CONNECT_SECONDS = 5
RECONNECT_SECONDS = 0.2
UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError,
               asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError,
               asyncpg.InvalidCatalogNameError)  # fmt: skip

PROBE = "insert into realtime.messages (id, topic, extension) values ($1, $2, 'broadcast')"
ACT_AS = """
select set_config('role', $1, true), set_config('realtime.topic', $2, true),
  set_config('request.jwt.claims', $3, true), set_config('request.jwt.claim.sub', $4, true),
  set_config('request.jwt.claim.role', $1, true), set_config('request.headers', '{}', true)
"""
STORED = "select topic, event, private, payload::text from realtime.messages where id = $1"


class DatabaseError(Exception):
    """The database did not answer the question; `code` as hosted names the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stored:
    """A committed row of `realtime.messages`; `payload` is JSON."""

    id: str
    topic: str
    event: str
    private: bool
    payload: str


@dataclass(slots=True)
class Policies:
    """Asks, as the token's role and in a transaction that is rolled back, what it may do."""

    dsn: str
    _connection: asyncpg.Connection | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _partitions_made_on: date | None = None

    async def make_partitions(self) -> None:
        """From yesterday to three days ahead. Raises DatabaseError."""
        today = datetime.now(UTC).date()
        async with self._asking() as connection:
            if self._partitions_made_on == today:
                return
            for day in (today + timedelta(days) for days in PARTITION_DAYS):
                name = f"realtime.messages_{day:%Y_%m_%d}"
                if await connection.fetchval("select to_regclass($1)", name) is None:
                    await connection.execute(
                        f"create table {name} partition of realtime.messages "
                        f"for values from ('{day}') to ('{day + timedelta(1)}'); "
                        f"alter table {name} owner to supabase_realtime_admin"
                    )
            self._partitions_made_on = today

    async def may_read(self, token: Token, topic: str) -> bool:
        """Whether the role sees a message of the topic. Raises DatabaseError."""
        async with self._rolled_back() as connection:
            probe = uuid.uuid4()
            await connection.execute(PROBE, probe, topic)
            await _act_as(connection, token, topic)
            seen = "select exists (select from realtime.messages where id = $1)"
            return bool(await connection.fetchval(seen, probe))

    async def may_write(self, token: Token, topic: str) -> bool:
        """Whether the role may insert a message of the topic. Raises DatabaseError."""
        async with self._rolled_back() as connection:
            await _act_as(connection, token, topic)
            try:
                await connection.execute(PROBE, uuid.uuid4(), topic)
            except asyncpg.InsufficientPrivilegeError:
                return False
            return True

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(TimeoutError):
                await connection.close(timeout=1)

    @asynccontextmanager
    async def _rolled_back(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._asking() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            finally:
                if not connection.is_closed():
                    await transaction.rollback()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._turn:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self.dsn)
                yield self._connection
            except UNREACHABLE as error:
                text = "Realtime was unable to connect to the project database"
                raise DatabaseError("UnableToConnectToProject", text) from error
            except asyncpg.CheckViolationError as error:
                text = "Realtime was unable to find the expected messages partition"
                raise DatabaseError("MissingPartition", text) from error
            except asyncpg.PostgresError as error:
                raise DatabaseError("RlsPolicyError", str(error)) from error


@dataclass(slots=True)
class Follower:
    """Hands over every message that commits while it runs; what commits in a gap is lost."""

    dsn: str
    hand_over: Callable[[Stored], None]
    say_whether: Callable[[bool], None]
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except UNREACHABLE:
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self) -> None:
        connection = await connect(self.dsn)
        arrived: asyncio.Queue[str | None] = asyncio.Queue()
        connection.add_termination_listener(lambda _: arrived.put_nowait(None))
        try:
            await connection.add_listener(
                NOTIFICATIONS, lambda *notice: arrived.put_nowait(notice[-1])
            )
            self.is_ready.set()
            self.say_whether(True)
            while (message_id := await arrived.get()) is not None:
                row = await connection.fetchrow(STORED, message_id)
                if row is not None and row["event"] is not None and row["payload"] is not None:
                    self.hand_over(Stored(message_id, **row))
        finally:
            if self.is_ready.is_set():
                self.is_ready.clear()
                self.say_whether(False)
            connection.terminate()


async def connect(dsn: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_SECONDS,
        server_settings={"application_name": "realtime", "statement_timeout": "5000"},
    )


async def _act_as(connection: asyncpg.Connection, token: Token, topic: str) -> None:
    claims = json.dumps(token.claims)
    await connection.fetchrow(ACT_AS, token.role, topic, claims, str(token.claims.get("sub", "")))
