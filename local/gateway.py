"""The gateway of a local stack: what stands before PostgREST on a hosted project.

It turns the `apikey` of a request into the token of a role and passes everything else through.
Run by `local.api` as a process of its own, with its settings in the environment.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
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
NOT_RETURNED = frozenset({"connection", "keep-alive", "transfer-encoding", "server", "date"})


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
    """Passes a request on to PostgREST."""

    door: Door
    postgrest: httpx.AsyncClient

    async def forward(self, request: Request) -> Response:
        headers = [pair for pair in request.headers.raw if pair[0] not in NOT_FORWARDED]
        if request.method != "OPTIONS":
            try:
                headers.append((b"authorization", self.door.authorization(request).encode()))
            except RefusedError as refusal:
                return JSONResponse(refusal.body, status_code=401)
        url = httpx.URL(
            scheme="http",
            host="postgrest",
            raw_path=_path_behind_the_prefix(request),
        )
        try:
            answer = await self.postgrest.request(
                request.method, url, headers=headers, content=await request.body()
            )
        except httpx.TransportError as error:
            message = f"PostgREST does not answer: {type(error).__name__}"
            return JSONResponse({"message": message}, status_code=503)
        kept = [(name, value) for name, value in answer.headers.multi_items()
                if name not in NOT_RETURNED]  # fmt: skip
        response = Response(answer.content, status_code=answer.status_code)
        response.raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in kept]
        return response


def _path_behind_the_prefix(request: Request) -> bytes:
    path = request.scope["raw_path"].removeprefix(REST_PREFIX.encode()) or b"/"
    query = request.scope["query_string"]
    if b"apikey=" in query:
        pairs = [pair for pair in query.split(b"&") if not pair.startswith(b"apikey=")]
        query = b"&".join(pairs)
    return bytes(path + b"?" + query if query else path)


def create_app(door: Door, postgrest_socket: str) -> Starlette:
    transport = httpx.AsyncHTTPTransport(
        uds=postgrest_socket, limits=httpx.Limits(max_connections=64, max_keepalive_connections=64)
    )
    # Hosted ends a request after 60 s; waiting for a free connection counts towards it.
    client = httpx.AsyncClient(transport=transport, timeout=60.0, trust_env=False)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    routes = [Route(REST_PREFIX + "/{path:path}", RestProxy(door, client).forward, methods=METHODS)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    environment = os.environ
    door = Door(
        publishable_key=environment["GATEWAY_PUBLISHABLE_KEY"],
        secret_key=environment["GATEWAY_SECRET_KEY"],
        anon_token=environment["GATEWAY_ANON_TOKEN"],
        service_token=environment["GATEWAY_SERVICE_TOKEN"],
    )
    uvicorn.run(
        create_app(door, environment["GATEWAY_POSTGREST_SOCKET"]),
        fd=int(environment["GATEWAY_SOCKET_FD"]),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
