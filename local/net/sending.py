"""One HTTP request as libcurl sends it for pg_net: once, following redirects, errors as text."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from local.net.queue import Request, Response

USER_AGENT = "pg_net/0.20.0"


@asynccontextmanager
async def http_client() -> AsyncIterator[httpx.AsyncClient]:
    """Connections stay open between requests; nothing of this machine's settings is used."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=60)
    async with httpx.AsyncClient(
        follow_redirects=True, trust_env=False, timeout=None, limits=limits, headers={}
    ) as client:
        yield client


async def send(client: httpx.AsyncClient, request: Request) -> Response:
    """The row that pg_net writes, whatever happens."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(request.timeout_ms / 1000):
            answer = await client.request(
                request.method,
                request.url,
                headers={**(request.headers or {}), "User-Agent": USER_AGENT},
                content=request.body,
            )
    except TimeoutError:
        waited = (time.monotonic() - started) * 1000
        message = f"Timeout of {request.timeout_ms} ms reached. Total time: {waited:f} ms"
        return Response(request.id, timed_out=True, error_msg=message)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Response(request.id, error_msg=_in_words_of_curl(error))
    return Response(
        request.id,
        status_code=answer.status_code,
        content_type=answer.headers.get("Content-Type"),
        headers=dict(answer.headers),
        content=answer.text.partition("\x00")[0] or None,
    )


def _in_words_of_curl(error: Exception) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)  # type: ignore[arg-type]
    if isinstance(error, httpx.UnsupportedProtocol):
        return "Unsupported protocol"
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "Couldn't resolve host name"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "SSL connect error"
    if isinstance(error, httpx.ConnectError):
        return "Couldn't connect to server"
    if isinstance(error, httpx.RemoteProtocolError):
        return "Server returned nothing (no headers, no data)"
    if isinstance(error, httpx.ReadError):
        return "Failure when receiving data from the peer"
    if isinstance(error, httpx.WriteError):
        return "Failed sending data to the peer"
    if isinstance(error, httpx.TooManyRedirects):
        return "Number of redirects hit maximum amount"
    return f"A libcurl function was given a bad argument: {error}"
