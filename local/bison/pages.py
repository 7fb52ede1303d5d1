"""Bodies of the routes: Laravel's paging envelope around records that are JSON bytes already."""

from local.bison.fleet import Workspace, to_json
from local.bison.records import slug

PER_PAGE = 15


def last_page(workspace: Workspace) -> int:
    """Laravel calls the only page of an empty list page 1."""
    return max(-(-len(workspace.ids) // PER_PAGE), 1)


def page_number(text: str | None) -> int:
    """What is no positive integer is page 1, as in Laravel."""
    return int(text) if text and text.isascii() and text.isdigit() and int(text) else 1


def page_body(workspace: Workspace, page: int, url: str) -> bytes:
    """`{"data":[…],"links":{…},"meta":{…}}`; past the end `data` is empty and `meta` stays true."""
    start = (page - 1) * PER_PAGE
    ids = workspace.ids[start : start + PER_PAGE]
    last = last_page(workspace)
    links = {
        "first": f"{url}?page=1",
        "last": f"{url}?page={last}",
        "prev": f"{url}?page={page - 1}" if page > 1 else None,
        "next": f"{url}?page={page + 1}" if page < last else None,
    }
    meta = {
        "current_page": page,
        "from": start + 1 if ids else None,
        "last_page": last,
        "path": url,
        "per_page": PER_PAGE,
        "to": start + len(ids) if ids else None,
        "total": len(workspace.ids),
    }
    data = b",".join(workspace.raw(ids))
    return b'{"data":[%b],"links":%b,"meta":%b}' % (data, to_json(links), to_json(meta))


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
