"""The server's HTTP side: the socket that clients open, and the controls of tests."""

import asyncio
import logging
import os
import socket
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from local.realtime.connection import Connection
from local.realtime.hub import Hub
from local.realtime.limits import Faults, Settings
from local.realtime.tokens import TokenError, check
from local.realtime.wire import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STOP_SECONDS = 1
EXPIRED = "Token has expired 0 seconds ago"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients connect; the gateway has turned their key into a token."""

    hub: Hub

    async def connect(self, client: WebSocket) -> None:
        if not self.hub.settings.sockets_accepted:
            await _refuse(client, HTTPStatus.SERVICE_UNAVAILABLE, "Realtime was disabled")
            return
        serializer = VERSIONS.get(client.query_params.get("vsn", "1.0.0"))
        if serializer is None:
            await _refuse(client, HTTPStatus.FORBIDDEN, "unknown protocol version")
            return
        try:
            token = check(client.headers.get("x-api-key", ""), self.hub.jwt_secret)
        except TokenError as error:
            await _refuse(client, HTTPStatus.UNAUTHORIZED, str(error))
            return
        await Connection(self.hub, client, serializer, token).run()


@dataclass(frozen=True, slots=True)
class Controls:
    """What `local.realtime.control` calls; the gateway does not lead here."""

    hub: Hub

    def routes(self) -> list[Route]:
        handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "settings": self.change_settings,
            "faults": self.set_faults,
            "release": self.release,
            "close": self.close_sockets,
            "crash": self.crash_channels,
            "expire": self.expire_tokens,
            "reset": self.reset,
            "wait": self.wait,
        }
        return [
            Route(f"/control/{name}", handler, methods=["POST"])
            for name, handler in handlers.items()
        ]

    async def change_settings(self, request: Request) -> Response:
        changed: Settings = replace(self.hub.settings, **await request.json())
        self.hub.settings = changed
        self.hub.tell_replication()
        return self._counts()

    async def set_faults(self, request: Request) -> Response:
        self.hub.faults = Faults(**await request.json())
        return self._counts()

    async def release(self, _request: Request) -> Response:
        self.hub.release()
        return self._counts()

    async def close_sockets(self, request: Request) -> Response:
        code = int((await request.json())["code"])
        for connection in self.hub.connections:
            connection.close(code)
        return self._counts()

    async def crash_channels(self, _request: Request) -> Response:
        for channel in self.hub.channels():
            channel.end("phx_error")
        return self._counts()

    async def expire_tokens(self, _request: Request) -> Response:
        for channel in self.hub.channels():
            channel.shut(EXPIRED)
        return self._counts()

    async def reset(self, _request: Request) -> Response:
        await self.hub.reset()
        return self._counts()

    async def wait(self, request: Request) -> Response:
        await self.hub.wait_until(await request.json())
        return self._counts()

    def _counts(self) -> Response:
        return JSONResponse(asdict(self.hub.counts))


def application(hub: Hub) -> Starlette:
    return Starlette(
        routes=[
            WebSocketRoute("/socket/websocket", Endpoint(hub).connect),
            *Controls(hub).routes(),
        ]
    )


async def _refuse(client: WebSocket, status: HTTPStatus, reason: str) -> None:
    await client.send_denial_response(JSONResponse({"error": reason}, status))


def serve(listener: socket.socket) -> None:
    """Serve until SIGTERM, with the settings in the environment."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    hub = Hub(os.environ["REALTIME_DATABASE"], os.environ["REALTIME_JWT_SECRET"])
    config = uvicorn.Config(
        application(hub),
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        ws_max_size=16 * 1024 * 1024,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))
