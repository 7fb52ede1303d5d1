"""Which POSTs are hints, over real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import pytest

from chunkwise.errors import SettingsError
from chunkwise.secret import Secret
from chunkwise.wakeups.push import MOST_BYTES, Answer, RefusedError, Webhook
from chunkwise.worker.http_server import Listener, listening_on

TOKEN = "wake-token-of-this-test"
PATIENCE_S = 60.0
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Door:
    """A webhook that listens, and what it passed on."""

    address: str = ""
    ids: list[int | None] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    refused_one: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def hinted(self, queue_id: int | None) -> Answer:
        self.ids.append(queue_id)
        return Answer(HTTPStatus.ACCEPTED, {"message": "accepted"})

    def refused(self, refusal: RefusedError) -> None:
        self.refusals.append(refusal.why)
        self.refused_one.set()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    with listening_on("127.0.0.1:0") as sock:
        listener = Listener(Webhook(Secret(TOKEN), door.hinted, door.refused).app(), sock)
        serving = asyncio.create_task(listener.serve())
        await listener.started()
        door.address = listener.address
        yield door
        listener.close()
        await serving


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        yield client


def row(**record: object) -> dict[str, object]:
    return {
        "type": "UPDATE",
        "table": "sync_page_queue",
        "schema": "public",
        "record": record,
        "old_record": None,
    }


@pytest.mark.parametrize(
    ("body", "queue_id"),
    [
        (row(id=7, status="pending"), 7),
        ({"id": 8}, 8),
        ({"id": 9, "record": {"id": 10}}, 10),
        ({"id": 11, "record": None}, 11),
        ({"id": 12, "record": {"status": "pending"}}, 12),
        (row(id="13"), 13),
        (row(id=2**63 - 1), 2**63 - 1),
        (row(status="pending"), None),
        ({"type": "DELETE", "record": None, "old_record": {"id": 5}}, None),
        ({}, None),
    ],
)
async def test_the_id_is_that_of_the_record_or_of_the_hint(
    door: Door, http: httpx.AsyncClient, body: object, queue_id: int | None
) -> None:
    answer = await http.post(door.url, json=body, headers=AUTHORIZED)

    assert answer.status_code == 202
    assert answer.json() == {"message": "accepted"}
    assert door.ids == [queue_id]
    assert door.refusals == []


@pytest.mark.parametrize("identity", [0, -1, 2**63, 1.5, True, "x", "1 or 1=1", "9" * 30, [7], {}])
async def test_what_cannot_be_an_id_is_refused(
    door: Door, http: httpx.AsyncClient, identity: object
) -> None:
    answer = await http.post(door.url, json=row(id=identity), headers=AUTHORIZED)

    assert answer.status_code == 400
    assert (door.ids, door.refusals) == ([], ["no_chunk_id"])


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b"7", b"null", b"\xff\xfe{}", b"[" * 60_000, b"1" * 9000, b'{"id": 7} x'],
)
async def test_what_is_no_json_object_is_refused(
    door: Door, http: httpx.AsyncClient, body: bytes
) -> None:
    answer = await http.post(door.url, content=body, headers=AUTHORIZED)

    assert answer.status_code == 400
    assert (door.ids, door.refusals) == ([], ["not_json"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN} "[:-2]},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": b"Bearer " + "wäke".encode("latin-1")},
        {"apikey": TOKEN},
    ],
)
async def test_a_wrong_token_is_refused_before_the_body_is_read(
    door: Door, headers: dict[str, str | bytes]
) -> None:
    lines = [f"{name}: ".encode() + _bytes(value) for name, value in headers.items()]
    answer = await exchange(door, [*lines, b"Content-Length: 60000"], [])

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert (door.ids, door.refusals) == ([], ["wrong_token"])


async def test_a_large_body_is_refused_by_its_declared_length(door: Door) -> None:
    answer = await exchange(door, [*authorized(), b"Content-Length: 99999999999"], [])

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert door.refusals == ["too_large"]


async def test_a_large_body_is_refused_without_a_declared_length(door: Door) -> None:
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    answer = await exchange(door, [*authorized(), b"Transfer-Encoding: chunked"], [chunk] * 5)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert (door.ids, door.refusals) == ([], ["too_large"])


async def test_a_body_in_chunks_is_read(door: Door) -> None:
    chunks = [b'3\r\n{"i\r\n', b'6\r\nd": 7}\r\n', b"0\r\n\r\n"]
    headers = [*authorized(), b"Transfer-Encoding: chunked", b"Connection: close"]
    answer = await exchange(door, headers, chunks)

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert door.ids == [7]


async def test_the_largest_body_passes(door: Door, http: httpx.AsyncClient) -> None:
    hint = json.dumps({"id": 7}).encode()
    for size, status in ((MOST_BYTES, 202), (MOST_BYTES + 1, 413)):
        answer = await http.post(door.url, content=hint.ljust(size), headers=AUTHORIZED)
        assert answer.status_code == status
    assert door.ids == [7]


async def test_a_body_that_breaks_off_is_no_hint(door: Door) -> None:
    _, writer = await asyncio.open_connection(*door.address.rsplit(":", 1))
    writer.write(head([*authorized(), b"Content-Length: 60"]) + b'{"id": 7}')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(door.refused_one.wait(), PATIENCE_S)
    assert (door.ids, door.refusals) == ([], ["incomplete"])


async def test_other_paths_and_methods_are_no_hints(door: Door, http: httpx.AsyncClient) -> None:
    assert (await http.get(door.url)).status_code == 405
    assert (await http.post(f"{door.url}/x", headers=AUTHORIZED)).status_code == 404
    assert door.ids == []


@pytest.mark.parametrize(
    "address", ["8080", ":8080", "127.0.0.1:", "127.0.0.1:99999", "a b:80", ""]
)
def test_what_is_no_address_is_said_in_a_sentence(address: str) -> None:
    with pytest.raises(SettingsError):
        listening_on(address)


def test_an_address_in_use_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SettingsError, match="in use"):
            listening_on(address)


def authorized() -> list[bytes]:
    return [f"Authorization: Bearer {TOKEN}".encode()]


def head(lines: list[bytes]) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", *lines, b"", b""])


async def exchange(door: Door, lines: list[bytes], parts: list[bytes]) -> bytes:
    """Send a request byte by byte; what comes back until the server closes."""
    reader, writer = await asyncio.open_connection(*door.address.rsplit(":", 1))
    try:
        for part in [head(lines), *parts]:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
