"""What a job costs grows with its runs, and no faster: counted in rows read, not in seconds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.support.accounts import Answer
from tests.support.db import Db
from tests.support.setup import job_status, keep_unanalyzed, stop_clock, sweep_only_when_asked
from tests.support.sql_worker import NewWorker

STREAMS = "{sender_emails,replies,conversation_threads}"
REGISTER = (
    "select register_workspace(name, 'http://127.0.0.1:9', '1|key-of-' || name)"
    " from unnest(cast(:names as text[])) as name"
)
# By this session since some moment before this transaction.
ROWS_READ = """
select sum(pg_stat_get_xact_tuples_returned(t.id) + pg_stat_get_xact_tuples_fetched(t.id) + (
  select coalesce(sum(pg_stat_get_xact_tuples_fetched(i.indexrelid)), 0)
  from pg_index as i where i.indrelid = t.id))::bigint
from unnest('{public.workspace_sync_runs,public.chunk_processing_queue,public.chunked_sync_jobs,
  public.polling_job_status,public.sync_workspaces,public.sync_workspace_streams,
  sync.run_counters}'::regclass[]) as t (id)
"""
EMPTY = Answer(200, '{"data": [], "meta": {"total": 0, "last_page": 1}}')
FEW, MANY = 50, 200


@dataclass(slots=True)
class Fleet:
    """`costs`: rows read, by what was done."""

    db: Db
    new_worker: NewWorker
    costs: dict[str, int] = field(default_factory=dict)

    def synced(self, workspaces: int) -> dict[str, int]:
        """Every workspace has three runs, and of each a page that is empty; then they are started
        again, and cancelled."""
        names = [f"w{workspaces}-{number}" for number in range(workspaces)]
        self.db.run(REGISTER, names=names)
        self.db.run("select set_budget('email_bison', null, null)")
        self.db.run("update sync_workspaces set key_status = 'accepted'")
        self.costs = {"start": 0, "close": 0, "cancel": 0}
        worker = self.new_worker()
        job_id = ""

        def start() -> None:
            nonlocal job_id
            job_id = str(
                worker.db.value(
                    "select start_sync_job('fleet', cast(:streams as text[]),"
                    " cast(:names as text[])) ->> 'job_id'",
                    streams=STREAMS,
                    names=names,
                )
            )

        self._counted("start", worker.db, start)
        while leases := worker.claim(10):
            pages = [(lease, EMPTY) for lease in leases]
            self._counted("close", worker.db, partial(worker.complete_all, pages))
        assert job_status(self.db, job_id) == "completed"
        start()
        cancel = "select cancel_sync_job(cast(:id as uuid))"
        self._counted("cancel", self.db, lambda: self.db.run(cancel, id=job_id))
        assert job_status(self.db, job_id) == "cancelled"
        return self.costs

    def _counted(self, what: str, db: Db, act: Callable[[], object]) -> None:
        with db.transaction():
            before = db.value(ROWS_READ)
            act()
            self.costs[what] += db.value(ROWS_READ) - before


@pytest.fixture
def fleet(db: Db, new_worker: NewWorker) -> Fleet:
    # What is done every few seconds, however many runs end meanwhile, is no cost of a run.
    stop_clock(db)
    sweep_only_when_asked(db)
    keep_unanalyzed(db)
    return Fleet(db, new_worker)


def test_four_times_the_runs_start_close_and_are_cancelled_at_four_times_the_cost(
    fleet: Fleet,
) -> None:
    few, many = fleet.synced(FEW), fleet.synced(MANY)
    assert fleet.db.value("select count(*) from workspace_sync_runs") == 2 * 3 * (FEW + MANY)
    for what in ("start", "close", "cancel"):
        assert many[what] < 1.2 * MANY / FEW * few[what], (what, few, many)
