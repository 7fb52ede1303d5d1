"""A real HTTP server on loopback whose answers a test writes byte by byte."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Every request is noted and answered by `answer`."""

    answer: Answer
    url: str = ""
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    open: dict[asyncio.StreamWriter, asyncio.Event] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open[writer] = asyncio.Event()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                await self.answer(writer)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.open.pop(writer).set()

    async def close(self) -> None:
        for writer, closed in list(self.open.items()):
            writer.transport.abort()
            await closed.wait()


def reply(
    body: bytes = b"", status: str = "200 OK", headers: str = "", declared: int | None = None
) -> Answer:
    """A whole answer with Content-Length, or with another one declared."""
    length = len(body) if declared is None else declared

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n".encode())
        writer.write(body)

    return answer
