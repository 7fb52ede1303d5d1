"""Connections to the APIs: they tell what came back on them, and end an answer's head that has no
end."""

# ruff: noqa: ASYNC109  # the time limits are httpcore's

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final

import httpcore

# Far more than servers send. Informational answers (1xx) that come one after the other count.
MOST_HEAD_BYTES: Final = 131_072


@dataclass(slots=True)
class Exchange:
    """A request and its answer, as the connection saw them. `received`: bytes of the answer."""

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


class Connector(httpcore.AsyncNetworkBackend):
    """Connects, and notes in the current task's `exchange`."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        exchange.get().is_on_new_connection = True
        return _Stream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        exchange.get().note(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # as httpcore has it
        return self._stream.get_extra_info(info)
