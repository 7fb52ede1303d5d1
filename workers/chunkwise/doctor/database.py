"""A connection of its own, as DATABASE_URL names it.

It may lead through a transaction pooler, which gives every transaction another session: each
question is a transaction of its own, with the simple protocol and settings that end with it.
"""

import contextlib
import socket
import ssl
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection, literal

from chunkwise.errors import ChunkwiseError, SettingsError
from chunkwise.secret import Secret

STATEMENT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 10
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HINT: Final = (
    "It reads postgresql://user:password@host:5432/postgres: the dashboard shows it under Connect,"
    " Session pooler."
)
IPV4_HINT: Final = (
    "Its host has IPv6 only, as a project's direct connection does, and this machine may have none:"
    " take the string that the dashboard shows under Connect, Session pooler."
)
BEGIN: Final = f"begin read write; set local statement_timeout = '{STATEMENT_SECONDS}s'"

Row = dict[str, Any]


class QueryError(ChunkwiseError):
    """The database did not answer a question; the text says why."""


class Database:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, database_url: Secret | None) -> Self:
        """Raises SettingsError."""
        if database_url is None:
            raise SettingsError("DATABASE_URL is not set", HINT)
        url = database_url.reveal()
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
                f"the database of DATABASE_URL cannot be reached: {_reason(error)}",
                IPV4_HINT if host not in LOOPBACK and _has_ipv6_only(host, port) else HINT,
            ) from None
        return cls(connection)

    def rows(self, sql: str, **arguments: object) -> list[Row]:
        """Raises QueryError."""
        for name, value in arguments.items():
            sql = sql.replace(f":{name}", literal(value))
        try:
            self._connection.run(BEGIN)
            found = self._connection.run(sql)
            names = [str(column["name"]) for column in self._connection.columns or ()]
            self._connection.run("commit")
        except (Error, OSError) as error:
            with contextlib.suppress(Error, OSError):
                self._connection.run("rollback")
            raise QueryError(_reason(error)) from None
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


def _has_ipv6_only(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return {family for family, *_ in found} == {socket.AF_INET6}


def _reason(error: Exception) -> str:
    told = error.args[0] if error.args else error
    if isinstance(error, DatabaseError) and isinstance(told, dict):
        return str(told.get("M"))
    return str(told)
