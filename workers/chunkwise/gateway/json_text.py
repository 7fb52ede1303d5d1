"""UTF-8 as a JSON string, piece by piece: a body of megabytes is never copied whole."""

import re
from collections.abc import Iterator
from typing import Final

PIECE_BYTES: Final = 65_536
# The backslash first: the others put one in.
_SHORT: Final = (
    (b"\\", b"\\\\"),
    (b'"', b'\\"'),
    (b"\n", b"\\n"),
    (b"\r", b"\\r"),
    (b"\t", b"\\t"),
)
_SHORT_CHARACTERS: Final = b"".join(character for character, _ in _SHORT)
_OTHER_CONTROLS: Final = bytes(code for code in range(0x20) if code not in b"\n\r\t")
_ANY_OTHER_CONTROL: Final = re.compile(b"[%s]" % re.escape(_OTHER_CONTROLS))


def as_json_string(text: bytes) -> Iterator[bytes]:
    yield b'"'
    for at in range(0, len(text), PIECE_BYTES):
        piece = text[at : at + PIECE_BYTES]
        for character, escape in _SHORT:
            piece = piece.replace(character, escape)
        if len(piece.translate(None, _OTHER_CONTROLS)) < len(piece):
            piece = _ANY_OTHER_CONTROL.sub(lambda found: b"\\u%04x" % ord(found[0]), piece)
        yield piece
    yield b'"'


def size_as_json_string(text: bytes) -> int:
    """What `as_json_string` yields in all: two for the quotes, one more for each character that
    has a short escape, five more for each of the other control characters."""
    size = 2
    for at in range(0, len(text), PIECE_BYTES):
        piece = text[at : at + PIECE_BYTES]
        without_short = len(piece.translate(None, _SHORT_CHARACTERS))
        without_others = len(piece.translate(None, _OTHER_CONTROLS))
        size += len(piece) + (len(piece) - without_short) + 5 * (len(piece) - without_others)
    return size
