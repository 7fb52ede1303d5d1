"""Which error an answer of the database means."""

import json

import pytest

from chunkwise import errors


def postgrest(code: str | None, message: str = "m", hint: str | None = "h") -> bytes:
    return json.dumps({"code": code, "message": message, "details": None, "hint": hint}).encode()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, postgrest("SY001"), errors.LeaseLostError),
        (404, postgrest("PGRST202"), errors.SchemaMissingError),
        (404, postgrest("42883"), errors.SchemaMissingError),
        (403, postgrest("42501"), errors.KeyRefusedError),
        (401, postgrest("PGRST301"), errors.KeyRefusedError),
        (401, b'{"message": "Invalid API key"}', errors.KeyRefusedError),
        (503, postgrest("PGRST001"), errors.UnavailableError),
        (504, postgrest("PGRST003"), errors.UnavailableError),
        (503, postgrest("57P01"), errors.UnavailableError),
        (503, postgrest("08006"), errors.UnavailableError),
        (503, postgrest("53300"), errors.UnavailableError),
        (500, postgrest("40P01"), errors.UnavailableError),
        (500, postgrest("40001"), errors.UnavailableError),
        (503, postgrest("53100"), errors.UnavailableError),
        (500, postgrest("55P03"), errors.UnavailableError),
        (500, postgrest("57014"), errors.UnavailableError),
        (500, postgrest("58030"), errors.UnavailableError),
        (405, postgrest("25006"), errors.UnavailableError),
        (500, postgrest("XX000"), errors.UnavailableError),
        (401, postgrest("PGRST303", "JWT issued at future"), errors.UnavailableError),
        (401, postgrest("PGRST301", "JWTIssuedAtFuture"), errors.UnavailableError),
        (401, postgrest("PGRST303", "JWT not yet valid"), errors.UnavailableError),
        (401, postgrest("PGRST303", "JWT expired"), errors.KeyRefusedError),
        (400, postgrest("", "", None), errors.UnavailableError),
        (502, b"<html>Bad Gateway</html>", errors.UnavailableError),
        (520, b"", errors.UnavailableError),
        (500, b'{"code": 500, "message": "no upstream"}', errors.UnavailableError),
        (530, b'{"code": "origin_dns_error"}', errors.UnavailableError),
        (429, b"", errors.UnavailableError),
        (502, b"[" * 100_000, errors.UnavailableError),
        (500, b'{"code": ' + b"9" * 5000 + b"}", errors.UnavailableError),
    ],
)
def test_the_code_decides(status: int, body: bytes, error: type[errors.ChunkwiseError]) -> None:
    assert type(errors.from_answer(status, body)) is error


@pytest.mark.parametrize("code", ["SY999", "22P05", "25P02", "55000", "P0001"])
def test_unknown_codes_pass_through(code: str) -> None:
    error = errors.from_answer(400, postgrest(code, "what", "how"))

    assert type(error) is errors.DatabaseError
    assert (error.code, error.message, error.hint) == (code, "what", "how")


def test_an_answer_that_is_no_postgrest_error_keeps_its_status() -> None:
    error = errors.from_answer(404, b"[1]")

    assert type(error) is errors.DatabaseError
    assert (error.code, error.message) == ("404", "HTTP 404 without a PostgREST error")


def test_what_it_says_can_be_handed_on() -> None:
    error = errors.from_answer(400, b'{"code": "P0001", "message": "half \\ud83d", "hint": "a"}')

    assert (error.message, error.hint) == ("half ?", "a")


def test_log_fields_are_those_that_are_known() -> None:
    error = errors.from_answer(400, postgrest("SY002", "no such workspace", None))
    assert error.fields() == {"error": "no such workspace", "code": "SY002"}
