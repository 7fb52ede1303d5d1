"""Fetching: one request, sorted by the lease's status classes, from a real server."""

import asyncio
import gzip
import logging
import socket
import sys
from importlib.abc import MetaPathFinder
from urllib.parse import quote

import pytest
from httpcore._backends.anyio import AnyIOStream

from chunkwise.gateway.protocol import Failure, Page
from chunkwise.secret import WITHHELD
from chunkwise.worker.fetch import Fetcher
from loopback.leases import KEY, claim_json, lease_to, leased
from loopback.server import Server, reply


async def test_a_page_is_its_text_unparsed(fetcher: Fetcher, server: Server) -> None:
    body = '{"data": ["é", "\\u0000"] }\n'
    server.answer = reply(body.encode())

    page = await fetcher.send(lease_to(server.url))

    assert isinstance(page, Page)
    assert (page.status, page.body) == (200, body.encode())
    assert page.wire_bytes == len(body.encode()) + 2 + 6 + 1 + 1


async def test_parameters_headers_and_key_are_sent_once(fetcher: Fetcher, server: Server) -> None:
    await fetcher.send(lease_to(f"{server.url}/api/sender-emails?filter=a%20b"))

    assert len(server.requests) == 1
    line, *headers = server.requests[0].split("\r\n")
    assert line == "GET /api/sender-emails?filter=a%20b&page=2 HTTP/1.1"
    assert f"authorization: Bearer {KEY}" in headers
    assert "accept: application/json" in headers


async def test_a_key_may_be_a_parameter(fetcher: Fetcher, server: Server) -> None:
    claim = claim_json(server.url)
    credential = {"in": "query", "name": "api_key", "value": "k&y"}
    claim["leases"][0]["credentials"] = [credential]

    await fetcher.send(leased(claim))

    assert server.requests[0].startswith("GET /?page=2&api_key=k%26y HTTP/1.1\r\n")


async def test_connections_are_reused(fetcher: Fetcher, server: Server) -> None:
    for _ in range(3):
        await fetcher.send(lease_to(server.url))

    assert (len(server.requests), server.connections) == (3, 1)


async def test_a_request_searches_for_no_module(
    fetcher: Fetcher, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []

    class Noting(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            searched.append(name)

    await fetcher.send(lease_to(server.url))
    monkeypatch.setattr(sys, "meta_path", [Noting(), *sys.meta_path])
    for _ in range(2):
        await fetcher.send(lease_to(server.url))

    assert not searched


async def test_whether_an_idle_connection_was_closed_is_seen_on_its_socket(
    fetcher: Fetcher, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not asked of the stream, which would collect all that there is to be known, for each idle
    connection before each request."""
    asked: list[str] = []
    stream = AnyIOStream.get_extra_info

    def noting(self: AnyIOStream, info: str) -> object:
        asked.append(info)
        return stream(self, info)

    lease = lease_to(server.url)
    await asyncio.gather(*(fetcher.send(lease) for _ in range(3)))
    monkeypatch.setattr(AnyIOStream, "get_extra_info", noting)
    await asyncio.gather(*(fetcher.send(lease) for _ in range(3)))

    assert len(server.requests) == 2 * 3
    assert "is_readable" not in asked


async def test_no_cookie_travels_to_the_next_tenant(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(headers="Set-Cookie: session=acme; Path=/\r\n")

    await fetcher.send(lease_to(server.url))
    await fetcher.send(lease_to(server.url))

    assert "cookie" not in server.requests[1].lower()


async def test_redirects_are_not_followed(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(status="302 Found", headers=f"Location: {server.url}/login\r\n")

    failure = await fetcher.send(lease_to(server.url))

    answer = {"status": 302, "headers": {}, "body": ""}
    assert failure == Failure("permanent", "HTTP 302: Found", answer)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        ("401 Unauthorized", "permanent"),
        ("404 Not Found", "permanent"),
        ("408 Request Timeout", "transient"),
        ("429 Too Many Requests", "rate_limited"),
        ("503 Service Unavailable", "transient"),
    ],
)
async def test_the_status_decides_the_class(
    fetcher: Fetcher, server: Server, status: str, error_class: str
) -> None:
    server.answer = reply(b"no", status)

    failure = await fetcher.send(lease_to(server.url))

    answer = {"status": int(status[:3]), "headers": {}, "body": "no"}
    assert failure == Failure(error_class, f"HTTP {status[:3]}: no", answer)  # type: ignore[arg-type]
    assert len(server.requests) == 1


async def test_an_exact_status_wins_over_its_hundred(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(b"{}", "404 Not Found")

    page = await fetcher.send(lease_to(server.url, status_classes={"404": "page"}))

    assert isinstance(page, Page)
    assert page.status == 404


async def test_the_longest_body_allowed_is_a_page(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(b"x" * 1000)
    assert isinstance(await fetcher.send(lease_to(server.url, max_body_bytes=1000)), Page)


async def test_a_body_declared_too_long_is_not_read(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(b"x", declared=10_000_000)

    failure = await fetcher.send(lease_to(server.url, max_body_bytes=1000))

    text = "HTTP 200: the body has 10000000 bytes, more than max_body_bytes = 1000"
    assert failure == Failure("permanent", text)


async def test_a_body_that_grows_too_long_is_refused(fetcher: Fetcher, server: Server) -> None:
    packed = gzip.compress(b"x" * 100_000)
    server.answer = reply(packed, headers="Content-Encoding: gzip\r\n")

    failure = await fetcher.send(lease_to(server.url, max_body_bytes=1000))

    text = "HTTP 200: the body is longer than max_body_bytes = 1000"
    assert failure == Failure("permanent", text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"a": "\xff"}', "the body is not UTF-8 at byte 7; only UTF-8 is handed over"),
        (b"\x00" * 200, "the body is longer than max_body_bytes = 1000"),
    ],
)
async def test_a_body_that_cannot_be_handed_over_is_refused(
    fetcher: Fetcher, server: Server, body: bytes, text: str
) -> None:
    server.answer = reply(body)
    failure = await fetcher.send(lease_to(server.url, max_body_bytes=1000))
    assert failure == Failure("permanent", f"HTTP 200: {text}")


async def test_a_raw_nul_is_handed_over_as_json_writes_it(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(b'{"a": "\x00b\x00"}')
    page = await fetcher.send(lease_to(server.url))
    assert isinstance(page, Page)
    assert page.body == rb'{"a": "\u0000b\u0000"}'


async def test_a_slow_drip_ends_at_the_timeout(fetcher: Fetcher, server: Server) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.answer = drip
    failure = await fetcher.send(lease_to(server.url, timeout_ms=80))

    host = server.url.removeprefix("http://")
    assert failure == Failure("transient", f"no answer within 80 ms from {host}")


async def test_an_answer_that_breaks_off_is_transient(fetcher: Fetcher, server: Server) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()

    server.answer = reset
    failure = await fetcher.send(lease_to(server.url))

    assert isinstance(failure, Failure)
    assert failure.error_class == "transient"
    assert len(server.requests) == 1


async def test_a_connection_that_closes_unanswered_is_transient_and_sent_once(
    fetcher: Fetcher, server: Server
) -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    server.answer = hang_up
    failure = await fetcher.send(lease_to(server.url))

    assert isinstance(failure, Failure)
    assert failure.error_class == "transient"
    assert len(server.requests) == 1


async def test_no_connection_is_transient_and_names_the_host(fetcher: Fetcher) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        failure = await fetcher.send(lease_to(f"http://{host}/api"))

    assert isinstance(failure, Failure)
    assert failure.error_class == "transient"
    assert failure.message.startswith(f"no answer from {host}: ")


@pytest.mark.parametrize("url", ["gopher://x/", "no-url", "http://x:port/"])
async def test_a_request_that_cannot_be_sent_is_permanent(fetcher: Fetcher, url: str) -> None:
    failure = await fetcher.send(lease_to(url))
    assert isinstance(failure, Failure)
    assert failure.error_class == "permanent"


@pytest.mark.parametrize("value", ["Bearer line\nbreak", "Bearer schlüssel"])
async def test_a_key_that_no_header_can_carry_is_permanent_and_masked(
    fetcher: Fetcher, server: Server, value: str
) -> None:
    claim = claim_json(server.url)
    claim["leases"][0]["credentials"][0]["value"] = value

    failure = await fetcher.send(leased(claim))

    assert isinstance(failure, Failure)
    assert failure.error_class == "permanent"
    assert value.rsplit(maxsplit=1)[-1] not in failure.message
    assert server.requests == []


async def test_nothing_is_kept_of_an_answer_that_echoes_the_key(
    fetcher: Fetcher, server: Server
) -> None:
    echoed = f'{{"key": "{KEY}"}} 17%7Cs3cr3t%2Btoken%2Fwith%3Dsigns s3cr3t+token\\/with=signs'
    server.answer = reply(echoed.encode(), "401 Unauthorized")

    failure = await fetcher.send(lease_to(server.url))

    assert isinstance(failure, Failure)
    assert failure.message == f"HTTP 401: {WITHHELD}"
    assert failure.answer is not None
    assert not any(part in failure.answer["body"] for part in (KEY, quote(KEY, safe="")))


async def test_a_long_error_body_is_not_cut_within_a_key(fetcher: Fetcher, server: Server) -> None:
    server.answer = reply(b"x" * 195 + KEY.encode() + b"x" * 200_000, "500 Internal Server Error")

    failure = await fetcher.send(lease_to(server.url))

    assert isinstance(failure, Failure)
    assert failure.message == f"HTTP 500: {WITHHELD}"


async def test_an_error_body_with_u0000_can_be_told_to_postgres(
    fetcher: Fetcher, server: Server
) -> None:
    server.answer = reply(b"a\x00\xffb", "400 Bad Request")
    failure = await fetcher.send(lease_to(server.url))
    assert failure == Failure(
        "permanent",
        "HTTP 400: a\ufffdb",
        {"status": 400, "headers": {}, "body": "a\ufffd\ufffdb"},
    )


async def test_what_the_answer_was_is_passed_on(fetcher: Fetcher, server: Server) -> None:
    """The headers that were asked for, and 16 KB of the body."""
    body = b"slow down" + b" " * 20_000
    headers = "Retry-After: 7\r\nX-Other: 1\r\n" + f"Date: {'x' * 5000}\r\n"
    server.answer = reply(body, "429 Too Many Requests", headers)
    failure = await fetcher.send(lease_to(server.url))
    assert failure == Failure(
        "rate_limited",
        "HTTP 429: slow down",
        {"status": 429, "headers": {"retry-after": "7"}, "body": body[:16_384].decode()},
    )


async def test_a_page_comes_with_the_headers_that_were_asked_for(
    fetcher: Fetcher, server: Server
) -> None:
    links = '</?page=2>; rel="next"\r\nLink: </?page=9>; rel="last"'
    server.answer = reply(b"[]", headers=f"Link: {links}\r\nETag: x\r\n")
    page = await fetcher.send(lease_to(server.url, answer_headers=["link", "last-modified"]))
    assert isinstance(page, Page)
    assert page.headers == {"link": '</?page=2>; rel="next", </?page=9>; rel="last"'}


async def test_a_header_that_is_too_long_to_be_handed_over_is_permanent(
    fetcher: Fetcher, server: Server
) -> None:
    """To cut it could lose the next page."""
    server.answer = reply(b"[]", headers=f"Link: {'x' * 4097}\r\n")
    failure = await fetcher.send(lease_to(server.url, answer_headers=["link"]))
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.answer) == ("permanent", None)


async def test_a_body_is_sent_as_json(fetcher: Fetcher, server: Server) -> None:
    claim = claim_json(server.url)
    claim["leases"][0]["request"] |= {
        "method": "POST",
        "params": [],
        "body": {"limit": 1, "a": "ü"},
    }
    await fetcher.send(leased(claim))
    head = server.requests[0]
    assert head.startswith("POST / HTTP/1.1\r\n")
    assert "content-type: application/json" in head
    body = '{"limit":1,"a":"ü"}'
    assert f"Content-Length: {len(body.encode())}" in head


async def test_a_form_carries_secret_fields(fetcher: Fetcher, server: Server) -> None:
    claim = claim_json(server.url)
    claim["leases"][0]["request"] |= {
        "method": "POST",
        "params": [],
        "form": [["grant_type", "refresh_token"]],
    }
    claim["leases"][0]["credentials"] = [{"in": "form", "name": "refresh_token", "value": "r&t"}]
    await fetcher.send(leased(claim))
    head = server.requests[0]
    assert "content-type: application/x-www-form-urlencoded" in head
    assert f"Content-Length: {len('grant_type=refresh_token&refresh_token=r%26t')}" in head


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://127.0.0.1:1", None])
async def test_no_credential_leaves_its_origin(
    fetcher: Fetcher, server: Server, origin: str | None
) -> None:
    failure = await fetcher.send(lease_to(server.url, origin=origin))
    assert isinstance(failure, Failure)
    assert failure.error_class == "permanent"
    assert server.requests == []


async def test_a_request_without_credentials_may_go_anywhere(
    fetcher: Fetcher, server: Server
) -> None:
    assert isinstance(await fetcher.send(lease_to(server.url, origin=None, credentials=[])), Page)


async def test_nothing_logged_or_shown_holds_the_key(
    fetcher: Fetcher, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    claim = claim_json(server.url)
    credential = {"in": "query", "name": "api_key", "value": KEY}
    claim["leases"][0]["credentials"] = [credential]
    with caplog.at_level(logging.DEBUG):
        lease = leased(claim)
        await fetcher.send(lease)

    assert "s3cr3t" not in caplog.text + repr(lease) + str(lease)
