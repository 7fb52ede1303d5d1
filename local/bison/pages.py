"""Bodies of the routes: Laravel's paging envelope around records that are JSON bytes already."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from local.bison.faults import MovingItems, PageTrap, Paging, RepeatedIds
from local.bison.fleet import Workspace, to_json
from local.bison.records import slug

PER_PAGE = 15


def last_page(workspace: Workspace) -> int:
    """Laravel calls the only page of an empty list page 1."""
    return max(-(-len(workspace.ids) // PER_PAGE), 1)


def page_number(text: str | None) -> int:
    """What is no positive integer is page 1, as in Laravel."""
    return int(text) if text and text.isascii() and text.isdigit() and int(text) else 1


@dataclass(slots=True)
class Shown:
    """A page before it is written; no `meta` if it is None."""

    page: int
    ids: list[int]
    links: dict[str, object]
    meta: dict[str, object] | None


def page_body(workspace: Workspace, page: int, url: str, traps: Sequence[PageTrap] = ()) -> bytes:
    """`{"data":[…],"links":{…},"meta":{…}}`; past the end `data` is empty and `meta` stays true.
    Traps spoil it in their order."""
    shown = _page(workspace, page, url)
    for trap in traps:
        match trap:
            case Paging(how=how):
                WAYS_OF_PAGING[how](shown, workspace, url)
            case RepeatedIds(count=count):
                before = _ids(workspace.ids, page - 1)
                shown.ids = before[-count:] + shown.ids[len(before[-count:]) :]
            case MovingItems(by=by):
                cut = -by % max(len(workspace.ids), 1)
                shown.ids = _ids(workspace.ids[cut:] + workspace.ids[:cut], page)
    parts = [b'"data":[%b]' % b",".join(workspace.raw(shown.ids))]
    parts.append(b'"links":%b' % to_json(shown.links))
    if shown.meta is not None:
        parts.append(b'"meta":%b' % to_json(shown.meta))
    return b"{%b}" % b",".join(parts)


def _ids(ids: list[int], page: int) -> list[int]:
    start = (page - 1) * PER_PAGE
    return ids[start : start + PER_PAGE] if page > 0 else []


def _page(workspace: Workspace, page: int, url: str) -> Shown:
    ids = _ids(workspace.ids, page)
    last = last_page(workspace)
    before = (page - 1) * PER_PAGE
    links: dict[str, object] = {
        "first": f"{url}?page=1",
        "last": f"{url}?page={last}",
        "prev": f"{url}?page={page - 1}" if page > 1 else None,
        "next": f"{url}?page={page + 1}" if page < last else None,
    }
    meta: dict[str, object] = {
        "current_page": page,
        "from": before + 1 if ids else None,
        "last_page": last,
        "path": url,
        "per_page": PER_PAGE,
        "to": before + len(ids) if ids else None,
        "total": len(workspace.ids),
    }
    return Shown(page, ids, links, meta)


def _without_meta(shown: Shown, _: Workspace, __: str) -> None:
    shown.meta = None


def _by_cursor(shown: Shown, workspace: Workspace, url: str) -> None:
    """The newest first, whatever page was asked for; a cursor instead of totals."""
    newest = workspace.ids[::-1]
    shown.ids = newest[:PER_PAGE]
    cursor = _cursor(shown.ids[-1]) if len(newest) > PER_PAGE else None
    following = f"{url}?cursor={cursor}" if cursor else None
    shown.links = {"first": None, "last": None, "prev": None, "next": following}
    shown.meta = {"path": url, "per_page": PER_PAGE, "next_cursor": cursor, "prev_cursor": None}


def _cursor(account_id: int) -> str:
    return b64encode(to_json({"id": account_id, "_pointsToNextItems": True})).decode()


def _without_end(shown: Shown, workspace: Workspace, url: str) -> None:
    _with_a_next_link(shown, workspace, url)
    shown.links["last"] = shown.links["next"]
    if shown.meta is not None:
        shown.meta["last_page"] = shown.page + 1


def _with_a_next_link(shown: Shown, _: Workspace, url: str) -> None:
    shown.links["next"] = f"{url}?page={shown.page + 1}"


WAYS_OF_PAGING = {
    "no_meta": _without_meta,
    "cursor": _by_cursor,
    "endless": _without_end,
    "endless_links": _with_a_next_link,
}


def item_body(record: bytes) -> bytes:
    return b'{"data":%b}' % record


def user_body(workspace: Workspace) -> bytes:
    """Which workspace a key belongs to; `webhooks_secret_key` must never be stored by a reader."""
    user = {
        "id": workspace.id * 7,
        "name": f"API user of {workspace.name}",
        "email": f"api@{slug(workspace.name)}.example",
        "webhooks_secret_key": f"whsec-{workspace.key[-24:]}",
        "workspace": {"id": workspace.id, "name": workspace.name},
    }
    return to_json({"data": user})


def padded(body: bytes, size: int) -> bytes:
    """JSON allows blanks at its end: the page gets longer, its records stay what they are."""
    return body.ljust(size)
