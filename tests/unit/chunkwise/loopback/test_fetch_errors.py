"""Whatever goes wrong in making, sending or reading one request is that chunk's failure."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from httpcore._backends.anyio import AnyIOBackend, AnyIOStream

from chunkwise.gateway.protocol import Claim, Failure, Page
from chunkwise.worker import fetch
from chunkwise.worker.fetch import Fetcher
from loopback.leases import claim_json, lease_to, leased
from loopback.server import Server, reply

TOO_MANY = "429 Too Many Requests"


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it has no text")


class PanicError(BaseException):
    """As extensions written in Rust raise it."""


ERRORS = (
    ValueError("x" * 100_000),
    ValueError("\x00\ud800"),
    MemoryError(),
    RecursionError(),
    OverflowError("Python int too large to convert to C int"),
    AttributeError("zone"),
    StopAsyncIteration(),
    OSError(24, "Too many open files"),
    ExceptionGroup("several", [ValueError("one"), OSError("two")]),
    BaseExceptionGroup("several", [PanicError("one")]),
    SilentError(),
    PanicError("index out of bounds"),
    # A library raises it, and nobody cancelled anything.
    asyncio.CancelledError(),
)
# Where it is thrown, and what the server answers so that the step is reached.
STEPS: dict[str, tuple[object, str, str]] = {
    "making the request": (httpx.AsyncClient, "build_request", "200 OK"),
    "reading the URL": (httpx, "URL", "200 OK"),
    "connecting": (AnyIOBackend, "connect_tcp", "200 OK"),
    "sending": (AnyIOStream, "write", "200 OK"),
    "reading headers": (AnyIOStream, "read", "200 OK"),
    "reading the body": (fetch, "read_whole", "200 OK"),
    "reading a part of the body": (httpx.Response, "aiter_raw", "200 OK"),
    "checking its text": (fetch, "check_text", "200 OK"),
    "building the page": (Page, "of", "200 OK"),
    "closing the answer": (httpx.Response, "aclose", "200 OK"),
    "reading an error's body": (fetch, "read_start", TOO_MANY),
    "masking its text": (fetch, "mask", TOO_MANY),
}


@pytest.mark.parametrize("step", STEPS)
async def test_an_error_of_any_type_is_the_chunks_failure(
    step: str, fetcher: Fetcher, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, status = STEPS[step]
    for error in ERRORS:
        server.answer = reply(b"{}", status)
        with monkeypatch.context() as patch:
            patch.setattr(where, name, thrower(error))
            failure = await fetcher.send(lease_to(server.url))

        assert isinstance(failure, Failure), (step, error)
        failure.message.encode()
        assert len(failure.message) < 600
        assert "\x00" not in failure.message
        made = step in ("making the request", "reading the URL")
        is_certain = made and isinstance(error, Exception) and not isinstance(error, MemoryError)
        assert failure.error_class == ("permanent" if is_certain else "transient"), (step, error)

    # More than once, because what was lost of the pool must not be missed.
    server.answer = reply(b"{}")
    for _ in range(8):
        assert isinstance(await fetcher.send(lease_to(server.url)), Page)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_is_no_failure(
    fetcher: Fetcher,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    monkeypatch.setattr(fetch, "check_text", thrower(error()))
    with pytest.raises(error):
        await fetcher.send(lease_to(server.url))


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_cancelling_ends_a_fetch(fetcher: Fetcher, server: Server, after: bytes) -> None:
    asked = asyncio.Event()

    async def hang(writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        await writer.drain()
        asked.set()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server.answer = hang
    fetching = asyncio.create_task(fetcher.send(lease_to(server.url, timeout_ms=60_000)))
    await asked.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    server.answer = reply(b"{}")
    assert isinstance(await fetcher.send(lease_to(server.url)), Page)


@pytest.mark.parametrize(
    ("request_changes", "named"),
    [
        ({"params": [["page", 1]]}, "params"),
        ({"params": "page=1"}, "params"),
        ({"params": [["page"]]}, "params.0"),
        ({"params": {"page": "1"}}, "params"),
        ({"form": [["a", "b"]], "body": {}}, ""),
        ({"headers": {"Accept": 1}}, "headers.Accept"),
        ({"headers": "Accept: x"}, "headers"),
        ({"url": None}, "url"),
        ({"url": ["http://x"]}, "url"),
        ({"method": 7}, "method"),
        ({"method": "GET /\r\nX: y"}, ""),
    ],
)
async def test_a_request_that_cannot_be_made_is_permanent_and_costs_no_other_lease(
    fetcher: Fetcher, server: Server, request_changes: dict[str, Any], named: str
) -> None:
    claim = claim_json(server.url)
    spoilt = {**claim["leases"][0], "queue_id": 4712}
    spoilt["request"] = {**spoilt["request"], **request_changes}
    claim["leases"].append(spoilt)

    whole, unmakeable = Claim.model_validate(claim).framed(asked_at=0).leases

    failure = await fetcher.send(unmakeable)
    assert isinstance(failure, Failure)
    assert failure.error_class == "permanent"
    assert named in failure.message
    assert server.requests == []
    assert isinstance(await fetcher.send(whole), Page)


async def test_parameters_keep_their_order_and_may_repeat(fetcher: Fetcher, server: Server) -> None:
    claim = claim_json(server.url)
    claim["leases"][0]["request"]["params"] = [["id[]", "2"], ["a", "b c"], ["id[]", "1"]]
    await fetcher.send(leased(claim))
    assert server.requests[0].startswith("GET /?id%5B%5D=2&a=b+c&id%5B%5D=1 HTTP/1.1\r\n")


async def test_a_kept_alive_connection_that_was_closed_unanswered_is_released(
    fetcher: Fetcher, server: Server
) -> None:
    await fetcher.send(lease_to(server.url))
    server.answer = hang_up(b"")

    failure = await fetcher.send(lease_to(server.url))

    assert isinstance(failure, Failure)
    assert failure.error_class == "released"
    assert failure.message.startswith("no answer from ")
    assert (len(server.requests), server.connections) == (2, 1)


@pytest.mark.parametrize("is_reset", [True, False])
@pytest.mark.parametrize("head", [b"H", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_one_that_closed_within_its_answer_costs_an_attempt(
    fetcher: Fetcher, server: Server, head: bytes, is_reset: bool
) -> None:
    await fetcher.send(lease_to(server.url))
    server.answer = hang_up(head, is_reset)

    failure = await fetcher.send(lease_to(server.url))

    assert isinstance(failure, Failure)
    assert failure.error_class == "transient"


@pytest.mark.parametrize(
    "headers",
    [
        "Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n",
        "Retry-After: Mon, 01 Jan 2027 00:00:00 +999999999999\r\n",
        "Retry-After: " + "9" * 60_000 + "\r\n",
        "Retry-After: \xff\xfe\r\n",
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"retry_after": 1' + b"0" * 400 + b"}", b'{"a":' * 10_000, b"\xff\x00"],
)
async def test_a_wait_that_cannot_be_read_is_handed_over_all_the_same(
    fetcher: Fetcher, server: Server, headers: str, body: bytes
) -> None:
    server.answer = reply(body, TOO_MANY, headers)
    failure = await fetcher.send(lease_to(server.url))
    assert isinstance(failure, Failure)
    assert failure.error_class == "rate_limited"
    json.dumps(failure.answer).encode()


async def test_a_redirect_to_no_url_is_sorted_by_its_status(
    fetcher: Fetcher, server: Server
) -> None:
    server.answer = reply(status="302 Found", headers="Location: http://[::1/\r\n")
    failure = await fetcher.send(lease_to(server.url))
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.message) == ("permanent", "HTTP 302: Found")


def thrower(error: BaseException) -> Callable[..., Any]:
    def throw(*_: object, **__: object) -> Any:  # noqa: ANN401
        raise error

    return throw


def hang_up(
    head: bytes, is_reset: bool = False
) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        if is_reset:
            writer.transport.abort()
        else:
            writer.close()

    return answer
