"""A workspace with accounts and replies: by page, by cursor, and as whole conversations."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from tests.support.accounts import Accounts, Answer

REPLIES_PER_PAGE = 2
REPLIES_PER_THREAD = 3


@dataclass(slots=True)
class Tenant(Accounts):
    """Replies by id, the highest is the newest; so many after another are a conversation."""

    replies: list[int] = field(default_factory=list)

    def answer(self, request: dict[str, Any]) -> Answer:
        url, params = str(request["url"]), dict(request["params"])
        if url.endswith("/conversation-thread"):
            return self._conversation(int(url.split("/")[-2]))
        if not url.endswith("/replies"):
            return Accounts.answer(self, request)
        newest = sorted(self.replies, reverse=True)
        if "page" in params:
            start = (int(params["page"]) - 1) * REPLIES_PER_PAGE
            last_page = max(1, -(-len(newest) // REPLIES_PER_PAGE))
            meta: dict[str, Any] = {"total": len(newest), "last_page": last_page}
            return self._listed(newest[start : start + REPLIES_PER_PAGE], meta)
        below = _read_cursor(params["cursor"]) if "cursor" in params else None
        left = [i for i in newest if below is None or i < below]
        shown = left[:REPLIES_PER_PAGE]
        return self._listed(shown, {"next_cursor": _cursor(shown[-1]) if left[2:] else None})

    def _listed(self, ids: list[int], meta: dict[str, Any]) -> Answer:
        return Answer(200, json.dumps({"data": [self._reply(i) for i in ids], "meta": meta}))

    def _conversation(self, asked: int) -> Answer:
        if asked not in self.replies:
            return Answer(404, json.dumps({"message": "not found"}))
        older = [i for i in self.replies if i != asked and _thread(i) == _thread(asked)]
        data = {
            "current_reply": self._reply(asked),
            "older_messages": [self._reply(i) for i in older],
            "newer_messages": [],
        }
        return Answer(200, json.dumps({"data": data}))

    def _reply(self, reply_id: int) -> dict[str, Any]:
        hour, minute = divmod(reply_id % 1440, 60)
        return {
            "id": reply_id,
            "subject": f"Subject {_thread(reply_id)}",
            "type": "Tracked Reply",
            "raw_message_id": f"<{reply_id}@example.com>",
            "date_received": f"2026-01-{reply_id // 1440 % 28 + 1:02}T{hour:02}:{minute:02}:00Z",
            "updated_at": "2026-02-01T00:00:00Z",
        }


def _thread(reply_id: int) -> int:
    return reply_id // REPLIES_PER_THREAD


def _cursor(reply_id: int) -> str:
    plain = json.dumps({"id": reply_id, "_pointsToNextItems": True}).encode()
    return urlsafe_b64encode(plain).decode().rstrip("=")


def _read_cursor(text: str) -> int:
    return int(json.loads(urlsafe_b64decode(text.ljust(-(-len(text) // 4) * 4, "=")))["id"])
