"""Direct SQL for tests: what the tables say, not what a program prints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pg8000.native

Row = dict[str, Any]


class Sql:
    """One connection; statements take named parameters, `:name`."""

    def __init__(self, connection: pg8000.native.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def connect(cls, dsn: str) -> Iterator[Self]:
        parts = urlsplit(dsn)
        connection = pg8000.native.Connection(
            parts.username,
            host=parts.hostname,
            port=parts.port,
            password=unquote(parts.password or ""),
            database=parts.path.removeprefix("/"),
            timeout=30,
        )
        try:
            yield cls(connection)
        finally:
            connection.close()

    def rows(self, statement: str, **parameters: object) -> list[Row]:
        found = self._connection.run(statement, **parameters) or []
        names = [column["name"] for column in self._connection.columns or []]
        return [dict(zip(names, row, strict=True)) for row in found]

    def row(self, statement: str, **parameters: object) -> Row:
        (row,) = self.rows(statement, **parameters)
        return row

    def column(self, statement: str, **parameters: object) -> list[Any]:
        return [value for row in self.rows(statement, **parameters) for value in row.values()]

    def value(self, statement: str, **parameters: object) -> Any:  # noqa: ANN401
        (value,) = self.column(statement, **parameters)
        return value

    def run(self, statement: str, **parameters: object) -> None:
        self._connection.run(statement, **parameters)
