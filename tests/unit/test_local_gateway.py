"""The gateway of a local stack, before a PostgREST that answers before it has read a request."""

import asyncio
from pathlib import Path

import pytest

from local.auth import Auth
from local.door import Door
from local.gateway import Caller

DOOR = Door(publishable_key="public", secret_key="secret", anon_token="a", service_token="s")
EARLY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.asyncio
async def test_the_rest_of_an_answered_request_is_no_request(tmp_path: Path) -> None:
    """PostgREST refuses a call while it starts, and closes the connection."""
    heads: list[bytes] = []

    async def postgrest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(EARLY if len(heads) == 1 else OK)
        writer.close()

    backend = str(tmp_path / "postgrest")
    listening = await asyncio.start_unix_server(postgrest, backend)
    loop = asyncio.get_running_loop()
    gateway = await loop.create_server(
        lambda: Caller(DOOR, Auth("", ""), backend, backend), "127.0.0.1", 0
    )
    async with listening, gateway:
        reader, writer = await asyncio.open_connection(*gateway.sockets[0].getsockname())
        writer.write(_request(b"POST /rest/v1/rpc/one", b"content-length: 10") + b"12345")
        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"67890" + _request(b"GET /rest/v1/two"))
        second = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert (first, second) == (EARLY, OK)
    assert heads == [b"POST /rpc/one HTTP/1.1", b"GET /two HTTP/1.1"]


def _request(line: bytes, *headers: bytes) -> bytes:
    head = (line + b" HTTP/1.1", b"host: gateway", b"apikey: secret", *headers)
    return b"\r\n".join(head) + b"\r\n\r\n"
