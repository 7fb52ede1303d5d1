"""An HTTP server inside the running loop, which leaves the signals to the program."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, TypeGuard

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from chunkwise.errors import SettingsError

# Longer than clients keep idle connections: who sends once must not meet one that just closed.
KEEP_ALIVE_SECONDS: Final = 90
FAREWELL_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """`request_seconds`: from a connection's, or a later request's, first byte to the request's
    last; `head_bytes`: of the request line and headers together."""

    connections: int = 200
    request_seconds: float = 10
    head_bytes: int = 16_384


DEFAULT_LIMITS: Final = Limits()


class Listener:
    def __init__(
        self, app: ASGIApp, listening: socket.socket, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._socket = listening
        self._started = asyncio.Event()
        config = uvicorn.Config(
            app,
            http=_protocol_with(limits),
            h11_max_incomplete_event_size=limits.head_bytes,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=FAREWELL_SECONDS,
        )
        self._server = _Server(config, self._started)

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def serve(self) -> None:
        """Returns some time after `close`."""
        await self._server.serve(sockets=[self._socket])

    async def started(self) -> None:
        await self._started.wait()

    def close(self) -> None:
        """Accept no more; answers under way are still given."""
        self._server.should_exit = True


def _protocol_with(limits: Limits) -> type[asyncio.Protocol]:
    return type("Protocol", (_Protocol,), {"limits": limits})


class _Protocol(H11Protocol):
    """uvicorn's own, which limits neither connections nor how long a request takes to arrive."""

    limits: ClassVar[Limits]
    _opened_at: float = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._opened_at = self.loop.time()
        self._set_deadline()
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lift_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            # It is answered; nobody reads the rest.
            self.transport.close()
        self._watch()

    def _watch(self) -> None:
        """A deadline holds while a request is arriving; between requests keep-alive ends it."""
        if self._is_arriving():
            self._set_deadline()
        else:
            self._lift_deadline()

    def _is_arriving(self) -> bool:
        state = self.conn.their_state
        return state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))

    def _set_deadline(self) -> None:
        if self._deadline is None:
            seconds = self.limits.request_seconds
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _lift_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _make_room(self) -> None:
        """The oldest connection goes that has nothing to be answered: who sends at once, as pg_net
        does, is never it."""
        idle = [other for other in self.connections if _is_idle(other) and other is not self]
        leaves = min(idle, key=lambda other: other._opened_at, default=self)
        leaves.transport.abort()


def _is_idle(connection: object) -> TypeGuard[_Protocol]:
    if not isinstance(connection, _Protocol) or connection.transport.is_closing():
        return False
    return connection.cycle is None or connection.cycle.response_complete


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: asyncio.Event) -> None:
        super().__init__(config)
        self._told = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._told.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_on(address: str, setting: str = "--listen") -> socket.socket:
    """A bound socket for HOST:PORT; port 0 takes any. Raises SettingsError."""
    hint = f"Give {setting} as HOST:PORT, for instance 0.0.0.0:8080."
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{address!r} is no address to listen on", hint)
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {address}: {error}", hint) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it; without it every small answer waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(name)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {address}: {error}", hint) from None
    return listener
