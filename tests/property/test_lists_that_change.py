"""No completed run misses a record that was there throughout, whatever came and went meanwhile.

A list of a few records is read by short pages while it changes: before each request a record may
come, anywhere in the order, or go. Its API may serve less than it is asked for, and many records
may have one key. What a run read may be partial, and rows that went may stay for a sync or two.
`EXAMPLES=100 make test T=lists_that_change` tries more.
"""

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.conftest import Connect
from tests.support.accounts import Answer
from tests.support.db import Db
from tests.support.setup import BASE_URL, accept_key, set_settings
from tests.support.sql_worker import Lease, SqlWorker

NO_MORE = 40
quick = settings(
    max_examples=int(os.environ.get("EXAMPLES", "6")),
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True, slots=True)
class Change:
    """Before a request: a record comes, goes, or is touched, which moves it to the end."""

    what: str
    number: int


Plan = list[list[Change]]


def plans_of(*what: str) -> st.SearchStrategy[Plan]:
    """What happens before each request: mostly nothing."""
    change = st.builds(Change, st.sampled_from(what), st.integers(0, NO_MORE))
    return st.lists(st.just([]) | st.lists(change, max_size=4), max_size=20)


# Three of the first page go after it was read.
TOP_GOES = [[], [Change("go", 11), Change("go", 10), Change("go", 9)]]
# Of twelve, by fives: in each of two scans the first one goes behind page 1, where 7 is the next; a
# new first one has moved it back there in between.
SAME_ONE_IS_PASSED_OVER = [[], [Change("go", 11)], [], [Change("come", 13)], [Change("go", 11)]]
COMES = Change("come", 22)
LONGER_TIES = {1, 2, 9, 11, 12, 14, 15, 18, 23, 29, 31, 32, 36, 37, 38, 39}
# Two records of each key, by twos: no page begins strictly before the last key of the page before.
TIES_OF_A_PAGE = {1, 5, 8, 9, 15, 19, 21, 29, 30, 33, 34}
changes = st.tuples(plans_of("come", "go"), plans_of("come", "go"))
lists = st.sets(st.integers(1, NO_MORE), max_size=14)
sizes = st.integers(2, 5)


@dataclass(slots=True)
class Api:
    """A list by key and id, and how it is served."""

    ids: set[int]
    declared: dict[str, Any]
    served: int
    ties: int = 1
    turns: bool = False
    asked: int = 0
    used: set[int] = field(default_factory=set)
    moved: dict[int, int] = field(default_factory=dict)

    def key(self, record_id: int) -> int:
        return self.moved.get(record_id, record_id // self.ties)

    def in_order(self) -> list[int]:
        """Where ties turn, in another order each time it is asked."""
        self.asked += 1
        by = {i: Random(f"{self.asked} {i}").random() if self.turns else i for i in self.ids}
        return sorted(self.ids, key=lambda i: (self.key(i), by[i]), reverse=self.is_descending)

    @property
    def is_descending(self) -> bool:
        return bool(self.declared.get("order_direction", "desc") == "desc")

    def apply(self, change: Change) -> int | None:
        """Returns the record that went."""
        self.used |= self.ids
        if change.what == "come":
            # Anywhere in the order; an id is never given twice.
            self.ids.add(next(i for i in itertools.count(change.number) if i not in self.used))
        elif self.ids:
            record_id = sorted(self.ids)[change.number % len(self.ids)]
            if change.what == "go":
                self.ids.discard(record_id)
                return record_id
            self.moved[record_id] = 1000 + max(self.moved.values(), default=0)
        return None

    def answer(self, chunk: dict[str, Any]) -> Answer:
        if chunk["kind"] == "confirmation":
            record_id = int(chunk["record_id"])
            if record_id not in self.ids:
                return Answer(404, json.dumps({"message": "not found"}))
            return Answer(200, json.dumps({"data": self._record(record_id)}))
        reading = chunk["reading"] or {}
        listed = self.in_order()
        position = json.dumps(self.declared["params"])
        start = 0
        if "{page}" in position:
            start = (chunk["page"] - 1) * self.served
        elif "{offset}" in position:
            start = reading.get("offset", (chunk["page"] - 1) * self.declared["page_size"])
        elif "{last}" in position or "cursor_is" in self.declared:
            last = reading.get("last", reading.get("next"))
            if last is not None:
                listed = [
                    i
                    for i in listed
                    if self.key(i) != last and (self.key(i) < last) is self.is_descending
                ]
        else:
            start = reading.get("next", 0)
        shown = listed[start : start + self.served]
        has_more = len(listed) > start + self.served
        by_key = "cursor_is" in self.declared
        body = {
            "data": [self._record(i) for i in shown],
            "more": has_more,
            "total": len(listed),
            "next": (self.key(shown[-1]) if by_key else start + self.served) if has_more else None,
        }
        return Answer(200, json.dumps(body))

    def _record(self, record_id: int) -> dict[str, Any]:
        return {"id": record_id, "key": self.key(record_id)}


@dataclass(slots=True)
class World:
    """Each list is a stream and a workspace of its own, in one database."""

    db: Db
    worker: SqlWorker
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def of(cls, connect: Connect) -> "World":
        world = cls(connect(), SqlWorker(connect("service_role"), "worker"))
        world.worker.db.run(
            "select declare_source(cast(:source as jsonb))",
            source='{"source_name": "lists", "requests_per_second": null, "max_in_flight": null}',
        )
        set_settings(world.db, deletion_guard_rows=1000, empty_list_minutes=0)
        return world

    def sync(
        self,
        api: Api,
        plan: Plan,
        name: str,
        at_once: int,
        *,
        may_miss: bool = False,
    ) -> str:
        """Returns what became of the run; a completed one missed nothing that stayed."""
        there = set(api.ids)
        job_id = self.worker.db.value(
            "select start_sync_job('test', cast(array[:name] as text[]), "
            "cast(array[:name] as text[])) ->> 'job_id'",
            name=name,
        )
        steps = iter(plan)
        while leases := self.worker.claim(at_once):
            pages: list[tuple[Lease, Answer]] = []
            # The one that was asked for last is answered first.
            for lease in reversed(leases):
                there -= {api.apply(change) for change in next(steps, [])}
                pages.append((lease, api.answer(self._chunk(lease))))
            self.worker.complete_all(pages)
        run = self.db.one(
            "select id, status, warnings from workspace_sync_runs where job_id = cast(:id as uuid)",
            id=job_id,
        )
        if run["status"] == "running":  # a page that repeats is tried again later
            self.worker.cancel(str(job_id))
        if run["status"] == "completed" and not may_miss:
            assert there <= self.live(name), (run["warnings"], self._pages(run["id"]))
        assert not there & self.deleted(name)
        return str(run["status"])

    def declare(self, api: Api) -> str:
        name = f"list-{next(self.numbers)}"
        self.worker.db.run(
            "select declare_stream(cast(:declared as jsonb))",
            declared=json.dumps(
                {"source_name": "lists", "stream_name": name, "path": "/items"} | api.declared
            ),
        )
        self.db.run(
            "select register_workspace(:name, :url, 'thekey', 'lists', p_max_concurrency => 4)",
            name=name,
            url=BASE_URL,
        )
        accept_key(self.db, name)
        self.db.run("select set_budget('lists', null, null)")
        return name

    def live(self, name: str) -> set[int]:
        return self._ids(name, "is null")

    def deleted(self, name: str) -> set[int]:
        return self._ids(name, "is not null")

    def _ids(self, name: str, is_deleted: str) -> set[int]:
        return set(
            self.db.column(
                "select r.id::int from synced_records as r join sync_workspaces as w on w.id = "
                f"r.workspace_id where w.workspace_name = :name and r.deleted_at {is_deleted}",
                name=name,
            )
        )

    def _chunk(self, lease: Lease) -> dict[str, Any]:
        return self.db.one(
            "select kind, page, record_id, reading from chunked_sync_jobs where id = :id",
            id=lease.queue_id,
        )

    def _pages(self, run_id: int) -> list[Any]:
        return self.db.run(
            "select scan, page, record_ids, ends from sync.seen_pages where run_id = :id "
            "order by scan, page",
            id=run_id,
        )


def read_twice(world: World, api: Api, plans: tuple[Plan, Plan]) -> None:
    """The first sync is a chain; the second one may read side by side. Then all is quiet."""
    name = world.declare(api)
    for at_once, plan in zip((1, 3), plans, strict=True):
        world.sync(api, plan, name, at_once)
    status = world.sync(api, [], name, 3)
    assert (status, api.ids - world.live(name)) in (("completed", set()), ("partial", set()))


CHAINED: dict[str, dict[str, Any]] = {
    "offset": {"params": {"offset": "{offset}"}, "order_path": ["id"]},
    "offset of keys": {"params": {"offset": "{offset}"}, "order_path": ["key"]},
    "offset, more": {
        "params": {"offset": "{offset}"},
        "order_path": ["key"],
        "more_path": ["more"],
    },
    "offset, wide": {"params": {"offset": "{offset}"}, "order_path": ["id"], "overlap": 1},
    "last": {"params": {"after": "{last}"}, "order_path": ["id"]},
    "last of keys": {
        "params": {"after": "{last}"},
        "order_path": ["key"],
        "last_path": ["key"],
        "order_is_unique": True,
        "more_path": ["more"],
    },
    "next": {
        "params": {"cursor": "{next}"},
        "next_path": ["next"],
        "cursor_is": "keyset",
        "order_path": ["key"],
        "order_is_unique": True,
    },
}


def test_a_chained_run_that_completed_missed_nothing_that_stayed(connect: Connect) -> None:
    world = World.of(connect)

    @quick
    @given(
        ids=lists,
        kind=st.sampled_from(sorted(CHAINED)),
        direction=st.sampled_from(["asc", "desc"]),
        page_size=sizes,
        served=sizes,
        ties=st.integers(1, 4),
        turns=st.booleans(),
        plans=changes,
    )
    @example(set(range(1, 13)), "offset of keys", "desc", 5, 5, 4, False, ([], []))
    @example(set(range(1, 15)), "offset", "asc", 5, 2, 1, False, ([], []))
    @example(set(range(1, 13)), "offset", "desc", 5, 5, 1, False, (TOP_GOES, TOP_GOES))
    @example(TIES_OF_A_PAGE, "offset of keys", "asc", 2, 3, 2, True, ([], [[], [COMES]]))
    @example(LONGER_TIES, "offset of keys", "desc", 4, 3, 4, False, ([], []))
    def check(
        ids: set[int],
        kind: str,
        direction: str,
        page_size: int,
        served: int,
        ties: int,
        turns: bool,
        plans: tuple[Plan, Plan],
    ) -> None:
        is_unique = CHAINED[kind]["order_path"] == ["id"] or "order_is_unique" in CHAINED[kind]
        api = Api(
            set(ids),
            {
                "completeness": "chained",
                "order_direction": direction,
                "page_size": page_size,
                **CHAINED[kind],
            },
            served,
            1 if is_unique else ties,
            turns,
        )
        read_twice(world, api, plans)

    check()


def test_a_chained_run_over_what_moves_forward_missed_nothing_that_stayed(connect: Connect) -> None:
    world = World.of(connect)

    @quick
    @given(ids=lists, page_size=sizes, plans=st.tuples(*[plans_of("come", "go", "touch")] * 2))
    def check(
        ids: set[int],
        page_size: int,
        plans: tuple[Plan, Plan],
    ) -> None:
        declared = {
            "completeness": "chained",
            "page_size": page_size,
            "order_direction": "asc",
            "order_moves": "forward",
            **CHAINED["last of keys"],
        }
        read_twice(world, Api(set(ids), declared, page_size), plans)

    check()


AGREED: dict[str, dict[str, Any]] = {
    "page": {"params": {"page": "{page}"}},
    "page, short ends": {"params": {"page": "{page}"}, "short_page_ends": True},
    "cursor": {"params": {"cursor": "{next}"}, "next_path": ["next"]},
    "offset": {"params": {"offset": "{offset}"}, "more_path": ["more"]},
}


def test_an_agreed_run_that_completed_missed_nothing_that_stayed(connect: Connect) -> None:
    world = World.of(connect)

    @quick
    @given(
        ids=lists,
        kind=st.sampled_from(sorted(AGREED)),
        page_size=sizes,
        plans=changes,
    )
    @example(set(range(1, 13)), "page", 5, (TOP_GOES, TOP_GOES))
    @example(set(range(1, 13)), "page, short ends", 5, (SAME_ONE_IS_PASSED_OVER, []))
    def check(
        ids: set[int],
        kind: str,
        page_size: int,
        plans: tuple[Plan, Plan],
    ) -> None:
        declared = {"completeness": "agreed", "page_size": page_size, **AGREED[kind]}
        read_twice(world, Api(set(ids), declared, page_size), plans)

    check()


def test_a_counted_run_deletes_nothing_that_stayed(connect: Connect) -> None:
    world = World.of(connect)

    @quick
    @given(
        ids=lists,
        position=st.sampled_from(["page", "offset"]),
        page_size=sizes,
        served=sizes,
        plans=changes,
    )
    def check(
        ids: set[int],
        position: str,
        page_size: int,
        served: int,
        plans: tuple[Plan, Plan],
    ) -> None:
        declared = {
            "completeness": "counted",
            "page_size": page_size,
            "total_path": ["total"],
            "item_path": "/items/{id}",
            "params": {position: f"{{{position}}}"},
        }
        api = Api(set(ids), declared, served)
        name = world.declare(api)
        for plan in plans:
            # Between two pages one may come and one go: that costs a sync.
            world.sync(api, plan, name, 3, may_miss=True)
        assert world.sync(api, [], name, 3) == "completed"
        assert world.live(name) == api.ids

    check()
