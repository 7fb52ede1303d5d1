"""The workspaces and accounts of one instance. Records are kept as the JSON bytes that are served.

The same specification and seed give the same bytes, and so does the same series of changes.
"""

import json
import string
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from pydantic import NonNegativeInt, PositiveInt

from local.bison.records import Account, Tag, new_account, slug, workspace_tags
from local.bison.replies import FeedSpec, Mailbox, ReplyFeed

DEFAULT_SIZES = {
    "Northwind Outbound": 433, "Harbor Logistics": 412, "Bluebird Analytics": 388,
    "Cedar Health": 351, "Delta Recruiting": 318, "Evergreen Solar": 287, "Falcon Security": 264,
    "Granite Capital": 198, "Horizon Travel": 195, "Iris Dental": 187, "Juniper Legal": 180,
    "Kestrel Robotics": 166, "Lumen Energy": 165, "Müller & Söhne": 162, "Nimbus Cloud": 156,
    "O'Hara Realty": 152, "Pioneer Freight": 147, "Quartz Insurance": 126, "Redwood HR": 123,
    "Sierra Fintech": 102, "Tidal Media": 95, "Umbra Studios": 65, "Vertex SaaS": 64,
    "Willow Clinics": 51, "Xenon Labs": 37, "Yarrow Foods": 15,
}  # fmt: skip
DEFAULT_REPLIES = FeedSpec(3_000, 1_200)
DEFAULT_LARGEST = "Northwind Outbound"
KEY_LETTERS = string.ascii_letters + string.digits
FIRST_ACCOUNT_CREATED = datetime(2025, 4, 14, 16, 59, 21, tzinfo=UTC)
FIRST_CHANGE = datetime(2026, 11, 1, 8, tzinfo=UTC)


class FleetError(Exception):
    """A change or a question names a workspace or account that is not there, or an id twice."""


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """Accounts per workspace name, how many distinct emails where that is fewer, and replies."""

    sizes: Mapping[str, NonNegativeInt]
    distinct_emails: Mapping[str, PositiveInt] = field(default_factory=dict)
    replies: Mapping[str, FeedSpec] = field(default_factory=dict)


def default_fleet() -> FleetSpec:
    """26 workspaces, 4,839 accounts, 335 pages; the largest: 433 ids, 29 pages, 360 emails.
    3,000 replies in 1,200 conversations, spread evenly."""
    replies = shares(DEFAULT_REPLIES.replies, len(DEFAULT_SIZES))
    threads = shares(DEFAULT_REPLIES.threads, len(DEFAULT_SIZES))
    feeds = map(FeedSpec, replies, threads)
    return FleetSpec(
        DEFAULT_SIZES, {DEFAULT_LARGEST: 360}, dict(zip(DEFAULT_SIZES, feeds, strict=True))
    )


def shares(whole: int, among: int) -> list[int]:
    each, over = divmod(whole, among)
    return [each + (number < over) for number in range(among)]


def scaled_fleet(*, workspaces: int, accounts: int, largest: int) -> FleetSpec:
    """One workspace of `largest` accounts; the others share the rest evenly."""
    if workspaces < 1 or largest > accounts or (workspaces == 1 and largest != accounts):
        raise FleetError(f"{workspaces} workspaces cannot hold {accounts} with {largest} in one")
    sizes = {"client 001": largest}
    each, over = divmod(accounts - largest, max(workspaces - 1, 1))
    for number in range(2, workspaces + 1):
        sizes[f"client {number:03}"] = each + (number - 2 < over)
    return FleetSpec(sizes)


@dataclass(slots=True)
class Workspace:
    """`records`: id to served bytes; `ids`: the same ids ascending, the order of the pages."""

    id: int
    name: str
    key: str
    tags: tuple[Tag, ...]
    key_accepted: bool = True
    ids: list[int] = field(default_factory=list)
    records: dict[int, bytes] = field(default_factory=dict)
    removed: dict[int, bytes] = field(default_factory=dict)
    feed: ReplyFeed = field(init=False)

    @property
    def domain(self) -> str:
        return f"get-{slug(self.name)}.example"

    def raw(self, account_ids: Iterable[int]) -> Iterator[bytes]:
        return (self.records[account_id] for account_id in account_ids)

    def put(self, account_id: int, record: bytes) -> None:
        if account_id not in self.records:
            insort(self.ids, account_id)
        self.records[account_id] = record

    def take(self, account_id: int) -> bytes:
        record = self.records.pop(account_id)
        del self.ids[bisect_left(self.ids, account_id)]
        return record


class Fleet:
    def __init__(self, spec: FleetSpec, seed: int) -> None:
        self._rng = Random(seed)
        self._by_name: dict[str, Workspace] = {}
        self._changed_at = FIRST_CHANGE
        self._created_at = FIRST_ACCOUNT_CREATED
        self._last_id = 1_000
        for number, name in enumerate(spec.sizes, start=1):
            self._by_name[name] = self._new_workspace(number, name)
        self._by_key = {workspace.key: workspace for workspace in self._by_name.values()}
        self._fill(spec)
        for number, workspace in enumerate(self):
            mailbox = Mailbox(number, len(spec.sizes), workspace.domain, tuple(workspace.ids[:50]))
            feed = spec.replies.get(workspace.name, FeedSpec())
            workspace.feed = ReplyFeed(mailbox, feed)

    def __iter__(self) -> Iterator[Workspace]:
        return iter(self._by_name.values())

    def workspace(self, name: str) -> Workspace:
        if name not in self._by_name:
            raise FleetError(f"no workspace {name!r}")
        return self._by_name[name]

    def with_key(self, key: str) -> Workspace | None:
        return self._by_key.get(key)

    def tick(self) -> datetime:
        """The time of the next change: a clock of its own, so that runs repeat."""
        self._changed_at += timedelta(seconds=1)
        return self._changed_at

    def next_account(self, workspace: Workspace, created: datetime) -> Account:
        self._last_id += self._rng.randint(1, 4)
        return new_account(self._rng, self._last_id, workspace.domain, workspace.tags, created)

    def claim_id(self, account_id: int) -> None:
        """Make sure that an id chosen outside is new to the instance and stays unique."""
        if any(account_id in workspace.records for workspace in self):
            raise FleetError(f"account {account_id} already exists")
        self._last_id = max(self._last_id, account_id)

    def _new_workspace(self, number: int, name: str) -> Workspace:
        token = "".join(self._rng.choices(KEY_LETTERS, k=48))
        tags = workspace_tags(self._rng)
        return Workspace(self._rng.randint(1, 9) + number * 10, name, f"{number}|{token}", tags)

    def _fill(self, spec: FleetSpec) -> None:
        """Ids rise over the whole instance, so the workspaces' ids interleave as in real life."""
        owners = [self._by_name[name] for name, size in spec.sizes.items() for _ in range(size)]
        self._rng.shuffle(owners)
        emails: dict[str, list[object]] = {name: [] for name in spec.sizes}
        for owner in owners:
            self._created_at += timedelta(seconds=self._rng.randint(20, 4_000))
            account = self.next_account(owner, self._created_at)
            known = emails[owner.name]
            if len(known) < spec.distinct_emails.get(owner.name, spec.sizes[owner.name]):
                known.append(account["email"])
            else:
                account["email"] = self._rng.choice(known)
            owner.put(self._last_id, to_json(account))


def to_json(value: object) -> bytes:
    """Compact and ASCII only, as PHP writes it."""
    return json.dumps(value, separators=(",", ":")).encode()
