"""How an answer's bytes go over the wire, and the two ways to spoil that."""

import asyncio
import math
import socket
import struct
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Linger on, for no time: closing sends a reset.
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The answer stops after so many bytes of its body, or before its head (None).

    `reset`: the connection is reset; `cut`: it is closed in order, too early for Content-Length;
    `hang`: it stays open and silent until the client leaves.
    """

    how: Literal["reset", "cut", "hang"]
    after_bytes: int | None = None
    fault: Literal["break"] = "break"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The body arrives in so many parts, with a pause before each."""

    parts: int
    pause_ms: float
    fault: Literal["drip"] = "drip"


class ConnectionProtocol(HttpToolsProtocol):
    """Lets the application reach the connection, as `scope["state"]["transport"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class SpoiltDelivery(Response):
    """Sends another response, badly."""

    def __init__(self, whole: Response, fault: Break | Drip) -> None:
        super().__init__(bytes(whole.body), whole.status_code)
        self.raw_headers = whole.raw_headers
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self._fault:
            case Drip(parts=parts, pause_ms=pause_ms):
                await self._drip(receive, send, parts, pause_ms / 1_000)
            case Break(how=how, after_bytes=after):
                if after is not None:
                    await self._start(send)
                    await _send(send, bytes(self.body[:after]))
                if how != "hang":
                    end(scope["state"]["transport"], by_reset=how == "reset")
                await until_client_gone(receive)

    async def _drip(self, receive: Receive, send: Send, parts: int, pause_s: float) -> None:
        await self._start(send)
        step = max(math.ceil(len(self.body) / parts), 1)
        for at in range(0, len(self.body), step):
            if await _client_leaves_within(pause_s, receive):
                return
            await _send(send, bytes(self.body[at : at + step]))
        await _send(send, b"", more=False)

    async def _start(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )


def end(transport: asyncio.Transport, *, by_reset: bool) -> None:
    if by_reset:
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    else:
        transport.close()


async def until_client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _client_leaves_within(seconds: float, receive: Receive) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await until_client_gone(receive)
    except TimeoutError:
        return False
    return True


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
