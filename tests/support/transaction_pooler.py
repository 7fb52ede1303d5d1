"""A pooler in transaction mode: every transaction gets the next session, as it was left.

As Supavisor and PgBouncer do on port 6543, and at its worst: what is said outside a transaction
reaches another session each time, so a prepared statement is gone when it is to be run.
"""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from io import BufferedRWPair
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from pg8000.native import Connection

SESSIONS = 2
Wire = BinaryIO | BufferedRWPair
HEADER = struct.Struct("!ci")
AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0" + b"S\0\0\0\x19client_encoding\0UTF8\0" + b"Z\0\0\0\x05I"
SSL_REQUEST = (80877103).to_bytes(4)
IDLE, BUSY = b"I", b"?"
TERMINATE, SYNC, QUERY, READY = b"X", b"S", b"Q", b"Z"


@contextlib.contextmanager
def transaction_pooler(dsn: str) -> Iterator[str]:
    """The DSN of the pooler before that database; any password is taken."""
    url = urlsplit(dsn)
    opened = [
        Connection(
            unquote(url.username or ""),
            host=url.hostname,
            port=url.port or 5432,
            password=unquote(url.password or ""),
            database=url.path.removeprefix("/"),
        )
        for _ in range(SESSIONS)
    ]
    sessions = itertools.cycle([connection._sock for connection in opened])
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, sessions), daemon=True).start()
    try:
        yield f"postgresql://any:any@127.0.0.1:{listener.getsockname()[1]}{url.path}"
    finally:
        listener.close()
        for connection in opened:
            connection.close()


def _accept(listener: socket.socket, sessions: Iterator[Wire]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, client.makefile("rwb") as wire, contextlib.suppress(EOFError):
                _serve(wire, sessions)


def _serve(wire: Wire, sessions: Iterator[Wire]) -> None:
    if _startup(wire) == SSL_REQUEST:
        _write(wire, b"N")
        _startup(wire)
    _write(wire, AUTHENTICATED)
    session, status = next(sessions), IDLE
    while True:
        kind, message = _message(wire)
        if kind == TERMINATE:
            return
        if status == IDLE:
            session, status = next(sessions), BUSY
        _write(session, message)
        if kind in (SYNC, QUERY):
            status = _answer(session, wire)


def _answer(session: Wire, wire: Wire) -> bytes:
    """Hand on what the session says; the transaction's status after it."""
    while True:
        kind, message = _message(session)
        _write(wire, message)
        if kind == READY:
            return message[-1:]


def _startup(wire: Wire) -> bytes:
    return _read(wire, int.from_bytes(_read(wire, 4)) - 4)


def _message(source: Wire) -> tuple[bytes, bytes]:
    head = _read(source, HEADER.size)
    kind, length = HEADER.unpack(head)
    return kind, head + _read(source, length - 4)


def _read(source: Wire, size: int) -> bytes:
    data = source.read(size) or b""
    if len(data) < size:
        raise EOFError
    return data


def _write(target: Wire, data: bytes) -> None:
    target.write(data)
    target.flush()
