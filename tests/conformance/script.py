"""An API that misbehaves as it is told, and remembers what it was sent."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its headers by lower-case name, its query as pairs."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `hangs`: none comes; `breaks`: it ends before its length."""

    status: str = "200 OK"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    breaks: bool = False


Answer = Callable[[Asked], Said]


def page(ids: list[int], total: int, last_page: int = 1) -> Said:
    """Of a list that counts its records."""
    answer = {
        "data": [{"id": each, "name": f"record {each}"} for each in ids],
        "meta": {"total": total, "last_page": last_page},
    }
    return Said(body=json.dumps(answer).encode())


def in_turn(*answers: Said) -> Answer:
    """One after the other; the last one again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@dataclass(slots=True)
class Script:
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: dict[str, list[Asked]] = field(default_factory=lambda: defaultdict(list))
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Script"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while asked := await _read(reader):
                self.asked[asked.path].append(asked)
                answer = self.answers.get(asked.path)
                said = answer(asked) if answer else Said("404 Not Found", b'{"message": "no"}')
                if said.hangs:
                    await reader.read()
                    break
                length = len(said.body) + (10 if said.breaks else 0)
                lines = [f"{name}: {value}" for name, value in said.headers.items()]
                head = [f"HTTP/1.1 {said.status}", f"Content-Length: {length}", *lines, "", ""]
                writer.write("\r\n".join(head).encode() + said.body)
                await writer.drain()
                if said.breaks:
                    break
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    pairs = (each.partition(":") for each in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    query = parse_qsl(url.query, keep_blank_values=True)
    return Asked(method, url.path, query, headers, body)
