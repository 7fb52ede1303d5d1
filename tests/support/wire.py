"""What workers of this process send over the wire, by the connections of their fetcher."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore
import pytest

from chunkwise.worker.connector import Connector


@dataclass(slots=True)
class Wire:
    """`sent`: the bytes of every request, by the host and port that the connection was asked for;
    a host without any was connected to all the same."""

    sent: dict[tuple[str, int], bytearray] = field(default_factory=dict)

    def to(self, secret: str) -> set[tuple[str, int]]:
        """Where a secret went."""
        return {where for where, data in self.sent.items() if secret.encode() in data}


class _Tapped(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, log: bytearray) -> None:
        self._stream = stream
        self._log = log

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._log += buffer
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # as httpcore has it
        return self._stream.get_extra_info(info)


@contextmanager
def tapped_wire() -> Iterator[Wire]:
    wire = Wire()
    connect = Connector.connect_tcp

    async def connect_tapped(
        self: Connector,
        host: str,
        port: int,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> httpcore.AsyncNetworkStream:
        log = wire.sent.setdefault((host, port), bytearray())
        return _Tapped(await connect(self, host, port, *args, **kwargs), log)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connector, "connect_tcp", connect_tapped)
        yield wire
