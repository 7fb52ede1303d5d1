"""What can go wrong between a worker, an operator's command and the database.

ChunkwiseError                   message, hint, exit code
├── SettingsError                a setting is missing or wrong
├── ProtocolError                an answer that docs/worker-protocol.md does not know
├── VersionMismatchError         schema or protocol older or newer than this program
├── UnavailableError             no answer, or an answer that says "not now": may be repeated
└── DatabaseError                the database refused; `code` is its SQLSTATE; unknown codes too
    ├── KeyRefusedError          SUPABASE_SECRET_KEY is not accepted, or may not do this
    ├── SchemaMissingError       the function or table does not exist there
    └── LeaseLostError           SY001: another worker owns the chunk
"""

import json
from typing import Final

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_VERSION: Final = 3

SCHEMA_HINT: Final = "Push the migrations with `supabase db push`."


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


class DatabaseError(ChunkwiseError):
    pass


class KeyRefusedError(DatabaseError):
    exit_code = EXIT_SETTINGS


class SchemaMissingError(DatabaseError):
    exit_code = EXIT_VERSION


class LeaseLostError(DatabaseError):
    pass


# PGRST301-303: the key's JWT is not accepted; 42501: its role may not do this.
_BY_CODE: Final[dict[str, type[DatabaseError]]] = {
    "SY001": LeaseLostError,
    "PGRST202": SchemaMissingError,
    "PGRST205": SchemaMissingError,
    "42883": SchemaMissingError,
    "42P01": SchemaMissingError,
    "PGRST301": KeyRefusedError,
    "PGRST302": KeyRefusedError,
    "PGRST303": KeyRefusedError,
    "42501": KeyRefusedError,
}

# Connection lost, out of resources, shutting down, no connection from PostgREST's pool,
# a deadlock or a lock not had in time: the same call may well succeed later.
_NOT_NOW: Final = ("08", "53", "57P", "PGRST00", "40P01", "55P03")
_NOT_NOW_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


def from_answer(status: int, body: bytes) -> ChunkwiseError:
    """The error that a refused call's HTTP answer means; PostgREST's errors are JSON objects."""
    answer = _json_object(body)
    code = _text(answer, "code")
    message = _text(answer, "message") or f"HTTP {status} without a PostgREST error"
    hint = _text(answer, "hint")
    if answer.get("code") == "":
        # PostgREST's words, and status 400, for a connection that broke off within a statement.
        return UnavailableError("the database broke off the connection", status=status)
    if code is None:
        if status in (401, 403):
            return KeyRefusedError(message, hint, str(status))
        if status in _NOT_NOW_STATUS:
            return UnavailableError(message, str(status), status)
        return DatabaseError(message, hint, str(status))
    if code.startswith(_NOT_NOW):
        return UnavailableError(message, code, status)
    return _BY_CODE.get(code, DatabaseError)(message, hint, code)


def _json_object(body: bytes) -> dict[str, object]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(answer: dict[str, object], name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) and value else None
