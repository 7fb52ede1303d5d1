"""HTTP towards the APIs. A request is sent once: no retry, no redirect, one timeout policy."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self, cast

import httpx

from chunkwise import VERSION
from chunkwise.gateway.protocol import ErrorClass, Failure, Lease, Page
from chunkwise.logs import quieten_http_libraries
from chunkwise.secret import mask
from chunkwise.worker.retry_after import retry_after_seconds

CONNECT_SECONDS: Final = 10.0
# Shorter than the idle timeouts of usual servers: a connection closed by the server while the
# next request is on its way would cost the chunk an attempt.
KEEPALIVE_SECONDS: Final = 4.0
ERROR_BODY_BYTES: Final = 65_536
ERROR_TEXT_CHARACTERS: Final = 500


class _BodyError(Exception):
    """The body cannot be handed over; the text says what is wrong with it and the limit."""


class Fetcher:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, concurrency: int) -> AsyncIterator[Self]:
        limits = httpx.Limits(
            max_connections=concurrency,
            max_keepalive_connections=concurrency,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        quieten_http_libraries()
        # One client serves all tenants: a cookie set for one must not be sent for another.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        async with httpx.AsyncClient(
            limits=limits,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            follow_redirects=False,
            cookies=no_cookies,
            headers={"User-Agent": f"chunkwise/{VERSION}"},
        ) as http:
            yield cls(http)

    async def send(self, lease: Lease) -> Page | Failure:
        """Sends the lease's request and sorts the answer by the lease's status classes."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(lease.timeout_ms / 1000):
                answer = await self._exchange(lease, started)
        except TimeoutError:
            answer = _transient(f"no answer within {lease.timeout_ms} ms from {_host(lease)}")
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            answer = Failure("permanent", f"the request cannot be sent: {error}")
        except UnicodeError as error:
            answer = Failure("permanent", f"the request cannot be sent: {error}")
        except httpx.RequestError as error:
            answer = _transient(f"no answer from {_host(lease)}: {_text_of(error)}")
        return _masked(answer, lease) if isinstance(answer, Failure) else answer

    async def _exchange(self, lease: Lease, started: float) -> Page | Failure:
        async with self._http.stream(
            lease.request.method,
            lease.request.url,
            params=_params(lease),
            headers=_headers(lease),
        ) as response:
            error_class = lease.class_of(response.status_code)
            if error_class != "page":
                return await _failure(response, cast("ErrorClass", error_class))
            try:
                raw = await _read(response, lease.max_body_bytes)
                body = _decode(raw)
            except _BodyError as refused:
                return Failure("permanent", f"HTTP {response.status_code}: {refused}")
        return Page(response.status_code, body, _elapsed_ms(started), _wire_bytes(raw))


def _params(lease: Lease) -> httpx.QueryParams:
    """The URL's own parameters stay; httpx would drop them."""
    params = httpx.URL(lease.request.url).params.merge(dict(lease.request.params))
    if lease.credential and lease.credential.place == "query":
        params = params.set(lease.credential.name, lease.credential.value.reveal())
    return params


def _headers(lease: Lease) -> dict[str, str]:
    headers = dict(lease.request.headers)
    if lease.credential and lease.credential.place == "header":
        headers[lease.credential.name] = lease.credential.value.reveal()
    return headers


async def _read(response: httpx.Response, limit: int) -> bytes:
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _BodyError(f"the body has {declared} bytes, more than max_body_bytes = {limit}")
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > limit:
            raise _BodyError(f"the body is longer than max_body_bytes = {limit}")
        parts.append(part)
    return b"".join(parts)


def _decode(raw: bytes) -> str:
    nul = raw.find(b"\x00")
    if nul >= 0:
        raise _BodyError(f"the body holds the character U+0000 at byte {nul}; none is allowed")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        text = f"the body is not UTF-8 at byte {error.start}; only UTF-8 is handed over"
        raise _BodyError(text) from None


async def _failure(response: httpx.Response, error_class: ErrorClass) -> Failure:
    body = await _read_start(response)
    text = body.decode(errors="replace").replace("\x00", "\ufffd").strip()
    return Failure(
        error_class,
        f"HTTP {response.status_code}: {text or response.reason_phrase}",
        retry_after_seconds(response, body),
    )


async def _read_start(response: httpx.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) >= ERROR_BODY_BYTES:
            break
    return body[:ERROR_BODY_BYTES]


def _masked(failure: Failure, lease: Lease) -> Failure:
    """Masked first and cut afterwards: a cut key would not be found."""
    secrets = [lease.credential.value] if lease.credential else []
    status, colon, text = mask(failure.message, secrets).partition(": ")
    message = status + colon + text[:ERROR_TEXT_CHARACTERS]
    return Failure(failure.error_class, message, failure.retry_after)


def _transient(message: str) -> Failure:
    return Failure("transient", message)


def _host(lease: Lease) -> str:
    return httpx.URL(lease.request.url).netloc.decode()


def _text_of(error: httpx.RequestError) -> str:
    return str(error) or type(error).__name__


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _wire_bytes(raw: bytes) -> int:
    """The body's size as a JSON string: quotes and backslashes double, control characters grow."""
    escaped = raw.count(b'"') + raw.count(b"\\")
    controls = sum(raw.count(bytes([code])) for code in (9, 10, 13))
    return len(raw) + 2 + escaped + controls
