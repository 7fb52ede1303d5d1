"""Connections to the APIs: only to addresses that the request may reach; they tell what came back
on them, and end an answer's head that has no end."""

# ruff: noqa: ASYNC109  # the time limits are httpcore's

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final

import httpcore
from httpcore._utils import is_socket_readable

from chunkwise.gateway.protocol import Reach
from chunkwise.worker.addresses import is_within

# Far more than servers send. Informational answers (1xx) that come one after the other count.
MOST_HEAD_BYTES: Final = 131_072
MOST_NAMED: Final = 2


@dataclass(slots=True)
class Exchange:
    """A request and its answer, as the connection saw them. `reach`: where it may go; `received`:
    bytes of the answer."""

    reach: Reach
    is_on_new_connection: bool = False
    received: int = 0
    has_head: bool = False

    @property
    def found_connection_closed(self) -> bool:
        """Whether an error means that the server had closed a kept-alive connection before it saw
        the request: nothing of an answer came back."""
        return not self.is_on_new_connection and self.received == 0

    def note(self, size: int) -> None:
        self.received += size
        if not self.has_head and self.received > MOST_HEAD_BYTES:
            raise httpcore.RemoteProtocolError(
                f"the answer's headers are longer than {MOST_HEAD_BYTES} bytes"
            )


exchange: Final[ContextVar[Exchange]] = ContextVar("exchange")


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once, in the order in which they are to be tried."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Connector(httpcore.AsyncNetworkBackend):
    """Connects, and notes in the current task's `exchange`.

    A name is resolved here, once, and the address that was looked at is the one connected to: a
    name that answers otherwise a moment later changes nothing. TLS and the header Host still have
    the name. Without `resolve`, for a proxy, the name is connected to: the proxy resolves what
    stands behind it.
    """

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend, resolve: Resolve | None = resolve
    ) -> None:
        self._backend = backend
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        exchange.get().is_on_new_connection = True

        async def connect(to: str, seconds: float | None) -> httpcore.AsyncNetworkStream:
            return await self._backend.connect_tcp(to, port, seconds, local_address, socket_options)

        if self._resolve is None:
            return _Stream(await connect(host, timeout), None)
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [address for address in found if is_within(exchange.get().reach, address)]
        if not addresses:
            raise httpcore.ConnectError(_refusal(host, found))
        for position, address in enumerate(addresses):
            left = len(addresses) - position
            share = timeout and max(0.0, timeout - (time.monotonic() - started)) / left
            try:
                return _Stream(await connect(address, share), address)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def _refusal(host: str, found: Sequence[str]) -> str:
    named = (
        host
        if list(found) == [host]
        else f"{host} is at {', '.join(found[:MOST_NAMED]) or 'no address'}"
    )
    return (
        f"{named}: nothing is sent to private addresses unless"
        " set_setting('allow_private_addresses', 'true') says so"
    )


class _Stream(httpcore.AsyncNetworkStream):
    """`address`: what it is connected to, if that was looked at. A later request may reach less far
    than the one that opened it."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, address: str | None) -> None:
        self._stream = stream
        self._address = address
        self._socket: socket.socket | None = stream.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        exchange.get().note(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        seen = exchange.get()
        if self._address and not is_within(seen.reach, self._address):
            seen.is_on_new_connection = True  # it is not the server that closes this one
            raise httpcore.WriteError(_refusal(self._address, [self._address]))
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(stream, self._address)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # as httpcore has it
        # The pool asks every idle connection before each request, and the stream would collect all
        # that can be asked of it.
        if info == "is_readable" and self._socket is not None:
            return is_socket_readable(self._socket)
        return self._stream.get_extra_info(info)
