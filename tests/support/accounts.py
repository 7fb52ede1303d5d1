"""An API's accounts, and the answers it gives to the requests of leases."""

import json
from dataclasses import dataclass, field
from typing import Any

PAGE_SIZE = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that may be handed over."""

    status: int
    body: str


@dataclass(slots=True)
class Accounts:
    """One workspace's accounts by id, paged as Email Bison pages."""

    ids: list[int]
    page_size: int = PAGE_SIZE
    fields: dict[int, dict[str, Any]] = field(default_factory=dict)
    owner: int = 0  # the workspace that the key belongs to

    @classmethod
    def on_pages(cls, pages: int, *, first_id: int = 1, owner: int = 0) -> "Accounts":
        """As many as fill that many pages."""
        return cls(list(range(first_id, first_id + pages * PAGE_SIZE)), owner=owner)

    @property
    def last_page(self) -> int:
        return max(1, -(-len(self.ids) // self.page_size))

    def record(self, account_id: int) -> dict[str, Any]:
        own = self.fields.get(account_id, {})
        return {
            "id": account_id,
            "email": f"account{account_id}@example.com",
            "name": f"Account {account_id}",
            "status": "Connected",
            "emails_sent_count": account_id * 10,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "updated_at": "2026-01-01T00:00:00.000000Z",
            **own,
        }

    def page(self, number: int) -> Answer:
        start = (number - 1) * self.page_size
        shown = self.ids[start : start + self.page_size]
        return Answer(
            200,
            json.dumps(
                {
                    "data": [self.record(account_id) for account_id in shown],
                    "meta": {
                        "current_page": number,
                        "last_page": self.last_page,
                        "total": len(self.ids),
                    },
                }
            ),
        )

    def item(self, account_id: int) -> Answer:
        if account_id not in self.ids:
            return Answer(404, json.dumps({"message": "not found"}))
        return Answer(200, json.dumps({"data": self.record(account_id)}))

    def answer(self, request: dict[str, Any]) -> Answer:
        """To the request of a lease."""
        if str(request["url"]).endswith("/users"):
            return Answer(200, json.dumps({"data": {"workspace": {"id": self.owner}}}))
        params = dict(request["params"])
        if "page" in params:
            return self.page(int(params["page"]))
        return self.item(int(request["url"].rsplit("/", 1)[1]))
