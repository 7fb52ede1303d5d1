"""A fake API of a habit as a workspace: declared, registered, and compared with its truth."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from local.habits import Book, RunningApi
from local.habits.catalog import ALL, Habit
from tests.support.db import Db, Row

ROWS = """
    select st.stream_name as stream, r.id, r.raw, r.deleted_at is not null as is_deleted
    from synced_records as r
    join sync_workspaces as w on w.id = r.workspace_id
    join sync_streams as st on st.id = r.stream_id
    where w.workspace_name = :name
"""
RUNS = """
    select st.stream_name as stream, r.status, r.warnings, r.error_message, r.chunks_failed
    from workspace_sync_runs as r
    join sync_workspaces as w on w.id = r.workspace_id
    join sync_streams as st on st.id = r.stream_id
    where w.workspace_name = :name
      and r.job_id = (select id from polling_job_status order by started_at desc limit 1)
"""
VERSIONS = """
    select r.stream_id, r.id, r.xmin::text, r.ctid::text from synced_records as r
    join sync_workspaces as w on w.id = r.workspace_id where w.workspace_name = :name
"""
# What its chunks and runs say of what went wrong.
TOLD = """
    select concat_ws(' ', e.details ->> 'code', e.details ->> 'message', r.error_message,
      r.warnings)
    from workspace_sync_runs as r
    join sync_workspaces as w on w.id = r.workspace_id
    left join chunk_events as e on e.run_id = r.id and e.event in ('retry', 'failed')
    where w.workspace_name = :name
"""
ATTEMPTS = """
    select coalesce(sum(q.attempts), 0) from chunk_processing_queue as q
    join workspace_sync_runs as r on r.id = q.run_id
    join sync_workspaces as w on w.id = r.workspace_id where w.workspace_name = :name
"""
NAMES = list(ALL)
# A stream and the id of its row.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a workspace had after a job, beside the truth at that moment."""

    runs: Mapping[str, Row]
    live: Mapping[Key, Any]
    deleted: frozenset[Key]
    truth: Mapping[Key, Any]
    attempts: int
    told: tuple[str, ...]
    versions: frozenset[tuple[object, ...]]

    def assert_exact(self) -> None:
        """Every run is completed, and the rows are as the truth has them."""
        assert self.statuses == {"completed"}, self.runs
        assert self.differing == {}

    @property
    def is_exact(self) -> bool:
        return self.statuses == {"completed"} and not self.differing

    @property
    def differing(self) -> dict[Key, tuple[Any, Any]]:
        """What it has and what is true, where that is not the same: of 10,000 rows, pytest takes
        minutes to compare all."""
        return {
            key: (self.live.get(key), self.truth.get(key))
            for key in self.live.keys() | self.truth.keys()
            if self.live.get(key) != self.truth.get(key)
        }

    @property
    def statuses(self) -> set[str]:
        return {run["status"] for run in self.runs.values()}


@dataclass(frozen=True, slots=True)
class Tenant:
    """One workspace of a habit, of its API's name."""

    habit: Habit
    running: RunningApi
    db: Db

    @property
    def name(self) -> str:
        return self.running.name

    def register(self) -> None:
        self._declare("source", self.habit.source_of(self.name))
        for stream in self.habit.streams_of(self.name):
            self._declare("stream", stream)
        self.db.run(
            "select register_workspace(:name, :url, :key, :name)",
            name=self.name,
            url=self.running.origin,
            key=None if self.running.api.auth.kind == "none" else self.running.desk.secret,
        )

    def _declare(self, what: str, declaration: Mapping[str, Any]) -> None:
        given = json.dumps(declaration)
        self.db.run(f"select declare_{what}(cast(:given as jsonb))", given=given)

    @contextmanager
    def book(self) -> Iterator[Book]:
        """The truth of its list that has no parent."""
        with self.running.book(self.root) as book:
            yield book

    @property
    def is_conditional(self) -> bool:
        return any(stream.get("conditional") for stream in self.habit.streams.values())

    @property
    def root(self) -> str:
        lists = self.running.api.lists
        return next(name for name, listing in lists.items() if listing.parent is None)

    @property
    def lists_below(self) -> list[str]:
        """Its lists that hang below a record of another."""
        lists = self.running.api.lists
        return [name for name, listing in lists.items() if listing.parent is not None]

    @property
    def records_each(self) -> int:
        """How many records come with one of its root list: itself, and those below it."""
        lists = self.running.api.lists
        return 1 + sum(lists[name].children for name in self.lists_below)

    def found(self) -> Found:
        rows = self.db.run(ROWS, name=self.name)
        runs = self.db.run(RUNS, name=self.name)
        return Found(
            runs={run["stream"]: run for run in runs},
            live={(r["stream"], r["id"]): r["raw"] for r in rows if not r["is_deleted"]},
            deleted=frozenset((r["stream"], r["id"]) for r in rows if r["is_deleted"]),
            truth=self.truth(),
            told=tuple(self.db.column(TOLD, name=self.name)),
            attempts=self.db.value(ATTEMPTS, name=self.name),
            versions=frozenset(
                tuple(row.values()) for row in self.db.run(VERSIONS, name=self.name)
            ),
        )

    def truth(self) -> dict[Key, Any]:
        return {
            (stream, self._row_id(stream, parent, record_id)): record
            for stream in self.habit.streams
            for (parent, record_id), record in self.running.truth(stream).items()
        }

    def _row_id(self, stream: str, parent: object, record_id: object) -> str:
        if self.habit.streams[stream].get("id_scope") != "parent":
            return str(record_id)
        return f"{quote(str(parent), safe='')}/{quote(str(record_id), safe='')}"


def slug(name: str) -> str:
    """The name of its API."""
    return re.sub("[^a-z0-9]+", "_", name.lower())
