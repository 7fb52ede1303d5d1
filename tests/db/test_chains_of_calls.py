"""How a claim and a completion run is written down, and stays as short as it is meant to be.

`supabase/README.md` names the functions that an ordinary claim and an ordinary page pass. Whatever
changes something stands there; what only works out a value for them may be left out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.stack import Database
from tests.support.accounts import Accounts
from tests.support.db import Db
from tests.support.setup import (
    plan_ahead,
    register_workspaces,
    stop_clock,
    sweep_only_when_asked,
)
from tests.support.sql_worker import Lease, NewWorker

README = Path(__file__).resolve().parents[2] / "supabase" / "README.md"
CHAINS = re.compile(r"(?ms)^## The two chains of calls\n(.*?)^## ")
CHAIN = re.compile(r"(?ms)^- (A claim|A completion|A hint): (.*?)(?=^- |^$)")
# It draws a number.
NO_STEP = {"new_token"}
# By this session since it last told the others.
CALLED = """
select p.proname as name, p.provolatile = 'v' as is_volatile, sum(s.calls)::int as calls
from pg_stat_xact_user_functions as s join pg_proc as p on p.oid = s.funcid
where s.schemaname in ('public', 'sync') group by p.proname, p.provolatile
"""


@dataclass(frozen=True, slots=True)
class Called:
    every: set[str]
    that_change_something: set[str]


def test_an_ordinary_page_passes_the_functions_that_the_chains_name(
    database: Database, db: Db, new_worker: NewWorker
) -> None:
    database.stack.psql("-c", f"alter database {database.name} set track_functions = 'all'")
    register_workspaces(db, "acme")
    stop_clock(db)
    sweep_only_when_asked(db)
    plan_ahead(db, 100)
    accounts = {"acme": Accounts.on_pages(20)}
    worker = new_worker()
    worker.start_past_page_one(accounts)
    # Its fields are known then.
    (lease,) = worker.claim(1)
    worker.complete_from(lease, accounts["acme"])
    leases: list[Lease] = []

    def claim() -> None:
        leases.extend(worker.claim(1))

    claimed = called_by(worker.db, claim)
    completed = called_by(worker.db, lambda: worker.complete_from(leases[0], accounts["acme"]))

    chains = written_chains()
    hint = chains["A hint"]
    for called, chain, most in (
        (claimed, chains["A claim"], 8),
        (completed, chains["A completion"], 12),
    ):
        assert len(chain) <= most
        assert not set(chain) - called.every
        assert not called.that_change_something - set(chain) - set(hint) - NO_STEP


def called_by(db: Db, act: Callable[[], object]) -> Called:
    with db.transaction():
        before = {row["name"]: row["calls"] for row in db.run(CALLED)}
        act()
        rows = [row for row in db.run(CALLED) if row["calls"] > before.get(row["name"], 0)]
    return Called(
        {row["name"] for row in rows}, {row["name"] for row in rows if row["is_volatile"]}
    )


def written_chains() -> dict[str, list[str]]:
    section = CHAINS.search(README.read_text())
    assert section
    return {name: re.findall(r"`(\w+)`", text) for name, text in CHAIN.findall(section[1])}
