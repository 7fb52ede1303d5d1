"""A caller's upgraded connection: bytes both ways between a WebSocket client and Realtime."""

import asyncio
import json
from http import HTTPStatus


class Tunnel(asyncio.Protocol):
    """Takes over a caller's transport; `head` is the request that opens the socket."""

    def __init__(self, caller: asyncio.Transport, head: bytes) -> None:
        self._caller = caller
        self._unsent = bytearray(head)
        self._server: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    def open(self, server_socket: str) -> None:
        self._caller.set_protocol(self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect(server_socket))

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._unsent += data
        else:
            self._server.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._server is not None:
            self._server.close()

    async def _connect(self, server_socket: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_unix_connection(
                lambda: FarEnd(self._caller), server_socket
            )
        except OSError:
            self._caller.write(_unavailable())
            self._caller.close()
            return
        self._server = transport
        self._server.write(bytes(self._unsent))
        self._unsent.clear()


class FarEnd(asyncio.Protocol):
    """The connection to Realtime: hands every byte to the caller, and its end too."""

    def __init__(self, caller: asyncio.Transport) -> None:
        self._caller = caller

    def data_received(self, data: bytes) -> None:
        self._caller.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._caller.close()


def _unavailable() -> bytes:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps({"message": "Realtime does not answer"}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
