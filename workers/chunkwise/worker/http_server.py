"""An HTTP server inside the running loop, which leaves the signals to the program."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from chunkwise.errors import SettingsError

# Longer than clients keep idle connections: who sends once must not meet one that just closed.
KEEP_ALIVE_SECONDS: Final = 90
FAREWELL_SECONDS: Final = 1


class Listener:
    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._socket = listening
        self._started = asyncio.Event()
        config = uvicorn.Config(
            app,
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
