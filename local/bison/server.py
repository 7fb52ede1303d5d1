"""Serving the fake: the application, its socket, and the two ways to run it beside a test."""

import asyncio
import json
import secrets
import socket
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from local.bison.api import BisonApi, World
from local.bison.control import BisonControl, BisonControlError
from local.bison.control_api import REFUSED, ControlApi
from local.bison.delivery import ConnectionProtocol
from local.bison.fleet import Fleet, FleetSpec, default_fleet

LATENCY_MS = 187.0
SEED = 1
BACKLOG = 2_048
KEEP_ALIVE_S = 75
STOP_S = 1
REPOSITORY = Path(__file__).resolve().parents[2]

FleetChoice = FleetSpec | Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The JSON line of `python -m local.bison`."""

    base_url: str
    control_url: str
    control_token: str


def application(world: World, control_token: str) -> Starlette:
    routes = [*BisonApi(world).routes(), ControlApi(world).mount(control_token)]
    return Starlette(routes=routes, exception_handlers=REFUSED)


def listener(port: int) -> socket.socket:
    """A loopback socket that queues clients from now on; port 0 takes a free one.

    TCP_NODELAY is set here because asyncio sets it only on sockets made with a protocol number.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(BACKLOG)
    return sock


def address_of(sock: socket.socket) -> Address:
    base_url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    return Address(
        base_url=base_url,
        control_url=f"{base_url}/_control",
        control_token=secrets.token_urlsafe(24),
    )


def server(world: World, control_token: str) -> uvicorn.Server:
    config = uvicorn.Config(
        application(world, control_token),
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
async def running_bison(
    fleet: FleetChoice | None = None, *, latency_ms: float = 0, seed: int = SEED
) -> AsyncIterator[BisonControl]:
    """Serve from a thread of this process: starts in milliseconds, shares the interpreter lock."""
    world = World(Fleet(_spec(fleet), seed), latency_ms)
    with listener(0) as sock:
        address = address_of(sock)
        serving = server(world, address.control_token)
        thread = threading.Thread(target=serving.run, args=([sock],), name="bison")
        thread.start()
        try:
            async with BisonControl.connect(address.base_url, address.control_token) as control:
                try:
                    yield control
                finally:
                    await control.clear_rules()
        finally:
            serving.should_exit = True
            await asyncio.to_thread(thread.join)


@asynccontextmanager
async def spawned_bison(
    fleet: FleetChoice | None = None, *, latency_ms: float = LATENCY_MS, seed: int = SEED
) -> AsyncIterator[BisonControl]:
    """Serve from a process of its own: for the demo and for figures."""
    arguments = ["--fleet", json.dumps(asdict(_spec(fleet))), "--latency-ms", str(latency_ms)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.bison", "--port", "0", "--seed", str(seed), *arguments),
        stdout=PIPE,
        cwd=REPOSITORY,
    )
    try:
        line = await process.stdout.readline() if process.stdout else b""
        if not line:
            raise BisonControlError("the fake did not start: its stderr says why")
        address = Address(**json.loads(line))
        async with BisonControl.connect(address.base_url, address.control_token) as control:
            yield control
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _spec(fleet: FleetChoice | None) -> FleetSpec:
    if fleet is None:
        return default_fleet()
    return fleet if isinstance(fleet, FleetSpec) else FleetSpec(fleet)
