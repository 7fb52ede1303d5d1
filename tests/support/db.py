"""A connection to a test's database, as a person's SQL client would have it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Db:
    """Statements outside `transaction()` commit by themselves."""

    connection: Connection
    pid: int

    @classmethod
    def connect(cls, dsn: str, role: str | None = None) -> "Db":
        url = urlsplit(dsn)
        connection = Connection(
            unquote(url.username or "postgres"),
            host=url.hostname,
            port=url.port or 5432,
            password=unquote(url.password or ""),
            database=url.path.removeprefix("/"),
        )
        if role is not None:
            connection.run(f"set role {role}")
        return cls(connection, connection.run("select pg_backend_pid()")[0][0])

    def run(self, sql: str, **arguments: object) -> list[Row]:
        rows = self.connection.run(sql, **arguments)
        names = [column["name"] for column in self.connection.columns or ()]
        return [dict(zip(names, row, strict=True)) for row in rows or ()]

    def one(self, sql: str, **arguments: object) -> Row:
        rows = self.run(sql, **arguments)
        assert len(rows) == 1, f"{len(rows)} rows instead of one: {sql}"
        return rows[0]

    def value(self, sql: str, **arguments: object) -> Any:  # noqa: ANN401  # the column's type
        (value,) = self.one(sql, **arguments).values()
        return value

    def column(self, sql: str, **arguments: object) -> list[Any]:
        return [next(iter(row.values())) for row in self.run(sql, **arguments)]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end; roll back if an error passes."""
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def begin(self) -> None:
        self.connection.run("begin")

    def commit(self) -> None:
        self.connection.run("commit")

    def rollback(self) -> None:
        self.connection.run("rollback")

    def close(self) -> None:
        # A server that was stopped under it leaves nothing to close.
        with contextlib.suppress(Error, OSError):
            self.connection.close()


def sqlstate(error: DatabaseError) -> str:
    """The SQLSTATE of an error that the server answered."""
    return str(error.args[0]["C"])
