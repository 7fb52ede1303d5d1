"""Reads a list of a fake API as its habit says, without an engine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from local.habits import RunningApi
from local.habits.asked import put, value_at
from local.habits.habit import Listing

MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Reader:
    running: RunningApi
    http: httpx.AsyncClient

    @property
    def credentials(self) -> Mapping[str, Mapping[str, str]]:
        auth, secret = self.running.api.auth, self.running.desk.secret
        if auth.kind == "none":
            return {}
        where = "params" if auth.where == "query" else "headers"
        return {where: {auth.name: f"{auth.prefix}{secret}"}}

    async def ask(
        self, name: str, position: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        listing = self.running.api.lists[name]
        said: dict[str, Any] = {}
        if position is not None:
            if listing.method == "POST":
                said = {"filters": [{"id": {"gt": position}}]}
            else:
                put(said, listing.position_at, position)
        given = self.credentials
        return await self.http.request(
            listing.method,
            f"{self.running.base_url}{listing.path}",
            params={**given.get("params", {}), **(said if listing.method == "GET" else {})},
            content=json.dumps(said) if listing.method == "POST" else None,
            headers={**given.get("headers", {}), **(headers or {})},
        )

    async def read(self, name: str) -> list[dict[str, Any]]:
        """All records, in their order; what stands on two pages twice."""
        listing = self.running.api.lists[name]
        position: object = None
        records: list[dict[str, Any]] = []
        for _ in range(MOST_PAGES):
            answer = await self.ask(name, position)
            if answer.status_code == listing.past_end != 200:
                return records
            answer.raise_for_status()
            shown = value_at(answer.json(), listing.records_at)
            records += shown
            position = following(listing, answer, position, shown)
            if position is None or not shown:
                return records
        raise AssertionError("the list has no end")


def following(
    listing: Listing, answer: httpx.Response, position: object, shown: list[dict[str, Any]]
) -> object:
    """Where the next page is, None at the end."""
    body = answer.json()
    if listing.more_at and value_at(body, listing.more_at) != listing.more_is:
        return None
    if listing.next_as == "link":
        url = answer.links.get("next", {}).get("url")
        return url and httpx.URL(url).params[str(listing.position_at[-1])]
    if listing.next_as in ("value", "url"):
        given = value_at(body, listing.next_at)
        if given is None or listing.next_as == "value":
            return given
        assert urlsplit(given).scheme == "http"
        return httpx.URL(given).params[str(listing.position_at[-1])]
    match listing.position:
        case "page":
            return int(str(position or listing.first_page)) + 1
        case "offset":
            return int(str(position or 0)) + len(shown)
        case "after" | "above":
            return shown[-1]["id"] if shown else None
        case _:
            return None
