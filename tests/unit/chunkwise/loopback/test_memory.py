"""One answer costs a worker's process at most 64 MB above idle, whatever it says."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

PROCESS = Path(__file__).with_name("one_fetch.py")
MOST_BYTES = 64_000_000
LIMIT = 8_388_608
GZIP = "Content-Encoding: gzip\r\n"
BOMB = gzip.compress(b" " * 400_000_000)
ANSWERS: dict[str, tuple[str, str, bytes]] = {
    "a bomb": ("200 OK", GZIP, BOMB),
    "a bomb packed twice": ("200 OK", "Content-Encoding: gzip, gzip\r\n", gzip.compress(BOMB)),
    "a bomb of an error": ("429 Too Many Requests", GZIP, BOMB),
    "the longest page, with an emoji": ("200 OK", "", "😀".encode() + b"x" * (LIMIT - 4)),
    "the longest page, packed": ("200 OK", GZIP, gzip.compress(b'"' * LIMIT)),
    "the longest page, of control characters": ("200 OK", "", b"\x01" * LIMIT),
    "a page without end": ("200 OK", "", b"x" * 100_000_000),
    "brackets": ("429 Too Many Requests", "", b"[" * 60_000),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_one_answer_costs_at_most_64_mb(what: str) -> None:
    async with serving(*ANSWERS[what]) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(PROCESS), f"{url}/small", f"{url}/large"),
            stdout=asyncio.subprocess.PIPE,
        )
        grown, _ = await process.communicate()
    assert process.returncode == 0
    assert int(grown) < MOST_BYTES


@asynccontextmanager
async def serving(status: str, headers: str, body: bytes) -> AsyncIterator[str]:
    """An API with one small and one large answer, and a database that takes every page."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("POST"):
            left = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            while left:
                left -= len(await reader.read(min(left, 65_536)))
            answer = ("200 OK", "Content-Type: application/json\r\n", b'{"outcomes": []}')
        else:
            answer = (status, headers, body) if "/large" in head else ("200 OK", "", b"{}")
        first = f"HTTP/1.1 {answer[0]}\r\n{answer[1]}Connection: close\r\n\r\n"
        writer.write(first.encode())
        for at in range(0, len(answer[2]), 65_536):
            if writer.is_closing():
                break
            writer.write(answer[2][at : at + 65_536])
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
