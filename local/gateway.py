"""The gateway of a local stack: what stands before PostgREST, Realtime and Auth when hosted.

It turns the `apikey` of a request into the token of a role. Everything else passes as bytes: each
caller's connection has one to PostgREST of its own. (A proxy of starlette and httpx took 2 ms of
processor time per call, more than the call itself.)

Run by `local.api` as a process of its own, with its settings in the environment.
"""

import asyncio
import json
import os
import signal
import socket
from dataclasses import replace
from http import HTTPStatus
from typing import cast

import httptools
import uvloop

from local.auth import Auth, AuthRequest, query_of
from local.door import Door, RefusedError
from local.tunnel import Tunnel

REST_PREFIX = b"/rest/v1"
REALTIME_PREFIX = b"/realtime/v1"
AUTH_PREFIX = b"/auth/v1"


class Backend(asyncio.Protocol):
    """A connection to PostgREST: hands every byte to its caller, and notes where answers end."""

    def __init__(self, caller: "Caller") -> None:
        self._caller = caller
        self._parser = httptools.HttpResponseParser(self)
        self.is_waited_for = False
        self.is_asked_for_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._caller.pass_answer(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._caller.backend_lost(self)

    # What httptools calls while it reads an answer.

    def on_headers_complete(self) -> None:
        # PostgREST ends the connection after the answer to HEAD without saying so.
        if self.is_asked_for_head:
            self.is_waited_for = False
            self._caller.drop_backend()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= HTTPStatus.OK:
            self.is_waited_for = False
            self._caller.answered()


class Caller(asyncio.Protocol):
    """A caller's connection: rewrites the head of each request and forwards its body."""

    def __init__(self, door: Door, auth: Auth, backend_socket: str, realtime_socket: str) -> None:
        self._door = door
        self._auth = auth
        self._backend_socket = backend_socket
        self._realtime_socket = realtime_socket
        self._parser = httptools.HttpRequestParser(self)
        self._backend: Backend | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._unsent = bytearray()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._is_chunked = False
        self._is_whole = True
        self._is_answered = False
        self._socket_head = b""
        self._for_auth: AuthRequest | None = None
        self._authenticating: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._open_tunnel(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._answer(RefusedError(HTTPStatus.BAD_REQUEST, message="not a request"))
            self._transport.close()

    def _open_tunnel(self, further: bytes) -> None:
        """Hand the connection over to Realtime; a refused caller has had an answer."""
        if self._is_answered:
            self._transport.close()
        else:
            self.drop_backend()
            Tunnel(self._transport, self._socket_head + further).open(self._realtime_socket)

    def connection_lost(self, _error: Exception | None) -> None:
        for task in (self._connecting, self._authenticating):
            if task is not None:
                task.cancel()
        self.drop_backend()

    def pass_answer(self, data: bytes) -> None:
        self._transport.write(data)

    def answered(self) -> None:
        """What is still to come of a request that was answered before it was whole goes nowhere: to
        another connection it would be the beginning of a request."""
        if not self._is_whole:
            self._is_answered = True
            self.drop_backend()

    def drop_backend(self) -> None:
        """The next request gets a connection of its own."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.transport.close()

    def backend_lost(self, backend: Backend) -> None:
        """An answer that is cut off must look so; between requests nobody needs to know."""
        if backend is self._backend:
            self._backend = None
        if backend.is_waited_for:
            self._transport.close()

    # What httptools calls while it reads a request.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._is_whole = False
        self._is_answered = False
        self._for_auth = None

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        try:
            if self._parser.should_upgrade():
                self._socket_head = self._opening_head()
            elif self._url.startswith(AUTH_PREFIX + b"/"):
                self._for_auth = self._auth_request()
            else:
                self._send(self._forwarded_head())
        except RefusedError as refusal:
            self._is_answered = True
            self._answer(refusal)

    def on_body(self, body: bytes) -> None:
        if self._for_auth is not None:
            self._for_auth = replace(self._for_auth, body=self._for_auth.body + body)
            return
        self._send(b"%x\r\n%b\r\n" % (len(body), body) if self._is_chunked else body)

    def on_message_complete(self) -> None:
        self._is_whole = True
        if self._for_auth is not None:
            task = asyncio.get_running_loop().create_task(self._ask_auth(self._for_auth))
            self._authenticating = task
        elif self._is_chunked:
            self._send(b"0\r\n\r\n")

    async def _ask_auth(self, request: AuthRequest) -> None:
        self._transport.write(await self._auth.answer(request))

    def _auth_request(self) -> AuthRequest:
        """Links in mails and a browser's question before its request come without a key."""
        path, _, query = self._url.partition(b"?")
        method = self._parser.get_method().decode()
        headers = dict(self._headers)
        inner = path.removeprefix(AUTH_PREFIX).decode("latin-1")
        is_service = False
        if method != "OPTIONS" and (method, inner) != ("GET", "/verify"):
            is_service = self._door.token(headers, query) == self._door.service_token
        bearer = headers.get(b"authorization", b"").removeprefix(b"Bearer ").decode("latin-1")
        site = "http://" + headers.get(b"host", b"127.0.0.1").decode("latin-1")
        return AuthRequest(method, inner, query_of(query), b"", bearer, is_service, site)

    def _forwarded_head(self) -> bytes:
        path, _, query = self._url.partition(b"?")
        if not path.startswith(REST_PREFIX + b"/"):
            raise RefusedError(HTTPStatus.NOT_FOUND, message="no Route matched with those values")
        method = self._parser.get_method()
        headers = dict(self._headers)
        self._is_chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        passed = [pair for pair in self._headers if pair[0] not in (b"apikey", b"authorization")]
        # A browser asks without a key whether it may send one.
        if method != b"OPTIONS":
            passed.append((b"authorization", self._door.authorization(headers, query)))
        target = path.removeprefix(REST_PREFIX)
        if kept := b"&".join(part for part in query.split(b"&") if part[:7] != b"apikey="):
            target += b"?" + kept
        lines = [b"%b %b HTTP/1.1" % (method, target)]
        lines += [b"%b: %b" % header for header in passed]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _opening_head(self) -> bytes:
        """The request for a WebSocket, as Realtime gets it: with a token for the key."""
        path, _, query = self._url.partition(b"?")
        if not path.startswith(REALTIME_PREFIX + b"/"):
            raise RefusedError(HTTPStatus.NOT_FOUND, message="no Route matched with those values")
        token = self._door.token(dict(self._headers), query)
        passed = [pair for pair in self._headers if pair[0] not in (b"apikey", b"x-api-key")]
        passed.append((b"x-api-key", token.encode()))
        target = b"/socket" + path.removeprefix(REALTIME_PREFIX) + b"?" + query
        lines = [b"%b %b HTTP/1.1" % (self._parser.get_method(), target)]
        lines += [b"%b: %b" % header for header in passed]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _send(self, data: bytes) -> None:
        if self._is_answered:
            return
        if self._backend is not None:
            self._ask(self._backend, data)
            return
        self._unsent += data
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _ask(self, backend: Backend, data: bytes) -> None:
        backend.is_waited_for = True
        backend.is_asked_for_head = self._parser.get_method() == b"HEAD"
        backend.transport.write(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, backend = await loop.create_unix_connection(
                lambda: Backend(self), self._backend_socket
            )
        except OSError:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(RefusedError(status, message="PostgREST does not answer"))
            self._transport.close()
            return
        self._connecting = None
        if backend.transport.is_closing():
            self._transport.close()
            return
        self._backend = backend
        self._ask(backend, bytes(self._unsent))
        self._unsent.clear()

    def _answer(self, refusal: RefusedError) -> None:
        body = json.dumps(refusal.body).encode()
        head = (
            f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            "access-control-allow-origin: *\r\n\r\n"
        )
        self._transport.write(head.encode() + body)


async def serve(
    door: Door, auth: Auth, backend_socket: str, realtime_socket: str, listener: socket.socket
) -> None:
    """Serve until SIGTERM; calls under way are cut, as when a hosted gateway goes."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(
        lambda: Caller(door, auth, backend_socket, realtime_socket), sock=listener
    )
    async with server:
        await stopped.wait()
        server.close()


def main() -> None:
    environment = os.environ
    door = Door(
        publishable_key=environment["GATEWAY_PUBLISHABLE_KEY"],
        secret_key=environment["GATEWAY_SECRET_KEY"],
        anon_token=environment["GATEWAY_ANON_TOKEN"],
        service_token=environment["GATEWAY_SERVICE_TOKEN"],
    )
    auth = Auth(environment["GATEWAY_DATABASE"], environment["GATEWAY_JWT_SECRET"])
    listener = socket.socket(fileno=int(environment["GATEWAY_SOCKET_FD"]))
    postgrest, realtime = (
        environment["GATEWAY_POSTGREST_SOCKET"],
        environment["GATEWAY_REALTIME_SOCKET"],
    )
    uvloop.run(serve(door, auth, postgrest, realtime, listener))


if __name__ == "__main__":
    main()
