"""Habits that are known, each as data: what the API does, and the declaration that reads it.

`HABITS` are the ones that a list alone has; `LIMITS`, ways to refuse what comes too fast, and
`AUTHS`, ways to ask who it is, go with one plain list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from local.habits.habit import Api, Auth, Limit, Listing

Declaration: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Habit:
    """`source` and `streams` (by list) are without names, which are its API's and its lists'."""

    api: Api
    streams: Mapping[str, Declaration]
    source: Declaration = field(default_factory=dict)

    def source_of(self, api: str) -> dict[str, Any]:
        """What `declare_source` takes; without a limit of its budget."""
        named = {"source_name": api, "base_path": f"/{api}", "budget_scope": "source"}
        source = {**named, "requests_per_second": None, "max_in_flight": None, **self.source}
        if "token_url" in source:
            source["token_url"] = f"/{api}{source['token_url']}"
        return source

    def streams_of(self, api: str) -> list[dict[str, Any]]:
        """What `declare_stream` takes, parents first."""
        return [
            {"source_name": api, "stream_name": name, **stream}
            for name, stream in self.streams.items()
        ]

    def scaled(self, factor: int) -> "Habit":
        """The same with pages, caps and ties so much larger."""
        lists = {
            name: replace(
                listing,
                size=listing.size * factor,
                most=listing.most * factor,
                result_cap=listing.result_cap and listing.result_cap * factor,
                tied=listing.tied * factor if listing.tied > 1 else 1,
            )
            for name, listing in self.api.lists.items()
        }
        streams = {name: _scaled(stream, factor) for name, stream in self.streams.items()}
        return replace(self, api=replace(self.api, lists=lists), streams=streams)


def _scaled(declaration: Declaration, factor: int) -> Declaration:
    return {
        name: value * factor
        if name in ("page_size", "result_cap", "per_page") and isinstance(value, int)
        else _scaled(value, factor)
        if name == "params"
        else value
        for name, value in declaration.items()
    }


COUNTED_LIST = Listing(
    path="/widgets",
    position_at=("page",),
    size_at=("per_page",),
    total_at=("meta", "total"),
    last_page_at=("meta", "last_page"),
)
COUNTED: Declaration = {
    "path": "/widgets",
    "params": {"per_page": 10},
    "page_size": 10,
    "item_path": "/widgets/{id}",
}

HABITS: Mapping[str, Habit] = {
    "pages with a total": Habit(Api(lists={"widgets": COUNTED_LIST}), {"widgets": COUNTED}),
    "pages from 0, a total alone": Habit(
        Api(
            lists={
                "rows": Listing(
                    path="/rows",
                    position_at=("p",),
                    first_page=0,
                    size_at=("rows",),
                    size=8,
                    past_end=404,
                    records_at=("response", "rows"),
                    total_at=("response", "numFound"),
                    has_items=False,
                )
            }
        ),
        {
            "rows": {
                "path": "/rows",
                "params": {"p": "{page}", "rows": "{size}"},
                "page_size": 8,
                "first_page": 0,
                "records_path": ["response", "rows"],
                "total_path": ["response", "numFound"],
            }
        },
    ),
    "a total in text": Habit(
        Api(lists={"widgets": replace(COUNTED_LIST, total_as="text")}), {"widgets": COUNTED}
    ),
    "pages that say has_more, filtered after paging": Habit(
        Api(
            lists={
                "people": Listing(
                    path="/people",
                    position_at=("page",),
                    size_at=("per_page",),
                    more_at=("has_more",),
                    filtered_every=4,
                )
            }
        ),
        {
            "people": {
                "path": "/people",
                "params": {"page": "{page}", "per_page": "{size}"},
                "page_size": 10,
                "item_path": "/people/{id}",
                "more_path": ["has_more"],
                "completeness": "agreed",
            }
        },
    ),
    "pages that name the last one": Habit(
        Api(
            lists={
                "orders": Listing(
                    path="/orders",
                    position_at=("page",),
                    size_at=("per_page",),
                    last_page_at=("pages",),
                    records_at=("orders",),
                    past_end=404,
                )
            }
        ),
        {
            "orders": {
                "path": "/orders",
                "params": {"page": "{page}", "per_page": "{size}"},
                "page_size": 10,
                "records_path": ["orders"],
                "item_path": "/orders/{id}",
                "last_page_path": ["pages"],
                "completeness": "agreed",
            }
        },
    ),
    "offsets over ties that turn": Habit(
        Api(
            lists={
                "notes": Listing(
                    path="/notes",
                    position="offset",
                    position_at=("offset",),
                    order="created_at",
                    tied=3,
                    ties="turn",
                )
            }
        ),
        {
            "notes": {
                "path": "/notes",
                "params": {"limit": "{size}", "offset": "{offset}"},
                "page_size": 10,
                "item_path": "/notes/{id}",
                "completeness": "chained",
                "order_path": ["created_at"],
                "order_type": "time",
                "order_direction": "asc",
            }
        },
    ),
    "a keyset over names": Habit(
        Api(
            lists={
                "teams": Listing(
                    path="/teams",
                    position="token",
                    position_at=("page_token",),
                    size_at=("max_results",),
                    next_as="value",
                    next_at=("next_page_token",),
                    order="name",
                    id_type="text",
                )
            }
        ),
        {
            "teams": {
                "path": "/teams",
                "params": {"max_results": "{size}", "page_token": "{next}"},
                "page_size": 10,
                "id_type": "text",
                "item_path": "/teams/{id}",
                "next_path": ["next_page_token"],
                "cursor_is": "keyset",
                "completeness": "chained",
                "order_path": ["name"],
                "order_type": "text",
                "order_direction": "asc",
                "order_is_unique": True,
            }
        },
    ),
    "offsets and a root array": Habit(
        Api(
            lists={
                "accounts": Listing(
                    path="/accounts",
                    position="offset",
                    position_at=("offset",),
                    most=10,
                    records_at=(),
                    item_at=(),
                    descending=True,
                )
            }
        ),
        {
            "accounts": {
                "path": "/accounts",
                "params": {"limit": "{size}", "offset": "{offset}"},
                "page_size": 10,
                "records_path": [],
                "item_path": "/accounts/{id}",
                "item_record_path": [],
                "completeness": "chained",
                "order_path": ["id"],
                "order_direction": "desc",
            }
        },
    ),
    "offsets, 100 asked and 10 served": Habit(
        Api(
            lists={
                "leads": Listing(
                    path="/leads",
                    position="offset",
                    position_at=("skip",),
                    size_at=("take",),
                    most=10,
                    past_end=422,
                    has_items=False,
                )
            }
        ),
        {
            "leads": {
                "path": "/leads",
                "params": {"take": "{size}", "skip": "{offset}"},
                "page_size": 100,
                "completeness": "chained",
                "order_path": ["id"],
                "order_direction": "asc",
            }
        },
    ),
    "a cursor in the body": Habit(
        Api(
            lists={
                "campaigns": Listing(
                    path="/campaigns",
                    position="token",
                    position_at=("starting_after",),
                    records_at=("items",),
                    next_as="value",
                    next_at=("next_starting_after",),
                    ends="absent",
                    order="created_at",
                    descending=True,
                    tied=4,
                    id_type="text",
                    item_at=(),
                )
            }
        ),
        {
            "campaigns": {
                "path": "/campaigns",
                "params": {"limit": "{size}", "starting_after": "{next}"},
                "page_size": 10,
                "records_path": ["items"],
                "id_type": "text",
                "item_path": "/campaigns/{id}",
                "item_record_path": [],
                "next_path": ["next_starting_after"],
                "cursor_is": "keyset",
                "next_absent_ends": True,
                "completeness": "chained",
                "order_path": ["created_at"],
                "order_type": "time",
                "order_direction": "desc",
            }
        },
    ),
    "a cursor that is an offset": Habit(
        Api(
            lists={
                "events": Listing(
                    path="/events",
                    position="token",
                    position_at=("cursor",),
                    token="offset",
                    token_lives=400,
                    next_as="value",
                    next_at=("meta", "next_cursor"),
                    ends="late",
                    order="name",
                )
            }
        ),
        {
            "events": {
                "path": "/events",
                "params": {"limit": "{size}", "cursor": "{next}"},
                "page_size": 10,
                "item_path": "/events/{id}",
                "next_path": ["meta", "next_cursor"],
                "completeness": "agreed",
            }
        },
    ),
    "the last id and has_more": Habit(
        Api(
            lists={
                "invoices": Listing(
                    path="/v1/invoices",
                    position="after",
                    position_at=("starting_after",),
                    gone="refused",
                    more_at=("has_more",),
                    order="created_at",
                    descending=True,
                    tied=3,
                    id_type="text",
                    time_format="epoch",
                    item_at=(),
                )
            },
            message_at=("error", "message"),
        ),
        {
            "invoices": {
                "path": "/v1/invoices",
                "params": {"limit": "{size}", "starting_after": "{last}"},
                "page_size": 10,
                "id_type": "text",
                "item_path": "/v1/invoices/{id}",
                "item_record_path": [],
                "more_path": ["has_more"],
                "completeness": "chained",
                "order_path": ["created_at"],
                "order_direction": "desc",
            }
        },
        {"message_path": ["error", "message"]},
    ),
    "the header Link and ETags": Habit(
        Api(
            lists={
                "issues": Listing(
                    path="/repos/acme/widgets/issues",
                    position_at=("page",),
                    size_at=("per_page",),
                    records_at=(),
                    next_as="link",
                    version_header="etag",
                    order="updated_at",
                    descending=True,
                    item_at=(),
                )
            }
        ),
        {
            "issues": {
                "path": "/repos/acme/widgets/issues",
                "params": {"per_page": "{size}"},
                "page_size": 10,
                "records_path": [],
                "item_path": "/repos/acme/widgets/issues/{id}",
                "item_record_path": [],
                "next_is": "link_header",
                "next_absent_ends": True,
                "conditional": True,
                "completeness": "agreed",
            }
        },
    ),
    "the next URL, Last-Modified and a key in the query": Habit(
        Api(
            lists={
                "posts": Listing(
                    path="/posts",
                    position="offset",
                    position_at=("start",),
                    records_at=("payload", "posts"),
                    next_as="url",
                    next_at=("paging", "next"),
                    version_header="last-modified",
                )
            },
            auth=Auth(where="query", name="api_key", prefix=""),
        ),
        {
            "posts": {
                "path": "/posts",
                "params": {"limit": "{size}"},
                "page_size": 10,
                "records_path": ["payload", "posts"],
                "item_path": "/posts/{id}",
                "next_path": ["paging", "next"],
                "next_is": "url",
                "conditional": True,
                "completeness": "agreed",
            }
        },
        {"auth_in": "query", "auth_name": "api_key", "auth_prefix": ""},
    ),
    "a search that is POSTed and capped": Habit(
        Api(
            lists={
                "contacts": Listing(
                    path="/contacts/search",
                    method="POST",
                    position="above",
                    position_at=("filters", 0, "id", "gt"),
                    records_at=("results",),
                    total_at=("total",),
                    result_cap=25,
                    has_items=False,
                )
            }
        ),
        {
            "contacts": {
                "method": "POST",
                "path": "/contacts/search",
                "body": {"limit": "{size}", "filters": [{"id": {"gt": "{last|0}"}}]},
                "page_size": 10,
                "records_path": ["results"],
                "total_path": ["total"],
                "result_cap": 25,
                "short_page_ends": True,
                "completeness": "chained",
                "order_path": ["id"],
                "order_type": "number",
                "order_direction": "asc",
            }
        },
    ),
    "an export since a time": Habit(
        Api(
            lists={
                "tickets": Listing(
                    path="/incremental/tickets",
                    position="token",
                    position_at=("cursor",),
                    size_at=("per_page",),
                    records_at=("tickets",),
                    next_as="value",
                    next_at=("after_cursor",),
                    more_at=("end_of_stream",),
                    more_is=False,
                    order="updated_at",
                    since_at=("start_time",),
                    keeps_removed=True,
                    has_items=False,
                )
            }
        ),
        {
            "tickets": {
                "path": "/incremental/tickets",
                "params": {"start_time": "{since|0}", "cursor": "{next}", "per_page": "{size}"},
                "page_size": 10,
                "records_path": ["tickets"],
                "since_format": "epoch",
                "next_path": ["after_cursor"],
                "cursor_is": "keyset",
                "more_path": ["end_of_stream"],
                "more_is": False,
                "deleted_when": {"status": "deleted"},
                "updated_at_path": ["updated_at"],
                "completeness": "chained",
                "order_path": ["updated_at"],
                "order_type": "time",
                "order_moves": "forward",
                "order_direction": "asc",
            }
        },
    ),
    "one answer": Habit(
        Api(
            lists={"tags": Listing(path="/tags", position="none", size=10_000, records_at=())},
            auth=Auth(kind="none"),
        ),
        {
            "tags": {
                "path": "/tags",
                "page_size": 1_000,
                "records_path": [],
                "item_path": "/tags/{id}",
                "completeness": "single",
            }
        },
        {"auth": "none"},
    ),
    "lists below records": Habit(
        Api(
            lists={
                "widgets": COUNTED_LIST,
                "parts": Listing(
                    path="/widgets/{parent}/parts",
                    parent="widgets",
                    ids_repeat=True,
                    position_at=("page",),
                    size_at=("per_page",),
                    size=2,
                    total_at=("meta", "total"),
                    last_page_at=("meta", "last_page"),
                ),
            }
        ),
        {
            "widgets": COUNTED,
            "parts": {
                "path": "/widgets/{parent.id}/parts",
                "params": {"page": "{page}", "per_page": "{size}"},
                "page_size": 2,
                "item_path": "/widgets/{parent.id}/parts/{id}",
                "parent_stream": "widgets",
                "fan_out": "all",
                "id_scope": "parent",
                "completeness": "counted",
            },
        },
    ),
}


def _asking(how: Auth, **source: object) -> Habit:
    return Habit(Api(lists={"widgets": COUNTED_LIST}, auth=how), {"widgets": COUNTED}, source)


AUTHS: Mapping[str, Habit] = {
    "a key in a header of its own": _asking(
        Auth(name="x-api-key", prefix=""), auth_name="X-Api-Key", auth_prefix=""
    ),
    "a password": _asking(Auth(kind="basic"), auth="basic"),
    "a client's token": _asking(
        Auth(kind="oauth2_client"), auth="oauth2_client", token_url="/oauth/token"
    ),
    "a refreshed token": _asking(
        Auth(kind="oauth2_refresh"), auth="oauth2_refresh", token_url="/oauth/token"
    ),
}


def _limited(limit: Limit, **source: object) -> Habit:
    return Habit(Api(lists={"widgets": COUNTED_LIST}, limit=limit), {"widgets": COUNTED}, source)


RESET = {"name": "x-ratelimit-reset", "is": "epoch"}
LIMITS: Mapping[str, Habit] = {
    "Retry-After": _limited(Limit(per_second=0.4)),
    "a reset in epoch seconds": _limited(Limit(per_second=0.4, says="reset"), reset_header=RESET),
    "a 403 without requests left": _limited(
        Limit(per_second=0.4, says="forbidden"),
        reset_header=RESET,
        class_rules=[
            {
                "status": 403,
                "header": "x-ratelimit-remaining",
                "is": "0",
                "class": "rate_limited",
            }
        ],
    ),
    "a 200 without success": _limited(
        Limit(per_second=0.4, says="success_false"),
        class_rules=[{"status": 200, "path": ["success"], "is": False, "class": "rate_limited"}],
    ),
    "seconds in the body": _limited(
        Limit(per_second=0.4, says="body"), retry_after_path=["retry_after"]
    ),
}
ALL: Mapping[str, Habit] = {**HABITS, **AUTHS, **LIMITS}
