"""What an API does, as data: `Api` and its lists. A new habit is a new value of these.

Fields stand where the real thing would be harder to read than a kind fake: cursors that are
offsets and shift, cursors that expire, ends that are only named on some pages, filters after
paging, ties whose order changes from request to request, 100 served where 500 were asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

# Keys that lead to a value of a body; of a query, one name.
Keys: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One list, with its records' form.

    `path` may hold `{parent}`, the id of a record of the list `parent`, which has `children` of
    them each; `ids_repeat`: below every parent from the start. A GET is asked by its query, a POST
    by its body.

    `position` is what a request says: a page's number, an offset, an opaque cursor (`token`: the
    place after the last record, or an offset that looks like one), the last id (`after`; of a
    record that is gone: by its value, or refused with a 400), or an id to be above (`above`: a
    filter, so that total and cap are of what it leaves). `next_as`: how an answer names the
    next request: a value, a URL, or the header Link. `ends`: next is null on the last page, or
    absent; `late`: the last page with records still names one, which is empty.

    `total_at` counts all records, up to `result_cap`, below which no position reaches.

    `tied`: so many records in a row have one `created_at`; their order may `turn` from answer to
    answer. `filtered_every`: of so many records one is left out of its page, after the page
    was cut.
    """

    path: str
    method: Literal["GET", "POST"] = "GET"
    parent: str | None = None
    children: int = 3
    ids_repeat: bool = False

    position: Literal["page", "offset", "token", "after", "above", "none"] = "page"
    position_at: Keys = ("page",)
    token: Literal["place", "offset"] = "place"
    token_lives: int | None = None
    gone: Literal["by_value", "refused"] = "by_value"
    first_page: int = 1
    past_end: int = 200
    size_at: Keys = ("limit",)
    size: int = 10
    most: int = 1_000

    records_at: Keys = ("data",)
    next_as: Literal["value", "url", "link"] | None = None
    next_at: Keys = ("next",)
    ends: Literal["null", "absent", "late"] = "null"
    more_at: Keys | None = None
    more_is: Scalar = True
    total_at: Keys | None = None
    total_as: Literal["number", "text"] = "number"
    last_page_at: Keys | None = None
    result_cap: int | None = None

    order: Literal["id", "created_at", "updated_at", "name"] = "id"
    descending: bool = False
    tied: int = 1
    ties: Literal["stand", "turn"] = "stand"
    filtered_every: int = 0

    since_at: Keys | None = None
    keeps_removed: bool = False
    has_items: bool = True
    item_at: Keys = ("data",)
    version_header: Literal["etag", "last-modified"] | None = None
    id_type: Literal["integer", "text"] = "integer"
    time_format: Literal["iso", "epoch", "epoch_ms"] = "iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """`key` and `basic` are checked as they are; of OAuth2, tokens come from `/oauth/token`.

    `rotates`: each refresh gives another refresh token and spends the one before; `forgives`: the
    spent one is good until the new access token was used, otherwise its use ends the grant.
    """

    kind: Literal["none", "key", "basic", "oauth2_client", "oauth2_refresh"] = "key"
    where: Literal["header", "query"] = "header"
    name: str = "authorization"
    prefix: str = "Bearer "
    lives_s: int = 3_600
    rotates: bool = True
    forgives: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A bucket. `says`: a 429 with Retry-After in seconds; a 429 with `x-ratelimit-reset` in epoch
    seconds; a 403 with `x-ratelimit-remaining: 0` and that; a 200 with `success: false`; a 429
    with `retry_after` in the body."""

    per_second: float
    burst: int = 1
    says: Literal["retry_after", "reset", "forbidden", "success_false", "body"] = "retry_after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """Before a page is served, with this chance: one of what is named happens to its list. `swap`:
    one record goes and one comes, so that the count stays."""

    rate: float
    what: tuple[Literal["add", "change", "remove", "swap"], ...] = ("swap",)
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """`message_at`: where its errors have their text."""

    lists: Mapping[str, Listing]
    auth: Auth = field(default_factory=Auth)
    limit: Limit | None = None
    message_at: Keys = ("message",)
