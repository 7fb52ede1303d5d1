"""What the gateway makes of answers that are no success, from a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from chunkwise import errors
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.compatibility import connected
from chunkwise.gateway.pages import PagesAsJson
from chunkwise.gateway.protocol import Failure, Page
from chunkwise.secret import Secret
from chunkwise.settings import Settings
from loopback.leases import KEY, claim_json, lease_to
from loopback.server import Answer, Server, reply

Call = Callable[[Gateway], Awaitable[object]]
CALLS: dict[str, Call] = {
    "chunkwise_version": lambda gateway: gateway.chunkwise_version(),
    "claim_next_chunk_job_safe": lambda gateway: gateway.claim_next_chunk_job_safe("w", 1),
    "claim_chunk_job_safe": lambda gateway: gateway.claim_chunk_job_safe(1, "w"),
    "complete_chunk_jobs_safe": lambda gateway: gateway.complete_chunk_jobs_safe([]),
    "fail_chunk_job_safe": lambda gateway: gateway.fail_chunk_job_safe(
        lease_to("https://bison.example"), Failure("released", "")
    ),
    "extend_chunk_leases": lambda gateway: gateway.extend_chunk_leases([]),
}
JSON = "Content-Type: application/json\r\n"
CLOSE = f"{JSON}Connection: close\r\n"


@pytest.fixture
async def gateway(server: Server) -> AsyncIterator[Gateway]:
    async with Gateway.connect(server.url, Secret("sb_secret_abc")) as opened:
        yield opened


def answer(value: object) -> bytes:
    return json.dumps(value).encode()


async def test_a_call_is_one_request_with_the_key(gateway: Gateway, server: Server) -> None:
    server.answer = reply(answer({"schema_version": 1, "protocol_version": 2}), headers=JSON)

    await gateway.chunkwise_version()

    line, *headers = server.requests[0].split("\r\n")
    assert line == "POST /rest/v1/rpc/chunkwise_version HTTP/1.1"
    assert "apiKey: sb_secret_abc" in headers
    assert len(server.requests) == 1


async def test_calls_share_a_connection(gateway: Gateway, server: Server) -> None:
    server.answer = reply(answer({"lease_ms": 20_000}), headers=JSON)
    for _ in range(3):
        await gateway.extend_chunk_leases([])
    assert server.connections == 1


async def test_a_refusal_keeps_code_message_and_hint(gateway: Gateway, server: Server) -> None:
    refusal = {"code": "SY004", "message": "inactive", "details": None, "hint": "activate it"}
    server.answer = reply(answer(refusal), "400 Bad Request", JSON)

    with pytest.raises(errors.DatabaseError) as raised:
        await gateway.start_sync_job(None, [], [])

    error = raised.value
    assert (error.code, error.message, error.hint) == ("SY004", "inactive", "activate it")


async def test_an_outage_is_told_from_a_refusal_and_sent_once(
    gateway: Gateway, server: Server
) -> None:
    server.answer = reply(b"<html>", "502 Bad Gateway")

    with pytest.raises(errors.UnavailableError):
        await gateway.claim_next_chunk_job_safe("w", 1)

    assert len(server.requests) == 1


def claim_with(*way: str | int, value: object) -> tuple[str, object, str]:
    """A claim that is as it should be but for the value at the end of the way."""
    claim = claim_json("https://bison.example")
    part: Any = claim
    for step in way[:-1]:
        part = part[step]
    part[way[-1]] = value
    return "claim_next_chunk_job_safe", claim, ".".join(map(str, way))


@pytest.mark.parametrize(
    ("function", "answered", "field"),
    [
        ("claim_next_chunk_job_safe", {}, "leases"),
        ("claim_next_chunk_job_safe", {"leases": {}}, "leases"),
        ("claim_next_chunk_job_safe", {"leases": [7]}, "leases.0"),
        claim_with("leases", 0, "lease_token", value="x"),
        claim_with("leases", 0, "timeout_ms", value=[KEY]),
        ("claim_chunk_job_safe", {"leases": None}, "leases"),
        ("complete_chunk_jobs_safe", {"outcomes": [{"queue_id": 1}]}, "outcomes.0.outcome"),
        ("fail_chunk_job_safe", {"outcome": "retry"}, "queue_id"),
        ("extend_chunk_leases", {"lease_ms": 20_000, "lost": ["x"]}, "lost.0"),
        ("chunkwise_version", {"schema_version": 1}, "protocol_version"),
    ],
)
async def test_an_answer_that_cannot_be_read_names_the_function_and_the_field(
    gateway: Gateway, server: Server, function: str, answered: object, field: str
) -> None:
    server.answer = reply(answer(answered), headers=JSON)

    with pytest.raises(errors.ProtocolError) as raised:
        await CALLS[function](gateway)

    said = f"{function} answered what this program cannot read: {field}: "
    assert raised.value.message.startswith(said)
    assert KEY not in raised.value.message
    assert raised.value.hint


UNREADABLE = {
    "html": b"<html>",
    "nothing": b"",
    "no text": b"\xff\xfe{",
    "a list": b"[]",
    "deeper than can be read": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number longer than can be read": b'{"leases": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("function", CALLS)
async def test_whatever_a_call_is_answered_it_is_an_error_of_ours(
    gateway: Gateway, server: Server, function: str, body: bytes
) -> None:
    server.answer = reply(body, headers=JSON)

    with pytest.raises(errors.ProtocolError):
        await CALLS[function](gateway)


def by_function(server: Server, **answers: Answer) -> Answer:
    """What each function is answered; no other is known to PostgREST, nor any table."""

    async def answered(writer: asyncio.StreamWriter) -> None:
        path = server.requests[-1].split()[1]
        name = path.removeprefix("/rest/v1/rpc/")
        code = "PGRST202" if name != path else "PGRST205"
        unknown = answer({"code": code, "message": f"no {name} in the schema cache"})
        await answers.get(name, reply(unknown, "404 Not Found", CLOSE))(writer)
        await writer.drain()
        writer.close()

    return answered


def versions(schema: int = 1, protocol: int = 2) -> Answer:
    told = answer({"schema_version": schema, "protocol_version": protocol})
    return reply(told, headers=CLOSE)


ASKING: dict[str, Callable[[Gateway], Awaitable[object]]] = {
    "a function": CALLS["claim_next_chunk_job_safe"],
    "pages": CALLS["complete_chunk_jobs_safe"],
    "a table": lambda gateway: gateway.workspaces(),
}


@pytest.mark.parametrize("asked", ASKING)
@pytest.mark.parametrize(
    ("known", "error", "said", "way_out"),
    [
        ({"chunkwise_version": versions()}, errors.StaleApiError, "older schema", "notify pgrst"),
        (
            {"chunkwise_version": versions(protocol=3)},
            errors.VersionMismatchError,
            "protocol 3, newer",
            "Update the worker",
        ),
        (
            {"chunkwise_version": versions(schema=0)},
            errors.VersionMismatchError,
            "schema 0, older",
            "db push",
        ),
        ({}, errors.SchemaMissingError, "in the schema cache", None),
    ],
    ids=["a stale cache", "another protocol", "another schema", "no schema"],
)
async def test_what_the_api_does_not_know_is_stale_or_another_version_or_not_there(
    gateway: Gateway,
    server: Server,
    asked: str,
    known: dict[str, Answer],
    error: type[errors.ChunkwiseError],
    said: str,
    way_out: str | None,
) -> None:
    server.answer = by_function(server, **known)

    with pytest.raises(error) as raised:
        await ASKING[asked](gateway)

    assert type(raised.value) is error
    assert said in raised.value.message
    assert way_out is None or way_out in (raised.value.hint or "")
    assert isinstance(raised.value, errors.UnavailableError) == (error is errors.StaleApiError)


async def test_an_answer_that_cannot_be_read_may_be_of_another_protocol(
    gateway: Gateway, server: Server
) -> None:
    unreadable = reply(answer({"leases": "here they are"}), headers=CLOSE)
    server.answer = by_function(
        server, chunkwise_version=versions(protocol=3), claim_next_chunk_job_safe=unreadable
    )

    with pytest.raises(errors.VersionMismatchError, match="protocol 3"):
        await gateway.claim_next_chunk_job_safe("w", 1)


ANY_TEXT = [
    "",
    "{}",
    '{"a": "\\\\ \\"é😀\\u0000"}',
    "".join(map(chr, range(1, 0x80))),
    '"' * 300_000,
]


@pytest.mark.parametrize("bodies", [[], *([text] for text in ANY_TEXT), ANY_TEXT])
async def test_pages_are_sent_as_json_of_a_length_known_before(bodies: list[str]) -> None:
    pages = [
        (lease_to("https://bison.example", queue_id=number), Page.of(200, body.encode(), 187))
        for number, body in enumerate(bodies)
    ]
    call = PagesAsJson(pages)

    sent = b"".join([piece async for piece in call])

    assert len(sent) == len(call)
    key = {"lease_token": 90210, "status": 200, "duration_ms": 187}
    assert json.loads(sent) == {
        "p_pages": [{"queue_id": number, "body": body} | key for number, body in enumerate(bodies)]
    }
    # It may have to be repeated.
    assert sent == b"".join([piece async for piece in call])


def settings_for(url: str) -> Settings:
    return Settings.read(SUPABASE_URL=url, SUPABASE_SECRET_KEY="sb_secret_abc")


@pytest.mark.parametrize(
    ("status", "body", "error", "named"),
    [
        ("200 OK", b"<html>", errors.SettingsError, "SUPABASE_URL"),
        ("302 Found", b"", errors.SettingsError, "SUPABASE_URL"),
        ("404 Not Found", b"nothing here", errors.SettingsError, "SUPABASE_URL"),
        (
            "401 Unauthorized",
            answer({"message": "Invalid API key"}),
            errors.SettingsError,
            "SUPABASE_SECRET_KEY",
        ),
        (
            "403 Forbidden",
            answer({"code": "42501", "message": "permission denied"}),
            errors.SettingsError,
            "SUPABASE_SECRET_KEY",
        ),
        (
            "404 Not Found",
            answer({"code": "PGRST202", "message": "no such function"}),
            errors.VersionMismatchError,
            "no Chunkwise schema",
        ),
        (
            "200 OK",
            answer({"schema_version": 0, "protocol_version": 2}),
            errors.VersionMismatchError,
            "older",
        ),
        (
            "200 OK",
            answer({"schema_version": 1, "protocol_version": 3}),
            errors.VersionMismatchError,
            "newer",
        ),
    ],
)
async def test_a_start_that_cannot_work_names_the_thing_and_the_way_out(
    server: Server, status: str, body: bytes, error: type[errors.ChunkwiseError], named: str
) -> None:
    server.answer = reply(body, status, JSON)

    with pytest.raises(error) as raised:
        async with connected(settings_for(server.url)):
            pytest.fail("it connected")

    assert named in raised.value.message
    assert raised.value.hint
    assert "sb_secret_abc" not in raised.value.message + raised.value.hint


async def test_an_unreachable_project_is_a_wrong_setting(server: Server) -> None:
    await server.close()
    with pytest.raises(errors.SettingsError, match="SUPABASE_URL"):
        async with connected(settings_for("http://127.0.0.1:9")):
            pytest.fail("it connected")
