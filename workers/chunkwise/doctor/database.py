"""A connection of its own, as DATABASE_URL names it.

It may lead through a transaction pooler, which gives every transaction another session: each
question is a transaction of its own, with the simple protocol and settings that end with it.
"""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection, literal

from chunkwise.errors import ChunkwiseError, SettingsError
from chunkwise.secret import Secret
from chunkwise.settings import is_loopback

STATEMENT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 10
# libpq's: what is not checked is encrypted all the same.
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
HINT: Final = (
    "It reads postgresql://user:password@host:5432/postgres: the dashboard shows it under Connect,"
    " Session pooler."
)
IPV4_HINT: Final = (
    "Its host has IPv6 only, as a project's direct connection does, and this machine may have none:"
    " take the string that the dashboard shows under Connect, Session pooler."
)
CERTIFICATE_HINT: Final = (
    "Download the root certificate in the dashboard under Database, SSL Configuration, and name its"
    " file in CHUNKWISE_DATABASE_CERTIFICATE."
)
BEGIN: Final = f"begin read write; set local statement_timeout = '{STATEMENT_SECONDS}s'"

Row = dict[str, Any]


class QueryError(ChunkwiseError):
    """The database did not answer a question; the text says why."""


class Database:
    """`security`: how the connection is protected, in words."""

    def __init__(self, connection: Connection, security: str) -> None:
        self._connection = connection
        self.security = security

    @classmethod
    def connect(cls, database_url: Secret | None, certificate: Path | None = None) -> Self:
        """`certificate`: the file of the root certificate to trust; with one the server is asked
        who it is unless the URL says otherwise. Raises SettingsError."""
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
        context, security = _protection(host, parts.query, certificate)
        try:
            connection = Connection(
                unquote(parts.username or "postgres"),
                host=host,
                port=port,
                password=unquote(parts.password or ""),
                database=unquote(parts.path.removeprefix("/")) or "postgres",
                timeout=CONNECT_SECONDS + STATEMENT_SECONDS,
                ssl_context=context,
                application_name="chunkwise doctor",
            )
        except (Error, OSError) as error:
            raise SettingsError(
                f"the database of DATABASE_URL cannot be reached: {_reason(error)}",
                _way_out(error, host, port),
            ) from None
        return cls(connection, security)

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


def _protection(
    host: str, query: str, certificate: Path | None
) -> tuple[ssl.SSLContext | Literal[False], str]:
    """As libpq's sslmode: `require` encrypts, `verify-full` asks who is there too. False: not
    encrypted; of None pg8000 would make what it can get."""
    asked = parse_qs(query)
    file = certificate or next(map(Path, asked.get("sslrootcert", [])), None)
    usual = "disable" if is_loopback(host) else "verify-full" if file else "require"
    mode = asked.get("sslmode", [usual])[0]
    if mode not in SSL_MODES:
        raise SettingsError(
            f"sslmode of DATABASE_URL is {mode[:40]!r}", f"It is one of {', '.join(SSL_MODES)}."
        )
    if mode == "disable":
        return False, "not encrypted (sslmode=disable)"
    if not mode.startswith("verify-"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context, f"encrypted, the server not asked who it is (sslmode={mode})"
    try:
        context = ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"{file} holds no certificate that can be read: {error}", CERTIFICATE_HINT
        ) from None
    context.check_hostname = mode == "verify-full"
    trusted = file or "this machine's certificates"
    return context, f"encrypted, the server checked against {trusted} (sslmode={mode})"


def _way_out(error: Exception, host: str, port: int) -> str:
    if isinstance(error.__cause__ or error, ssl.SSLCertVerificationError):
        return CERTIFICATE_HINT
    return IPV4_HINT if not is_loopback(host) and _has_ipv6_only(host, port) else HINT


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
