"""The replies of one workspace: generated from their number when asked for, so that a feed of
270,000 costs two numbers each; what is added or edited is kept."""

import json
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue, NonNegativeInt, PositiveInt

from local.bison.records import api_time

FIRST_ID = 1_000
FIRST_RECEIVED = datetime(2025, 5, 1, 8, tzinfo=UTC)
SECONDS_APART = 97
# Of four replies in a row, the order in which they were received: ids are not quite in order.
RECEIVED_ORDER = (0, 2, 1, 3)
TOPICS = ("Pricing", "A quick question", "Next steps", "Your audit", "Re-engagement", "Demo")
Reply = dict[str, object]


class UnknownReplyError(LookupError):
    """No reply of this workspace has that id."""


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """How many replies, and in how many conversations."""

    replies: NonNegativeInt = 0
    threads: PositiveInt = 1


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Whose feed it is; `number` of `workspaces` keeps ids apart over the instance."""

    number: int
    workspaces: int
    domain: str
    sender_ids: Sequence[int]


@dataclass(slots=True)
class ReplyFeed:
    mailbox: Mailbox
    spec: FeedSpec
    ids: "array[int]" = field(init=False)
    _by_date: "array[int]" = field(init=False)
    _kept: dict[int, bytes] = field(default_factory=dict)
    _thread_of: dict[int, int] = field(default_factory=dict)
    _added: dict[int, list[int]] = field(default_factory=dict)
    _next_number: int = field(init=False)

    def __post_init__(self) -> None:
        numbers = range(self.spec.replies)
        self.ids = array("q", (self._id(n) for n in numbers))
        self._by_date = array("q", sorted(_date_key(_received(n), self._id(n)) for n in numbers))
        self._next_number = self.spec.replies

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, reply_id: int) -> bool:
        at = bisect_left(self.ids, reply_id)
        return at < len(self.ids) and self.ids[at] == reply_id

    def newest(self, start: int, count: int) -> list[int]:
        """Ids by the date of receipt, newest first, from a position on."""
        end = len(self._by_date) - start
        keys = self._by_date[max(end - count, 0) : max(end, 0)]
        return [key & 0xFFFFFFFF for key in reversed(keys)]

    def below(self, reply_id: int | None, count: int) -> list[int]:
        """The highest ids below one, descending."""
        end = len(self.ids) if reply_id is None else bisect_left(self.ids, reply_id)
        return list(reversed(self.ids[max(end - count, 0) : end]))

    def above(self, reply_id: int, count: int) -> list[int]:
        """The lowest ids above one, descending."""
        start = bisect_right(self.ids, reply_id)
        return list(reversed(self.ids[start : start + count]))

    def raw(self, reply_ids: Sequence[int]) -> Iterator[bytes]:
        return (self._kept.get(i) or _json(self._generated(self._number(i))) for i in reply_ids)

    def conversation(self, reply_id: int) -> list[int]:
        """Every reply of the conversation, oldest first."""
        thread = self._thread(reply_id)
        members = [self._id(n) for n in range(thread, self.spec.replies, self.spec.threads)]
        return sorted(members + self._added.get(thread, []), key=self._received_key)

    def conversations(self) -> list[list[int]]:
        """All of them, by the id of their first reply."""
        threads = {self._thread(i): i for i in self.ids}
        return sorted(self.conversation(i) for i in threads.values())

    def add(self, given: Mapping[str, JsonValue], joins: int | None, now: datetime) -> int:
        """A reply of the conversation of `joins`, or of a new one; its id."""
        number = self._next_number
        self._next_number += 1
        reply_id = given.get("id", self._id(number))
        if type(reply_id) is not int or reply_id in self:
            raise UnknownReplyError(f"reply id {reply_id!r} is taken or no integer")
        moment = api_time(now)
        reply = self._generated(number) | {
            "id": reply_id, "parent_id": joins, "date_received": moment,
            "created_at": moment, "updated_at": moment,
        }  # fmt: skip
        thread = number + self.spec.threads if joins is None else self._thread(joins)
        self._keep(reply_id, reply | dict(given))
        self._thread_of[reply_id] = thread
        self._added.setdefault(thread, []).append(reply_id)
        insort(self.ids, reply_id)
        insort(self._by_date, self._received_key(reply_id))
        return reply_id

    def change(self, reply_id: int, fields: Mapping[str, JsonValue], now: datetime) -> None:
        """Edit a reply; it keeps its place and its conversation."""
        if reply_id not in self or {"id", "date_received"} & fields.keys():
            raise UnknownReplyError(f"{reply_id} is no reply, or the change moves it")
        reply = json.loads(next(self.raw([reply_id])))
        self._keep(reply_id, reply | {"updated_at": api_time(now)} | dict(fields))

    def _keep(self, reply_id: int, reply: Mapping[str, object]) -> None:
        self._kept[reply_id] = _json(reply)

    def _id(self, number: int) -> int:
        box = self.mailbox
        return FIRST_ID + (number * box.workspaces + box.number) * 3 + number * 7 % 3

    def _number(self, reply_id: int) -> int:
        return (reply_id - FIRST_ID) // 3 // self.mailbox.workspaces

    def _thread(self, reply_id: int) -> int:
        if reply_id not in self:
            raise UnknownReplyError(f"no reply {reply_id}")
        if reply_id in self._thread_of:
            return self._thread_of[reply_id]
        return self._number(reply_id) % self.spec.threads

    def _received_key(self, reply_id: int) -> int:
        if reply_id in self._thread_of:
            received = datetime.fromisoformat(json.loads(self._kept[reply_id])["date_received"])
        else:
            received = _received(self._number(reply_id))
        return _date_key(received, reply_id)

    def _generated(self, number: int) -> Reply:
        """A reply with the fields of Email Bison's, in its order; answers go back and forth."""
        threads = self.spec.threads
        thread, turn = number % threads, number // threads
        reply_id, domain = self._id(number), self.mailbox.domain
        ours = {"name": "Sender", "address": f"sender{thread % 50}@{domain}"}
        theirs = {"name": f"Lead {thread}", "address": f"lead{thread}@prospect.example"}
        sender, receiver = (ours, theirs) if turn % 2 else (theirs, ours)
        subject = f"{'Re: ' * min(turn, 1)}{TOPICS[thread % len(TOPICS)]} #{thread}"
        text = f"Hello {receiver['name']},\n\nthis is answer {turn} on {subject}.\n\nBest regards"
        received = api_time(_received(number))
        senders = self.mailbox.sender_ids
        return {
            "id": reply_id,
            "uuid": f"00000000-0000-4000-8000-{reply_id:012x}",
            "type": "Outgoing Email" if turn % 2 else "Tracked Reply",
            "folder": "Sent" if turn % 2 else "Inbox",
            "campaign_id": 10 + thread % 7,
            "lead_id": 500 + thread,
            "scheduled_email_id": 9_000 + number,
            "sender_email_id": senders[thread % len(senders)] if senders else None,
            "parent_id": self._id(number - threads) if turn else None,
            "subject": subject,
            "text_body": text,
            "html_body": f"<p>{text}</p>",
            "raw_body": f"Subject: {subject}\r\n\r\n{text}",
            "headers": [{"name": "Subject", "value": subject}],
            "date_received": received,
            "created_at": received,
            "updated_at": received,
            "from_email_address": sender["address"],
            "from_name": sender["name"],
            "primary_to_email_address": receiver["address"],
            "to": [receiver],
            "cc": [],
            "bcc": [],
            "automated_reply": False,
            "tracked_reply": not turn % 2,
            "interested": thread % 9 == 0,
            "read": True,
            "lead": {"id": 500 + thread, "email": theirs["address"], "first_name": "Lead"},
            "raw_message_id": f"<{reply_id}@{domain}>",
            "attachments": [],
        }


def _received(number: int) -> datetime:
    block, place = divmod(number, 4)
    rank = block * 4 + RECEIVED_ORDER[place]
    return FIRST_RECEIVED + timedelta(seconds=rank * SECONDS_APART)


def _date_key(received: datetime, reply_id: int) -> int:
    return int((received - FIRST_RECEIVED).total_seconds()) << 32 | reply_id


def _json(reply: Mapping[str, object]) -> bytes:
    return json.dumps(reply, separators=(",", ":")).encode()
