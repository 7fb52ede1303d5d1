"""Finished pages as the argument of complete_chunk_jobs_safe(): JSON, made while it is sent."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from chunkwise.gateway.json_text import PIECE_BYTES, as_json_string
from chunkwise.gateway.protocol import Lease, Page

_BEFORE: Final = b'{"p_pages":['
_AFTER: Final = b"]}"


class PagesAsJson:
    """Its length is known before it is made, and it can be sent again."""

    def __init__(self, pages: Sequence[tuple[Lease, Page]]) -> None:
        self._pages = [(_before_body(lease, page), page) for lease, page in pages]

    def __len__(self) -> int:
        commas = max(0, len(self._pages) - 1)
        pages = sum(len(before) + page.wire_bytes + len(b"}") for before, page in self._pages)
        return len(_BEFORE) + commas + pages + len(_AFTER)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces large enough that each is worth its way to the socket."""
        waiting = bytearray()
        for piece in self._pieces():
            waiting += piece
            if len(waiting) >= PIECE_BYTES:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting)

    def _pieces(self) -> Iterator[bytes]:
        yield _BEFORE
        for number, (before, page) in enumerate(self._pages):
            yield b"," if number else b""
            yield before
            yield from as_json_string(page.body)
            yield b"}"
        yield _AFTER


def _before_body(lease: Lease, page: Page) -> bytes:
    fields: dict[str, object] = {
        **lease.key,
        "status": page.status,
        "duration_ms": page.duration_ms,
    }
    if page.headers:
        fields["headers"] = dict(page.headers)
    return json.dumps(fields)[:-1].encode() + b',"body":'
