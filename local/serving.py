"""Serving a fake API on the loopback address: its socket, its server, and a thread for it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from local.delivery import ConnectionProtocol

BACKLOG = 2_048
KEEP_ALIVE_S = 75
STOP_S = 1


def listener(port: int = 0) -> socket.socket:
    """A loopback socket that queues clients from now on; port 0 takes a free one.

    TCP_NODELAY is set here because asyncio sets it only on sockets made with a protocol number.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(BACKLOG)
    return sock


def base_url_of(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def server(application: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        application,
        http=ConnectionProtocol,
        access_log=False,
        log_level="warning",
        lifespan="off",
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    return uvicorn.Server(config)


@asynccontextmanager
async def served(application: Starlette, sock: socket.socket, name: str) -> AsyncIterator[None]:
    """Serve from a thread of this process: starts in milliseconds, shares the interpreter lock."""
    serving = server(application)
    thread = threading.Thread(target=serving.run, args=([sock],), name=name)
    thread.start()
    try:
        yield
    finally:
        serving.should_exit = True
        await asyncio.to_thread(thread.join)
