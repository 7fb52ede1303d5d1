"""One Realtime client on the private topic of hints, from its join until it is of no use."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.types import RealtimeChannelOptions

from chunkwise.errors import UnavailableError
from chunkwise.secret import Secret, foreign

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

TOPIC: Final = "chunkwise:work"
EVENT: Final = "work"
ECHO: Final = "echo"
_CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for connecting and again for joining, for a channel to come back by itself, until
    the look after a hint is repeated, between attempts, until a client is renewed, from a join
    until an echo is expected, and until that has to be heard."""

    answer: int = 10
    trouble: float = 5.0
    look_again: float = 0.5
    retry_first: float = 0.2
    retry_longest: float = 10.0
    renew: float = 82_800.0
    settle: float = 10.0
    echo: float = 5.0


class Subscription:
    """Never mended: the library goes deaf in silence in several ways, and after some of them, such
    as a channel that the server closed, it cannot come back. So its own reconnecting is off, and a
    new client is the answer to every end. No callback may raise."""

    def __init__(
        self,
        client: AsyncRealtimeClient,
        key: Secret,
        patience: Patience,
        on_joined: Callable[[], None],
        on_hint: Callable[[], None],
        on_echo: Callable[[], None],
    ) -> None:
        self._client = client
        self._key = key
        self._patience = patience
        self._on_joined = on_joined
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._trouble = "no answer to the join"
        self._giving_up: asyncio.TimerHandle | None = None
        self._connection: ClientConnection | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._channel = client.channel(TOPIC, _options())
        self._channel.on_broadcast(EVENT, lambda _: on_hint())
        self._channel.on_broadcast(ECHO, lambda _: on_echo())
        # "ok" says that hints flow from now on, which the answer to a join does not.
        self._channel.on_system(lambda _: on_joined())

    @classmethod
    async def open(
        cls,
        url: str,
        key: Secret,
        patience: Patience,
        on_joined: Callable[[], None],
        on_hint: Callable[[], None],
        on_echo: Callable[[], None],
    ) -> Self:
        """Raises UnavailableError, whatever the reason."""
        client = AsyncRealtimeClient(
            f"{url}/realtime/v1", key.reveal(), auto_reconnect=False, timeout=patience.answer
        )
        opened = cls(client, key, patience, on_joined, on_hint, on_echo)
        try:
            await opened._join()
        except BaseException:
            await opened.close()
            raise
        return opened

    async def lost(self, within: float) -> str | None:
        """Why it is of no more use; none if it still is after so many seconds."""
        await asyncio.wait([self._ended], timeout=within)
        return self._ended.result() if self._ended.done() else None

    def give_up(self, reason: str) -> None:
        """Whoever listens found that it is of no use."""
        self._end(reason)

    async def close(self) -> None:
        """Leaves no task, timer or socket behind, even if the server does not answer."""
        self._silence()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._client.close()
        finally:
            for task in self._tasks:
                task.cancel()
            if self._connection is not None:
                self._connection.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.wait_closed()

    def _silence(self) -> None:
        self._stop_giving_up()
        self._channel.subscribe_callback = None
        self._channel.broadcast_callbacks.clear()
        self._channel.system_callbacks.clear()
        self._channel.rejoin_timer.reset()
        self._channel.join_push.destroy()

    async def _join(self) -> None:
        try:
            await self._client.connect()
            self._connection = self._client._ws_connection
            # The library offers no public way to see that these have ended.
            for task in (self._client._listen_task, self._client._heartbeat_task):
                if task is not None:
                    task.add_done_callback(self._task_ended)
                    self._tasks.append(task)
            await self._channel.subscribe(self._state_changed)
        except Exception as error:  # noqa: BLE001 - nothing of the library may stop the worker
            raise UnavailableError(self._said(error)) from None
        if not self._channel.is_joined:
            raise UnavailableError(self._trouble)

    def _state_changed(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state is RealtimeSubscribeStates.SUBSCRIBED:
            self._stop_giving_up()
            self._on_joined()
            return
        self._trouble = state.value if error is None else f"{state.value}: {self._said(error)}"
        if state is RealtimeSubscribeStates.CLOSED:
            self._end(self._trouble)
        elif self._giving_up is None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(self._patience.trouble, self._end, self._trouble)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._end(self._said(error))
        elif self._connection is not None:
            code, reason = self._connection.close_code, self._connection.close_reason
            said = foreign(reason or "", [self._key])
            self._end(f"the connection ended: {code} {said}".rstrip())

    def _stop_giving_up(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _said(self, error: BaseException) -> str:
        """URLs in messages hold the key."""
        return f"{type(error).__name__}: {foreign(str(error), [self._key])}"


def _options() -> RealtimeChannelOptions:
    """A new one per channel: the library writes into it."""
    return {
        "config": {
            "broadcast": {"ack": False, "self": False, "replication_ready": True},
            "presence": {"key": "", "enabled": False},
            "private": True,
        }
    }
