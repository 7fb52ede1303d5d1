"""What can go wrong between a worker, an operator's command and the database.

ChunkwiseError                   message, hint, exit code
├── SettingsError                a setting is missing or wrong
├── ProtocolError                an answer that docs/worker-protocol.md does not know
├── VersionMismatchError         schema or protocol older or newer than this program
├── UnavailableError             no answer, or an answer that says "not now": may be repeated
│   └── StaleApiError            the schema is there, and the API has not read it yet
└── DatabaseError                the database refused; `code` is its SQLSTATE; unknown codes too
    ├── KeyRefusedError          SUPABASE_SECRET_KEY is not accepted, or may not do this
    ├── SchemaMissingError       the function or table does not exist there
    ├── LeaseLostError           SY001: another worker owns the chunk
    └── UnknownNameError         SY002, SY003: there is no workspace, source or stream of that name
"""

import json
import re
from http import HTTPStatus
from typing import Final

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_VERSION: Final = 3

SCHEMA_HINT: Final = "Push the migrations with `supabase db push --remote`."
RELOAD_HINT: Final = "Run `notify pgrst, 'reload schema';` in the SQL editor."


class ChunkwiseError(Exception):
    exit_code: int = EXIT_FAILED

    def __init__(self, message: str, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def fields(self) -> dict[str, str]:
        """For a log line."""
        known = {"error": self.message, "hint": self.hint, "code": self.code}
        return {name: value for name, value in known.items() if value is not None}


class SettingsError(ChunkwiseError):
    exit_code = EXIT_SETTINGS


class ProtocolError(ChunkwiseError):
    pass


class VersionMismatchError(ChunkwiseError):
    exit_code = EXIT_VERSION


class UnavailableError(ChunkwiseError):
    """`status` is the HTTP status, None if no answer came at all."""

    exit_code = EXIT_SETTINGS

    def __init__(self, message: str, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


class StaleApiError(UnavailableError):
    """PostgREST reads the schema anew when it is told, some seconds after a migration at most."""

    exit_code = EXIT_VERSION

    def __init__(self, missing: str, code: str | None) -> None:
        super().__init__(f"the API serves an older schema than the database has: {missing}", code)
        self.hint = RELOAD_HINT


class DatabaseError(ChunkwiseError):
    pass


class KeyRefusedError(DatabaseError):
    exit_code = EXIT_SETTINGS


class SchemaMissingError(DatabaseError):
    exit_code = EXIT_VERSION


class LeaseLostError(DatabaseError):
    pass


class UnknownNameError(DatabaseError):
    pass


# PostgREST's own, for what the schema that it has read does not hold.
NOT_IN_THE_CACHE: Final = ("PGRST202", "PGRST205")

# PGRST301-303: the key's JWT is not accepted; 42501: its role may not do this.
_BY_CODE: Final[dict[str, type[DatabaseError]]] = {
    "SY001": LeaseLostError,
    "SY002": UnknownNameError,
    "SY003": UnknownNameError,
    **dict.fromkeys(NOT_IN_THE_CACHE, SchemaMissingError),
    "42883": SchemaMissingError,
    "42P01": SchemaMissingError,
    "PGRST301": KeyRefusedError,
    "PGRST302": KeyRefusedError,
    "PGRST303": KeyRefusedError,
    "42501": KeyRefusedError,
}

# Trouble of the database's own, as sync.is_own_trouble() has it: the same call may well succeed
# later. Connection lost; a deadlock; out of memory, disk or connections; a lock not had in time;
# canceled, out of time or shutting down; disk errors; read only; errors of its own; no connection
# from PostgREST's pool.
_NOT_NOW: Final = ("08", "40", "53", "55P03", "57", "58", "25006", "25P04", "XX", "PGRST00")
_NOT_NOW_STATUS: Final = frozenset({408, 425, 429})
# A hosted gateway's clock runs ahead of PostgREST's now and then: the key is not the reason.
_TOO_EARLY: Final = re.compile(r"issued ?at ?future|not ?yet ?valid", re.IGNORECASE)
_KNOWN_CODE: Final = re.compile(r"PGRST[0-9]{3}|[0-9A-Z]{5}")


def from_answer(status: int, body: bytes) -> ChunkwiseError:
    """The error that a refused call's HTTP answer means; PostgREST's errors are JSON objects."""
    answer = _json_object(body)
    code = _text(answer, "code")
    # Auth says `msg`.
    said = _text(answer, "message") or _text(answer, "msg")
    message = said or f"HTTP {status} without a PostgREST error"
    hint = _text(answer, "hint")
    if answer.get("code") == "":
        # PostgREST's words, and status 400, for a connection that broke off within a statement.
        return UnavailableError("the database broke off the connection", status=status)
    if code is None or not _KNOWN_CODE.fullmatch(code):
        return _from_status(status, message, hint)
    is_too_early = status == HTTPStatus.UNAUTHORIZED and _TOO_EARLY.search(message)
    if code.startswith(_NOT_NOW) or is_too_early:
        return UnavailableError(message, code, status)
    return _BY_CODE.get(code, DatabaseError)(message, hint, code)


def _from_status(status: int, message: str, hint: str | None) -> ChunkwiseError:
    """What stands before PostgREST answered."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _NOT_NOW_STATUS:
        return UnavailableError(message, str(status), status)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return KeyRefusedError(message, hint, str(status))
    return DatabaseError(message, hint, str(status))


def _json_object(body: bytes) -> dict[str, object]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, or deeper than can be read
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(answer: dict[str, object], name: str) -> str | None:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        return None
    # Half a pair of surrogates could neither be logged nor handed on.
    return value.encode("utf-8", "replace").decode()
