"""What strangers may cost a worker that listens: so many connections, bytes and seconds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from chunkwise.worker.http_server import DEFAULT_LIMITS, Limits, Listener, listening_on

PATIENCE_S = 30
# Long enough that it ends nothing by itself in a test of something else.
UNHURRIED = Limits(request_seconds=300)
Serve = Callable[[Limits], Awaitable[str]]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[..., Awaitable[Connection]]


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server with limits; returns its host and port."""
    started: list[tuple[Listener, asyncio.Task[None]]] = []
    with contextlib.ExitStack() as sockets:

        async def serve(limits: Limits) -> str:
            listening = sockets.enter_context(listening_on("127.0.0.1:0"))
            app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
            listener = Listener(app, listening, limits)
            started.append((listener, asyncio.create_task(listener.serve())))
            await listener.started()
            return listener.address

        yield serve
        for listener, serving in started:
            listener.close()
            await serving


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections, sends the first bytes, and closes them after the test."""
    opened: list[asyncio.StreamWriter] = []

    async def connect(address: str, first: bytes = b"") -> Connection:
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        opened.append(writer)
        writer.write(first)
        return reader, writer

    yield connect
    for writer in opened:
        writer.close()
    for writer in opened:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ended(connection: Connection) -> bytes:
    """What came until the server closed."""
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            while part := await connection[0].read(65_536):
                received += part
    return received


@pytest.mark.parametrize(
    "endless",
    [b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100, b"\x00"],
)
async def test_a_head_without_end_ends_at_its_limit(
    serve: Serve, connect: Connect, endless: bytes
) -> None:
    connection = await connect(await serve(UNHURRIED), endless)
    filler = b"X-Filler: yes\r\n" if endless.endswith(b"\r\n") else b"x" * 1000
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not connection[0].at_eof() and sent < 100_000_000:
            connection[1].write(filler * 100)
            sent += len(filler) * 100
            await connection[1].drain()

    assert (await ended(connection))[:12] in (b"HTTP/1.1 400", b"")
    assert sent < 100_000_000


async def test_a_head_as_large_as_clients_send_is_taken(serve: Serve) -> None:
    address = await serve(UNHURRIED)
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        taken = await http.get(f"http://{address}", headers={"X-Large": "x" * 8000})

    assert taken.text == "here"


@pytest.mark.parametrize(
    "unfinished",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo",
    ],
)
async def test_a_request_that_does_not_arrive_is_given_up(
    serve: Serve, connect: Connect, unfinished: bytes
) -> None:
    """Also the second one of a connection, before keep-alive would end it."""
    connection = await connect(await serve(Limits(request_seconds=0.05)), unfinished)

    received = await ended(connection)

    assert received.count(b"HTTP/1.1 200 OK") == unfinished.count(b"\r\n\r\n")


async def test_a_body_that_nobody_waits_for_ends_the_connection(
    serve: Serve, connect: Connect
) -> None:
    """Else its bytes would keep it open for as long as they come."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
    received = await ended(await connect(await serve(UNHURRIED), head))

    assert received.startswith(b"HTTP/1.1 200 OK")


async def test_bytes_that_drip_in_prolong_nothing(serve: Serve, connect: Connect) -> None:
    connection = await connect(await serve(Limits(request_seconds=0.2)), b"GET / HT")

    async def drip() -> None:
        while True:
            connection[1].write(b"T")
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    assert await ended(connection) == b""
    dripping.cancel()


async def test_half_open_connections_keep_nobody_out(serve: Serve, connect: Connect) -> None:
    """600 that begin a request and do not go on; the oldest make room for new ones."""
    address = await serve(UNHURRIED)
    strangers = [await connect(address, b"POST / HTTP/1.1\r\n") for _ in range(600)]
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        answers = [await http.get(f"http://{address}") for _ in range(3)]
    gone = await asyncio.gather(
        *(ended(one) for one in strangers[: 600 - DEFAULT_LIMITS.connections])
    )

    assert [answer.text for answer in answers] == ["here"] * 3
    assert set(gone) == {b""}


async def test_a_websocket_is_not_opened(serve: Serve) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        answered = await http.get(f"http://{await serve(UNHURRIED)}", headers=upgrade)

    assert answered.status_code == 200
