"""Serving the fake: the application, its socket, and the two ways to run it beside a test."""

import asyncio
import json
import secrets
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.applications import Starlette

from local.bison.api import BisonApi, World
from local.bison.control import BisonControl, BisonControlError
from local.bison.control_api import REFUSED, ControlApi
from local.bison.fleet import Fleet, FleetSpec, default_fleet
from local.serving import base_url_of, listener, served

LATENCY_MS = 187.0
SEED = 1
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


def address_of(sock: socket.socket) -> Address:
    base_url = base_url_of(sock)
    return Address(
        base_url=base_url,
        control_url=f"{base_url}/_control",
        control_token=secrets.token_urlsafe(24),
    )


@asynccontextmanager
async def running_bison(
    fleet: FleetChoice | None = None, *, latency_ms: float = 0, seed: int = SEED
) -> AsyncIterator[BisonControl]:
    """Serve from a thread of this process: starts in milliseconds, shares the interpreter lock."""
    world = World(Fleet(_spec(fleet), seed), latency_ms)
    with listener() as sock:
        address = address_of(sock)
        async with (
            served(application(world, address.control_token), sock, "bison"),
            BisonControl.connect(address.base_url, address.control_token) as control,
        ):
            try:
                yield control
            finally:
                await control.clear_rules()


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
