"""Which records a request gets of a list, and how the answer names what comes next."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from local.habits.asked import Asked, WrongRequestError, put, sealed, unsealed
from local.habits.book import REMOVED, Book, Record
from local.habits.habit import Listing


@dataclass(slots=True)
class Page:
    """`next`: what a request has at `position_at` for the records behind these, None at the end."""

    records: list[Record]
    total: int
    size: int
    next: Any = None
    last_page: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """An answer before it is spoilt."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def serve(book: Book, asked: Asked, number: int) -> Served:
    """The answer to the request of that number. Raises WrongRequestError."""
    listing = book.listing
    page = _page(book, asked, number)
    shown = [record for record in page.records if record["id"] not in book.hidden]
    body: Any = {}
    if listing.records_at:
        put(body, listing.records_at, shown)
    else:
        body = shown
    headers: dict[str, str] = {}
    if listing.total_at:
        total = min(page.total, listing.result_cap or page.total)
        put(body, listing.total_at, total if listing.total_as == "number" else str(total))
    if listing.last_page_at:
        put(body, listing.last_page_at, page.last_page)
    if listing.more_at:
        put(body, listing.more_at, listing.more_is if page.next is not None else _no(listing))
    if listing.next_as == "link" and page.next is not None:
        headers["link"] = f'<{_url(asked, listing, page.next)}>; rel="next"'
    elif listing.next_as in ("value", "url") and (
        page.next is not None or listing.ends != "absent"
    ):
        is_url = listing.next_as == "url" and page.next is not None
        put(body, listing.next_at, _url(asked, listing, page.next) if is_url else page.next)
    return Served(json.dumps(body, separators=(",", ":")).encode(), headers)


def _page(book: Book, asked: Asked, number: int) -> Page:
    listing = book.listing
    ties_by = str(number) if listing.ties == "turn" else None
    records = _in_list(book, asked, book.ordered(ties_by))
    size = min(max(asked.number(listing.size_at, listing.size), 1), listing.most)
    start = _start(book, asked, records, size, number)
    if listing.result_cap is not None and start + size > listing.result_cap:
        if start >= listing.result_cap:
            raise WrongRequestError(400, f"Only {listing.result_cap} results can be read.")
        size = listing.result_cap - start
    page = Page(records[start : start + size], len(records), size)
    page.last_page = max(-(-len(records) // size), 1)
    if start > 0 and not page.records and listing.past_end != 200:
        raise WrongRequestError(listing.past_end, "There is no such page.")
    end = start + len(page.records)
    if end < len(records) or (listing.ends == "late" and page.records):
        page.next = _next(book, asked, page, end, number)
    return page


def _in_list(book: Book, asked: Asked, records: Sequence[Record]) -> list[Record]:
    listing = book.listing
    since = asked.at(listing.since_at) if listing.since_at else None
    if since is not None:
        moment = _moment(since)
        records = [record for record in records if book.changed_since(record, moment)]
    elif not listing.keeps_removed:
        records = [record for record in records if record["status"] != REMOVED]
    if listing.position == "above":
        least = asked.number(listing.position_at, 0)
        records = [record for record in records if record["id"] > least]
    if listing.filtered_every or not book.hidden:
        return list(records)
    return [record for record in records if record["id"] not in book.hidden]


def _start(book: Book, asked: Asked, records: list[Record], size: int, number: int) -> int:
    """How many records come before those that are asked for."""
    listing = book.listing
    given = asked.at(listing.position_at)
    if given in (None, ""):
        return 0
    match listing.position:
        case "page":
            page = asked.number(listing.position_at, listing.first_page)
            return max(page - listing.first_page, 0) * size
        case "offset":
            return asked.number(listing.position_at, 0)
        case "token":
            return _behind_cursor(book, unsealed(given), records, number)
        case "after":
            return _behind_id(book, given, records)
        case "above" | "none":
            return 0


def _behind_cursor(
    book: Book, cursor: Mapping[str, Any], records: list[Record], number: int
) -> int:
    lives = book.listing.token_lives
    if lives is not None and number - cursor["n"] > lives:
        raise WrongRequestError(400, "The cursor has expired.")
    if book.listing.token == "offset":
        return int(cursor["o"])
    key, record_id = cursor["p"]
    return _behind(book, records, (key, record_id))


def _behind_id(book: Book, given: object, records: list[Record]) -> int:
    last = int(str(given)) if str(given).isdigit() else str(given)
    record = book.get(last)
    if record is None and book.listing.gone == "refused":
        raise WrongRequestError(400, f"No such record: {last}")
    return _behind(book, records, (last, last) if record is None else book.place(record))


def _behind(book: Book, records: list[Record], place: tuple[Any, Any]) -> int:
    """How many records stand at this place or before it."""
    if book.listing.descending:
        return sum(book.place(record) >= place for record in records)
    return sum(book.place(record) <= place for record in records)


def _next(book: Book, asked: Asked, page: Page, end: int, number: int) -> Any:  # noqa: ANN401
    listing = book.listing
    match listing.position:
        case "page":
            return asked.number(listing.position_at, listing.first_page) + 1
        case "offset":
            return end
        case "token":
            cursor: dict[str, object] = (
                {"o": end} if listing.token == "offset" else {"p": book.place(page.records[-1])}
            )
            if listing.token_lives is not None:
                cursor["n"] = number
            return sealed(cursor)
        case "after" | "above":
            return page.records[-1]["id"]
        case "none":
            return None


def _url(asked: Asked, listing: Listing, position: object) -> str:
    """The same request at another position, what it said with it: a key in the query too."""
    said = {**asked.said, str(listing.position_at[-1]): position}
    return f"{asked.url}?{urlencode(said)}"


def _no(listing: Listing) -> object:
    return not listing.more_is if isinstance(listing.more_is, bool) else None


def _moment(since: object) -> datetime:
    text = str(since)
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / (1_000 if len(text) > 11 else 1), UTC)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongRequestError(400, f"{text} is no time.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
