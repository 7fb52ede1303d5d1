"""Bodies of answers: read and unpacked piece by piece, never beyond a limit, whatever they say."""

import asyncio
import codecs
import zlib
from collections.abc import Iterator
from typing import Final, Literal

import httpx

# All that is asked for, and all that is taken.
ACCEPT_ENCODING: Final = "gzip"
PIECE_BYTES: Final = 65_536
# A body may come in chunks of one byte, each of which costs as much time as a large one.
SMALLEST_MEAN_PART: Final = 64
PARTS_AT_LEAST: Final = 1024
PARTS_BEFORE_OTHERS_RUN: Final = 256
ESCAPED_NUL: Final = rb"\u0000"


class BodyError(Exception):
    """The body cannot be handed over; the text says what is wrong with it. `transient` if another
    try may bring a whole one."""

    def __init__(self, text: str, error_class: Literal["permanent", "transient"]) -> None:
        super().__init__(text)
        self.error_class = error_class


class _Plain:
    is_whole = True

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        yield packed


class _Gzip:
    """One or more members; unpacks PIECE_BYTES at a time."""

    def __init__(self) -> None:
        self._member = _new_member()
        self._is_empty = True

    @property
    def is_whole(self) -> bool:
        return self._member.eof or self._is_empty

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        self._is_empty = self._is_empty and not packed
        while True:
            if self._member.eof:
                packed = packed.lstrip(b"\x00")
                if not packed:
                    return
                self._member = _new_member()
            piece = self._member.decompress(packed, PIECE_BYTES)
            yield piece
            packed = self._member.unused_data or self._member.unconsumed_tail
            if not packed and len(piece) < PIECE_BYTES:
                return


def _new_member() -> "zlib._Decompress":
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


class _Reading:
    """What has come of a body of which at most `limit` bytes are wanted."""

    def __init__(self, response: httpx.Response, limit: int) -> None:
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", "x-gzip", ""):
            text = f"the body is packed as {coding[:40]!r}; only {ACCEPT_ENCODING} is unpacked"
            raise BodyError(text, "permanent")
        self._unpacker = _Gzip() if coding.endswith("gzip") else _Plain()
        self._limit = limit
        self._most_parts = limit // SMALLEST_MEAN_PART + PARTS_AT_LEAST
        self._packed_size = 0
        self._parts = 0

    @property
    def is_whole(self) -> bool:
        return self._unpacker.is_whole

    async def pieces(self, part: bytes) -> Iterator[bytes]:
        self._packed_size += len(part)
        self._parts += 1
        # What is packed may be longer by a little than what comes out.
        if self._packed_size > self._limit + PIECE_BYTES:
            raise _too_long(self._limit)
        if self._parts > self._most_parts:
            raise BodyError(f"the body comes in more than {self._most_parts} parts", "permanent")
        if self._parts % PARTS_BEFORE_OTHERS_RUN == 0:
            await asyncio.sleep(0)
        return self._unpacked(part)

    def _unpacked(self, part: bytes) -> Iterator[bytes]:
        try:
            yield from self._unpacker.pieces(part)
        except zlib.error as error:
            raise BodyError(f"the body's gzip is broken: {error}", "transient") from None


async def read_whole(response: httpx.Response, limit: int) -> bytes:
    """The unpacked body. Raises BodyError beyond `limit` bytes, packed in another way than gzip, or
    if it is not whole."""
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        text = f"the body has {declared[:20]} bytes, more than max_body_bytes = {limit}"
        raise BodyError(text, "permanent")
    reading = _Reading(response, limit)
    body = bytearray()
    async for part in response.aiter_raw():
        for piece in await reading.pieces(part):
            body += piece
            if len(body) > limit:
                raise _too_long(limit)
    if not reading.is_whole:
        raise BodyError("the body breaks off: its gzip has no end", "transient")
    return bytes(body)


async def read_start(response: httpx.Response, limit: int) -> bytes:
    """As much of an error's body as can be read: that it is broken says less than its status."""
    body = bytearray()
    try:
        reading = _Reading(response, limit)
        async for part in response.aiter_raw():
            for piece in await reading.pieces(part):
                body += piece
                if len(body) >= limit:
                    return bytes(body[:limit])
    except BodyError as error:
        return bytes(body) or f"({error})".encode()
    return bytes(body)


def escape_nul(body: bytes, limit: int) -> bytes:
    """With every U+0000 written as JSON writes it, so that SQL can replace it and say so. Raises
    BodyError if it is too long then."""
    found = body.count(b"\x00")
    if not found:
        return body
    if len(body) + found * (len(ESCAPED_NUL) - 1) > limit:
        raise _too_long(limit)
    return body.replace(b"\x00", ESCAPED_NUL)


def check_text(body: bytes) -> None:
    """Raises BodyError if it is not UTF-8."""
    view = memoryview(body)
    at = 0
    # Piece by piece: one character beyond U+FFFF makes a text of four bytes for each character.
    while at < len(view):
        piece = view[at : at + PIECE_BYTES]
        try:
            _, used = codecs.utf_8_decode(piece, "strict", at + len(piece) == len(view))
        except UnicodeDecodeError as error:
            text = f"the body is not UTF-8 at byte {at + error.start}; only UTF-8 is handed over"
            raise BodyError(text, "permanent") from None
        at += used


def _too_long(limit: int) -> BodyError:
    return BodyError(f"the body is longer than max_body_bytes = {limit}", "permanent")
