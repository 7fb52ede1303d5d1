"""HTTP towards the APIs. A request is sent once: no retry, no redirect, one timeout policy.

Whatever goes wrong in making, sending or reading one request is that chunk's failure.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.util import find_spec
from typing import Any, Final, Self, cast
from urllib.parse import urlencode

import httpcore
import httpx

from chunkwise import VERSION
from chunkwise.gateway.protocol import ErrorClass, Failure, Lease, Page, Request, Unreadable
from chunkwise.logs import quieten_http_libraries
from chunkwise.secret import foreign, mask, without
from chunkwise.texts import printable
from chunkwise.worker.body import (
    ACCEPT_ENCODING,
    BodyError,
    check_text,
    escape_nul,
    read_start,
    read_whole,
)
from chunkwise.worker.connector import Connector, Exchange, exchange, resolve

CONNECT_SECONDS: Final = 10.0
# Shorter than the idle timeouts of usual servers: fewer requests meet a connection that the server
# is just closing.
KEEPALIVE_SECONDS: Final = 4.0
ERROR_BODY_BYTES: Final = 16_384
MOST_HEADER_CHARACTERS: Final = 4096
# They end the program, not a request.
ENDS_ALL: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Fetcher:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, concurrency: int) -> AsyncIterator[Self]:
        """The caller sends at most `concurrency` requests at once. The pool has no limit of its
        own, so that none can be used up by connections it lost."""
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=concurrency,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        quieten_http_libraries()
        _search_for_sniffio_once()
        # One client serves all tenants: a cookie set for one must not be sent for another.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        async with httpx.AsyncClient(
            limits=limits,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            follow_redirects=False,
            cookies=no_cookies,
            headers={"User-Agent": f"chunkwise/{VERSION}", "Accept-Encoding": ACCEPT_ENCODING},
            event_hooks={"response": [_forget_redirect]},
        ) as http:
            _connect_by_connector(http)
            yield cls(http)

    async def send(self, lease: Lease) -> Page | Failure:
        """Sends the lease's request and sorts the answer by the lease's status classes. Raises
        nothing but what ends the caller."""
        try:
            answer = await self._send(lease)
            return _told(answer, lease) if isinstance(answer, Failure) else answer
        except BaseException as error:  # of any type: it must cost this chunk only
            if isinstance(error, ENDS_ALL) or _is_cancelled(error):
                raise
            return Failure("transient", f"the fetch failed: {type(error).__name__}")

    async def _send(self, lease: Lease) -> Page | Failure:
        try:
            request, seen = self._make(lease)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # what was declared is at fault, whatever it is
            return Failure("permanent", f"the request cannot be made: {_text_of(error, lease)}")
        host = request.url.netloc.decode("ascii", "replace")
        exchange.set(seen)
        try:
            async with asyncio.timeout(lease.timeout_ms / 1000):
                return await self._exchange(request, lease, seen)
        except TimeoutError:
            return Failure("transient", f"no answer within {lease.timeout_ms} ms from {host}")
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            return Failure("permanent", f"the request cannot be sent: {_text_of(error, lease)}")
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if seen.found_connection_closed:
                # Begins with "no answer": SQL counts how often a chunk is released so.
                why = f"no answer from {host}: it had closed the connection"
                return Failure("released", why)
            return Failure("transient", f"no answer from {host}: {_text_of(error, lease)}")
        except Exception as error:  # noqa: BLE001  # of any type: it must cost this chunk only
            return Failure("transient", f"no answer from {host}: {_text_of(error, lease)}")

    def _make(self, lease: Lease) -> tuple[httpx.Request, Exchange]:
        asked = lease.request
        if isinstance(asked, Unreadable):
            raise TypeError(asked.why)
        added = _added(lease)
        url = _with_params(httpx.URL(asked.url), [*asked.params, *added["query"]])
        if lease.credentials and not _is_of(url, lease.origin):
            raise ValueError("its URL leaves its origin, and no credential may")
        content_type, content = _content(asked, added["form"])
        headers = {"content-type": content_type} if content_type else {}
        headers |= {name.lower(): value for name, value in asked.headers.items()}
        headers |= {name.lower(): value for name, value in added["header"]}
        request = self._http.build_request(asked.method, url, headers=headers, content=content)
        return request, Exchange(asked.reach)

    async def _exchange(
        self, request: httpx.Request, lease: Lease, seen: Exchange
    ) -> Page | Failure:
        started = time.monotonic()
        response = await self._http.send(request, stream=True)
        seen.has_head = True
        try:
            error_class = lease.class_of(response.status_code)
            if error_class != "page":
                return await _failure(response, lease, cast("ErrorClass", error_class))
            headers = _headers(response, lease)
            _check_headers(headers)
            body = await read_whole(response, lease.max_body_bytes)
            body = escape_nul(body, lease.max_body_bytes)
            check_text(body)
        except BodyError as refused:
            return Failure(refused.error_class, f"HTTP {response.status_code}: {refused}")
        finally:
            await response.aclose()
        return Page.of(response.status_code, body, _elapsed_ms(started), headers)


def _added(lease: Lease) -> dict[str, list[tuple[str, str]]]:
    """What the credentials add to the parts of a request."""
    if isinstance(lease.credentials, Unreadable):
        raise TypeError(f"its credentials: {lease.credentials.why}")
    added: dict[str, list[tuple[str, str]]] = {"header": [], "query": [], "form": []}
    for credential in lease.credentials:
        added[credential.place].append((credential.name, credential.value.reveal()))
    return added


def _with_params(url: httpx.URL, params: Sequence[tuple[str, str]]) -> httpx.URL:
    """Its own query stays as it was given: to write it anew might change it."""
    if not params:
        return url
    query = urlencode(params).encode()
    return url.copy_with(query=url.query + b"&" + query if url.query else query)


def _is_of(url: httpx.URL, origin: str | None) -> bool:
    if origin is None:
        return False
    own = httpx.URL(origin)
    return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)


def _content(
    asked: Request, secret_fields: list[tuple[str, str]]
) -> tuple[str, bytes] | tuple[None, None]:
    """Its type, and the body."""
    if asked.form is not None or secret_fields:
        if asked.body is not None:
            raise ValueError("it has a body and a form")
        fields = [*(asked.form or ()), *secret_fields]
        return "application/x-www-form-urlencoded", urlencode(fields).encode()
    if asked.body is None:
        return None, None
    text = json.dumps(asked.body, ensure_ascii=False, separators=(",", ":"))
    return "application/json", text.encode()


def _search_for_sniffio_once() -> None:
    """httpcore tries to import it for each lock that it makes, six times a request. Where it is not
    installed, all of `sys.path` is searched each time: a fifth of a worker's time."""
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        missing: Any = None  # with this in its place its import fails at once
        sys.modules["sniffio"] = missing


def _connect_by_connector(http: httpx.AsyncClient) -> None:
    """httpx has no way to name httpcore's network backend. The environment's proxies are
    connected to wherever they are, and see to addresses themselves."""
    for transport in (http._transport, *http._mounts.values()):
        if isinstance(transport, httpx.AsyncHTTPTransport):
            pool = transport._pool
            is_proxy = isinstance(pool, httpcore.AsyncHTTPProxy | httpcore.AsyncSOCKSProxy)
            pool._network_backend = Connector(pool._network_backend, None if is_proxy else resolve)


async def _forget_redirect(response: httpx.Response) -> None:
    """It is not followed, and httpx would read it all the same, and fail if it is no URL."""
    response.headers.pop("Location", None)


async def _failure(response: httpx.Response, lease: Lease, error_class: ErrorClass) -> Failure:
    body = await read_start(response, ERROR_BODY_BYTES)
    text = body.decode(errors="replace")
    said = foreign(text.strip() or response.reason_phrase, lease.secrets)
    answer = {
        "status": response.status_code,
        "headers": {
            name: without(value, lease.secrets)
            for name, value in _headers(response, lease).items()
            if len(value) <= MOST_HEADER_CHARACTERS
        },
        "body": without(text, lease.secrets).replace("\x00", "\ufffd"),
    }
    return Failure(error_class, f"HTTP {response.status_code}: {said}", answer)


def _check_headers(headers: Mapping[str, str]) -> None:
    """Of a page they are handed over whole: to cut one could lose what comes next."""
    for name, value in headers.items():
        if len(value) > MOST_HEADER_CHARACTERS:
            text = f"the header {name} has more than {MOST_HEADER_CHARACTERS} characters"
            raise BodyError(text, "permanent")


def _headers(response: httpx.Response, lease: Lease) -> dict[str, str]:
    """Those that the database wants; of one that comes several times all, parted by commas."""
    wanted = {name: response.headers.get(name) for name in lease.answer_headers}
    return {name: value for name, value in wanted.items() if value is not None}


def _told(failure: Failure, lease: Lease) -> Failure:
    """Without secrets, whoever put one into it: a host's name may be one."""
    message = mask(printable(failure.message), lease.secrets)
    return Failure(failure.error_class, message, failure.answer)


def _is_cancelled(error: BaseException) -> bool:
    """Whether the caller is being cancelled: a library may also raise the error by itself."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _text_of(error: BaseException, lease: Lease) -> str:
    """Libraries repeat headers and URLs."""
    try:
        return foreign(str(error), lease.secrets) or type(error).__name__
    except Exception:  # noqa: BLE001  # its own text is at fault
        return type(error).__name__


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
