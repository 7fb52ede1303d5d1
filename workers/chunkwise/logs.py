"""Log lines: a fixed event name and fields; JSON for programs, readable on a terminal."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final

from chunkwise.texts import as_json, one_line, printable

_FIELDS: Final = "chunkwise_fields"


class Log:
    """`log.info("chunk_completed", chunk=…)`, over the standard library's logging."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, /, **fields: object) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={_FIELDS: fields})


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Readable() if sys.stderr.isatty() else _Json())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("chunkwise").setLevel(level.upper())


def quieten_http_libraries() -> None:
    """They log URLs and headers, which hold keys."""
    for library in ("httpx", "httpcore", "hpack"):
        logging.getLogger(library).setLevel(logging.WARNING)


def quieten_realtime_libraries() -> None:
    """The one logs URLs, which hold the key, the other every failed attempt as an error; what
    failed is in `realtime_lost`."""
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger("realtime").setLevel(logging.CRITICAL)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return as_json(line)


class _Readable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(
            f"{name}={one_line(str(value))}" for name, value in _fields(record).items()
        )
        level, event = record.levelname.lower(), one_line(record.getMessage())
        line = f"{_time(record)[11:23]} {level:7} {event:20} {fields}"
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return line + printable(trace)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, _FIELDS, None)
    return dict(fields) if fields else {"logger": record.name}
