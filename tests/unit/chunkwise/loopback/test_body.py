"""Bodies of any coding and length cost what `max_body_bytes` allows, and no more."""

import asyncio
import gzip
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from chunkwise.gateway.protocol import Failure, Page
from chunkwise.worker.body import PIECE_BYTES
from chunkwise.worker.connector import MOST_HEAD_BYTES
from chunkwise.worker.fetch import Fetcher
from loopback.leases import lease_to
from loopback.server import Answer, Server, reply

GZIP = "Content-Encoding: gzip\r\n"
LIMIT = 1_000_000
TEXT = b'{"data": ["' + b"abc " * 50_000 + b'"]}'


async def failure_of(fetcher: Fetcher, server: Server, limit: int = LIMIT) -> Failure:
    failure = await fetcher.send(lease_to(server.url, max_body_bytes=limit))
    assert isinstance(failure, Failure)
    return failure


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(TEXT),
        gzip.compress(TEXT[:9]) + gzip.compress(b"") + gzip.compress(TEXT[9:]),
        gzip.compress(TEXT) + b"\x00" * 100,
    ],
    ids=["one member", "several members", "padded"],
)
@pytest.mark.parametrize("coding", ["gzip", " GZip", "x-gzip"])
async def test_gzip_is_unpacked(
    fetcher: Fetcher, server: Server, packed: bytes, coding: str
) -> None:
    server.answer = reply(packed, headers=f"Content-Encoding: {coding}\r\n")
    page = await fetcher.send(lease_to(server.url))
    assert isinstance(page, Page)
    assert page.body == TEXT


async def test_only_gzip_is_asked_for(fetcher: Fetcher, server: Server) -> None:
    await fetcher.send(lease_to(server.url))
    assert "\r\nAccept-Encoding: gzip\r\n" in server.requests[0]


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,identity", "br", "zstd", "deflate", "x"])
async def test_another_coding_is_permanent(fetcher: Fetcher, server: Server, coding: str) -> None:
    packed = gzip.compress(gzip.compress(b"\x00" * 10_000_000))
    server.answer = reply(packed, headers=f"Content-Encoding: {coding}\r\n")
    failure = await failure_of(fetcher, server)
    assert (failure.error_class, failure.message) == (
        "permanent",
        f"HTTP 200: the body is packed as {coding!r}; only gzip is unpacked",
    )


async def test_codings_in_two_headers_are_stacked_too(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(gzip.compress(gzip.compress(b"{}")), headers=GZIP + GZIP)
    assert (await failure_of(fetcher, server)).error_class == "permanent"


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_an_errors_status_counts_whatever_its_body_is(
    fetcher: Fetcher, server: Server, status: str
) -> None:
    classes = []
    for coding in ("br", "gzip, gzip", "gzip"):
        server.answer = reply(
            b"nonsense", status, f"Content-Encoding: {coding}\r\nRetry-After: 7\r\n"
        )
        failure = await failure_of(fetcher, server)
        assert failure.message.startswith(f"HTTP {status[:3]}: ")
        assert failure.answer is not None
        assert failure.answer["headers"] == {"retry-after": "7"}
        classes.append(failure.error_class)
    assert classes == ["rate_limited" if status.startswith("429") else "transient"] * 3


@pytest.mark.parametrize("packed", [gzip.compress(TEXT)[:-9], gzip.compress(TEXT)[:2], TEXT])
async def test_gzip_that_is_broken_or_breaks_off_is_transient(
    fetcher: Fetcher, server: Server, packed: bytes
) -> None:
    server.answer = reply(packed, headers=GZIP)
    assert (await failure_of(fetcher, server)).error_class == "transient"


async def test_the_limit_is_one_of_the_unpacked_body(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(gzip.compress(b"x" * LIMIT), headers=GZIP)
    assert isinstance(await fetcher.send(lease_to(server.url, max_body_bytes=LIMIT)), Page)
    server.answer = reply(gzip.compress(b"x" * (LIMIT + 1)), headers=GZIP)
    assert (await failure_of(fetcher, server)).error_class == "permanent"


def endless(
    head: str, body: bytes, first: bytes = b""
) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """The body again and again, until the client leaves."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + first)
        while not writer.is_closing():
            writer.write(body)
            await writer.drain()

    return answer


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


CHUNKED = "Transfer-Encoding: chunked\r\n"
EMPTY_MEMBERS = gzip.compress(b"") * 1000
# After the ten bytes of a member's head, each begins and ends a block without content.
EMPTY_BLOCKS = b"\x00\x00\x00\xff\xff" * 2000


@pytest.mark.parametrize(
    "answer",
    [
        endless(CHUNKED, chunk(b"x" * 10_000)),
        endless(CHUNKED, chunk(b"x") * 1000),
        endless(CHUNKED + GZIP, chunk(EMPTY_MEMBERS)),
        endless(GZIP, EMPTY_BLOCKS, first=gzip.compress(b"")[:10]),
    ],
    ids=["plain", "chunks of a byte", "members without content", "blocks without content"],
)
async def test_an_endless_body_is_refused(fetcher: Fetcher, server: Server, answer: Answer) -> None:
    server.answer = answer
    assert (await failure_of(fetcher, server)).error_class == "permanent"


@pytest.mark.parametrize(
    ("head", "more"),
    [
        ("", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 20),
        ("X-Header: ", b"x" * 1000),
        ("", b"X-Header: x\r\n" * 100),
    ],
    ids=["informational answers", "a header", "headers"],
)
async def test_a_head_without_end_is_transient(
    fetcher: Fetcher, server: Server, head: str, more: bytes
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if more.startswith(b"HTTP") else f"HTTP/1.1 200 OK\r\n{head}".encode())
        while not writer.is_closing():
            writer.write(more)
            await writer.drain()

    server.answer = answer
    failure = await failure_of(fetcher, server)
    assert failure.error_class == "transient"
    assert "no answer within" not in failure.message


async def test_many_headers_are_transient(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(headers="a:\r\n" * (MOST_HEAD_BYTES // 4 + 1))
    assert (await failure_of(fetcher, server)).error_class == "transient"


BOMBS = {
    "gzip": (gzip.compress(b" " * 400_000_000), GZIP),
    "gzip twice": (
        gzip.compress(gzip.compress(b" " * 400_000_000)),
        "Content-Encoding: gzip, gzip\r\n",
    ),
}


@pytest.mark.parametrize("what", BOMBS)
async def test_a_bomb_is_unpacked_no_further_than_the_limit(
    fetcher: Fetcher, server: Server, what: str
) -> None:
    packed, headers = BOMBS[what]
    for status in ("200 OK", "500 Internal Server Error"):
        server.answer = reply(packed, status, headers)
        tracemalloc.start()
        await failure_of(fetcher, server)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * LIMIT + 16 * PIECE_BYTES
