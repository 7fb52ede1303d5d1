"""The gateway of a local stack: what stands before PostgREST on a hosted project.

It turns the `apikey` of a request into the token of a role and passes everything else through.
Run by `local.api` as a process of its own, with its settings in the environment.
"""

import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

REST_PREFIX = "/rest/v1"
METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]
BROWSER = re.compile(rb"^Mozilla/", re.IGNORECASE)
# Headers of one connection, and those that the gateway itself writes.
NOT_FORWARDED = frozenset(
    {b"host", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer"}
    | {b"apikey", b"authorization"}
)
NOT_RETURNED = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"server", b"date"}
)
# Hosted ends a request after 60 s.
TIMEOUT = {"connect": 60.0, "read": 60.0, "write": 60.0, "pool": 60.0}


class RefusedError(Exception):
    """The request has no right to pass; carries the body of the 401."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.body = {"message": message, "hint": hint}


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """Who may pass as whom."""

    publishable_key: str
    secret_key: str
    anon_token: str
    service_token: str

    def authorization(self, request: Request) -> str:
        """The `Authorization` that PostgREST gets; raises RefusedError."""
        key = request.headers.get("apikey") or request.query_params.get("apikey")
        if not key:
            raise RefusedError(
                "No API key found in request", "No `apikey` request header or url param was found."
            )
        token = self._role_token(key, request)
        bearer = request.headers.get("authorization", "")
        if bearer and bearer.removeprefix("Bearer ").strip() != key:
            return bearer
        return f"Bearer {token}"

    def _role_token(self, key: str, request: Request) -> str:
        if key == self.publishable_key:
            return self.anon_token
        if key != self.secret_key:
            raise RefusedError(
                "Invalid API key",
                "Double check your Supabase `anon` or `service_role` API key.",
            )
        if BROWSER.match(request.headers.get("user-agent", "").encode()):
            raise RefusedError(
                "Forbidden use of secret API key in browser",
                "Secret API keys can only be used in a protected environment.",
            )
        return self.service_token


@dataclass(frozen=True, slots=True)
class RestProxy:
    """Passes a request on to PostgREST. httpcore, because httpx would cost twice the time."""

    door: Door
    postgrest: httpcore.AsyncConnectionPool

    async def forward(self, request: Request) -> Response:
        headers = [pair for pair in request.headers.raw if pair[0] not in NOT_FORWARDED]
        headers.append((b"host", b"postgrest"))
        if request.method != "OPTIONS":
            try:
                headers.append((b"authorization", self.door.authorization(request).encode()))
            except RefusedError as refusal:
                return JSONResponse(refusal.body, status_code=401)
        url = httpcore.URL(
            scheme=b"http", host=b"postgrest", port=80, target=_path_behind_the_prefix(request)
        )
        try:
            answer = await self.postgrest.request(
                request.method,
                url,
                headers=headers,
                content=await request.body(),
                extensions={"timeout": TIMEOUT},
            )
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            message = f"PostgREST does not answer: {type(error).__name__}"
            return JSONResponse({"message": message}, status_code=503)
        response = Response(answer.content, answer.status)
        response.raw_headers += [pair for pair in answer.headers if _is_returned(pair[0])]
        return response


def _is_returned(name: bytes) -> bool:
    return name.lower() not in NOT_RETURNED


def _path_behind_the_prefix(request: Request) -> bytes:
    path = request.scope["raw_path"].removeprefix(REST_PREFIX.encode()) or b"/"
    query = request.scope["query_string"]
    if b"apikey=" in query:
        pairs = [pair for pair in query.split(b"&") if not pair.startswith(b"apikey=")]
        query = b"&".join(pairs)
    return bytes(path + b"?" + query if query else path)


def create_app(door: Door, postgrest_socket: str) -> Starlette:
    pool = httpcore.AsyncConnectionPool(
        uds=postgrest_socket, max_connections=64, max_keepalive_connections=64
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    routes = [Route(REST_PREFIX + "/{path:path}", RestProxy(door, pool).forward, methods=METHODS)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    environment = os.environ
    door = Door(
        publishable_key=environment["GATEWAY_PUBLISHABLE_KEY"],
        secret_key=environment["GATEWAY_SECRET_KEY"],
        anon_token=environment["GATEWAY_ANON_TOKEN"],
        service_token=environment["GATEWAY_SERVICE_TOKEN"],
    )
    config = uvicorn.Config(
        create_app(door, environment["GATEWAY_POSTGREST_SOCKET"]),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    listener = socket.socket(fileno=int(environment["GATEWAY_SOCKET_FD"]))
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
