"""A connection of its own, as DATABASE_URL names it."""

import ssl
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection

from chunkwise.errors import ChunkwiseError, SettingsError

STATEMENT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 10
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HINT: Final = "It reads postgresql://user:password@host:5432/postgres; the dashboard shows it."

Row = dict[str, Any]


class QueryError(ChunkwiseError):
    """The database did not answer a question; the text says why."""


class Database:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, env: Mapping[str, str]) -> Self:
        """Raises SettingsError."""
        url = env.get("DATABASE_URL", "").strip()
        if not url:
            raise SettingsError("DATABASE_URL is not set", HINT)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 5432
            (host or "").encode("idna")  # as connecting will: `db..supabase.co` is no name
        except ValueError:
            host, port = None, 0
        if not host or parts.scheme not in ("postgres", "postgresql"):
            raise SettingsError("DATABASE_URL is not the URL of a database", HINT)
        try:
            connection = Connection(
                unquote(parts.username or "postgres"),
                host=host,
                port=port,
                password=unquote(parts.password or ""),
                database=unquote(parts.path.removeprefix("/")) or "postgres",
                timeout=CONNECT_SECONDS + STATEMENT_SECONDS,
                ssl_context=_ssl_context(host, parts.query),
                application_name="chunkwise doctor",
            )
        except (Error, OSError) as error:
            raise SettingsError(
                f"the database of DATABASE_URL cannot be reached: {_reason(error)}", HINT
            ) from None
        connection.run(f"set statement_timeout = '{STATEMENT_SECONDS}s'")
        return cls(connection)

    def rows(self, sql: str, **arguments: object) -> list[Row]:
        """Raises QueryError."""
        try:
            found = self._connection.run(sql, **arguments)
        except (Error, OSError) as error:
            raise QueryError(_reason(error)) from None
        names = [str(column["name"]) for column in self._connection.columns or ()]
        return [dict(zip(names, row, strict=True)) for row in found or ()]

    def close(self) -> None:
        self._connection.close()


def _ssl_context(host: str, query: str) -> ssl.SSLContext | None:
    """As libpq's sslmode: `require` encrypts, `verify-full` asks who is there too."""
    mode = parse_qs(query).get("sslmode", ["disable" if host in LOOPBACK else "require"])[0]
    if mode == "disable":
        return None
    context = ssl.create_default_context()
    if mode not in ("verify-ca", "verify-full"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    told = error.args[0] if error.args else error
    if isinstance(error, DatabaseError) and isinstance(told, dict):
        return str(told.get("M"))
    return str(told)
