"""Bodies of the routes for replies: by page, by cursor, and whole conversations."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.bison.faults import Conversations, Cursors, PageTrap, Paging
from local.bison.fleet import to_json
from local.bison.pages import PER_PAGE
from local.bison.replies import ReplyFeed

STRANGER_ID = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Cursor:
    """Ids below one, descending; or, backwards, the next ones above it."""

    id: int
    points_to_next: bool = True

    def __str__(self) -> str:
        plain = to_json({"id": self.id, "_pointsToNextItems": self.points_to_next})
        return urlsafe_b64encode(plain).decode().rstrip("=")

    @classmethod
    def read(cls, text: str | None) -> "Cursor | None":
        """With or without padding; what is no cursor means the top, as in Laravel."""
        try:
            padded = (text or "").ljust(-(-len(text or "") // 4) * 4, "=")
            given = json.loads(urlsafe_b64decode(padded))
            return cls(int(given["id"]), bool(given.get("_pointsToNextItems", True)))
        except (NoBase64Error, ValueError, KeyError, TypeError, AttributeError):
            return None


def reply_page(feed: ReplyFeed, page: int, url: str, traps: Sequence[PageTrap]) -> bytes:
    """Newest first by date of receipt, 15 per page; an install in cursor mode ignores `page`."""
    ways = [trap.how for trap in traps if isinstance(trap, Paging)]
    if "cursor" in ways:
        return cursor_page(feed, None, url, traps)
    before, total = (page - 1) * PER_PAGE, len(feed)
    ids = feed.newest(before, PER_PAGE)
    last = max(-(-total // PER_PAGE), 1)
    meta = {
        "current_page": page,
        "from": before + 1 if ids else None,
        "last_page": last,
        "path": url,
        "per_page": PER_PAGE,
        "to": before + len(ids) if ids else None,
        "total": total,
    }
    links = {
        "first": f"{url}?page=1",
        "last": f"{url}?page={last}",
        "prev": f"{url}?page={page - 1}" if page > 1 else None,
        "next": f"{url}?page={page + 1}" if page < last else None,
    }
    return _envelope(feed, ids, links, None if "no_meta" in ways else meta)


def cursor_page(
    feed: ReplyFeed, cursor: Cursor | None, url: str, traps: Sequence[PageTrap]
) -> bytes:
    """Ids descending, no totals. `links.next` carries the cursor and nothing else."""
    if cursor is None or cursor.points_to_next:
        ids = feed.below(cursor.id if cursor else None, PER_PAGE)
    else:
        ids = feed.above(cursor.id, PER_PAGE)
    following = Cursor(ids[-1]) if ids and feed.below(ids[-1], 1) else None
    previous = Cursor(ids[0], points_to_next=False) if ids and feed.above(ids[0], 1) else None
    for trap in traps:
        if isinstance(trap, Cursors) and cursor is not None:
            following = Cursor(cursor.id + (trap.how == "backwards"))
    links = {
        "first": None,
        "last": None,
        "prev": f"{url}?cursor={previous}" if previous else None,
        "next": f"{url}?cursor={following}" if following else None,
    }
    meta = {
        "path": url,
        "per_page": PER_PAGE,
        "next_cursor": str(following) if following else None,
        "prev_cursor": str(previous) if previous else None,
    }
    return _envelope(feed, ids, links, meta)


def conversation(feed: ReplyFeed, reply_id: int, traps: Sequence[PageTrap]) -> bytes:
    """The reply asked for among what is older and newer."""
    ids = feed.conversation(reply_id)
    at = ids.index(reply_id)
    ways = [trap.how for trap in traps if isinstance(trap, Conversations)]
    if ways:
        return CONVERSATIONS[ways[0]](feed, reply_id, ids)
    (asked,) = feed.raw([reply_id])
    parts = (asked, b",".join(feed.raw(ids[:at])), b",".join(feed.raw(ids[at + 1 :])))
    return b'{"data":{"current_reply":%b,"older_messages":[%b],"newer_messages":[%b]}}' % parts


def _empty(_: ReplyFeed, __: int, ___: list[int]) -> bytes:
    return b'{"data":{"current_reply":null,"older_messages":[],"newer_messages":[]}}'


def _flat(feed: ReplyFeed, _: int, ids: list[int]) -> bytes:
    return b'{"thread":{"emails":[%b]}}' % b",".join(feed.raw(ids))


def _with_strangers(feed: ReplyFeed, reply_id: int, ids: list[int]) -> bytes:
    (asked,) = feed.raw([reply_id])
    stranger = json.loads(asked) | {
        "id": STRANGER_ID + reply_id,
        "raw_message_id": f"<stranger-{reply_id}@elsewhere.example>",
        "date_received": "2024-12-24T18:00:00.000000Z",
    }
    others = [i for i in ids if i != reply_id]
    older = b",".join([to_json(stranger), *feed.raw(others)])
    return b'{"data":{"current_reply":%b,"older_messages":[%b],"newer_messages":[]}}' % (
        asked,
        older,
    )


def _repeated(feed: ReplyFeed, reply_id: int, ids: list[int]) -> bytes:
    (asked,) = feed.raw([reply_id])
    every = b",".join(feed.raw(ids))
    return b'{"data":{"current_reply":%b,"older_messages":[%b],"newer_messages":[%b]}}' % (
        asked,
        every,
        every,
    )


def _unreadable(_: ReplyFeed, reply_id: int, __: list[int]) -> bytes:
    return to_json({"data": {"html": f"<article data-reply={reply_id}>…</article>"}})


CONVERSATIONS: dict[str, Callable[[ReplyFeed, int, list[int]], bytes]] = {
    "empty": _empty,
    "flat": _flat,
    "strangers": _with_strangers,
    "repeated": _repeated,
    "unreadable": _unreadable,
}


def _envelope(feed: ReplyFeed, ids: list[int], links: object, meta: object | None) -> bytes:
    parts = [b'"data":[%b]' % b",".join(feed.raw(ids)), b'"links":%b' % to_json(links)]
    if meta is not None:
        parts.append(b'"meta":%b' % to_json(meta))
    return b"{%b}" % b",".join(parts)
