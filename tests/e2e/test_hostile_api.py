"""A hostile API: what breaks on the wire and what its paging does. Its run ends with the reason, or
tries again and is right; all others complete.

Bodies are in test_bad_answers, limits of rate in test_hostile_limits, all at once in
test_hostile_chaos.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from local.bison import (
    BisonControl,
    Break,
    Drip,
    MovingItems,
    Paging,
    RepeatedIds,
    Status,
    running_bison,
)
from local.bison.faults import Fault
from tests.e2e.world import World
from tests.support.db import Row

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = "all is well"
ACCOUNTS = 20
# Where the API is silent; elsewhere it is the default, longer than a busy machine stalls.
TIMEOUT_MS = 5_000
# The setting max_unanswered.
MAX_UNANSWERED = 5
# The API ignores both parameters, and drops them from its links.
PARAMETERS = {"per_page": "100", "workspace_id": "999"}
REDECLARE = """
    select declare_stream(to_jsonb(s) - '{id,source_id,revision,created_at}'::text[]
      || '{"source_name": "email_bison"}' || cast(:changes as jsonb))
    from sync_streams as s where stream_name = 'sender_emails'
"""
Counts = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong from a page on, and so often. `events` of page 2; `says`: what its first
    event tells; `counts`: chunks completed, failed, cancelled; `rows`: of the workspace's
    accounts, by their place in the list."""

    fault: Fault
    events: tuple[str, ...]
    says: str = ""
    times: int | None = 1
    from_page: int = 2
    code: str | None = None
    status: str = "completed"
    counts: Counts = (2, 0, 0)
    rows: tuple[int, ...] = tuple(range(ACCOUNTS))
    warnings: tuple[str, ...] = ()


RECOVERED = ("retry", "completed")
GIVEN_UP = ("retry", "retry", "failed")
FIRST_PAGE = tuple(range(15))
SILENT = f"no answer within {TIMEOUT_MS} ms"


def once(fault: Fault, says: str) -> Case:
    return Case(fault, RECOVERED, says)


def for_ever(fault: Fault, says: str) -> Case:
    return Case(fault, GIVEN_UP, says, None, status="failed", counts=(1, 1, 0), rows=FIRST_PAGE)


def refused(fault: Fault, says: str, code: str | None = None) -> Case:
    """No use in trying again."""
    return Case(
        fault, ("failed",), says, None, 2, code, "failed", counts=(1, 1, 0), rows=FIRST_PAGE
    )


def scanned_again(fault: Fault, times: int, from_page: int, warning: str) -> Case:
    events = ("completed", "completed")
    return Case(fault, events, "", times, from_page, counts=(4, 0, 0), warnings=(warning,))


def never_whole(fault: Fault, from_page: int, rows: tuple[int, ...], finding: str) -> Case:
    """Three scans, and none of them agrees with the API's count."""
    warnings = (f"scan 1: {finding}", f"scan 2: {finding}", f"after 3 scans: {finding}")
    completed = ("completed",) * 3
    return Case(fault, completed, "", None, from_page, None, "partial", (6, 0, 0), rows, warnings)


ONE_SHORT = f"the API counts {ACCOUNTS}, its pages show {ACCOUNTS - 1}"
OTHER_MODE = "the answer has no count at meta.total. The API may page in another mode now"
TOO_DEEP = (
    "HTTP 422 for page 2: Unprocessable Entity. If only deep pages answer so, the API serves no "
    "page that deep: the list cannot be read whole by page number."
)
SLOW = Drip(parts=40, pause_ms=250)

CASES = {
    "a reset": once(Break(how="reset"), "no answer from 127.0.0.1"),
    "a reset in the body": once(Break(how="reset", after_bytes=100), "no answer from 127.0.0.1"),
    "resets for ever": for_ever(Break(how="reset"), "no answer from 127.0.0.1"),
    "no answer at all": once(Break(how="cut"), "no answer from 127.0.0.1"),
    "a truncated body": once(Break(how="cut", after_bytes=900), "received 900 bytes, expected"),
    "truncated for ever": for_ever(Break(how="cut", after_bytes=900), "received 900 bytes"),
    "a hang": once(Break(how="hang"), SILENT),
    "a hang in the body": once(Break(how="hang", after_bytes=900), SILENT),
    "hangs for ever": for_ever(Break(how="hang"), SILENT),
    "a slow drip": once(SLOW, SILENT),
    "slow drips for ever": for_ever(SLOW, SILENT),
    "a drip in time": Case(Drip(parts=5, pause_ms=20), ("completed",)),
    "one 500": once(Status(status=500), "HTTP 500"),
    "401": refused(Status(status=401), "HTTP 401"),
    # Each scan is refused a page that the first one led to.
    "422 on deep pages": Case(
        *(Status(status=422), ("completed",) * 3, "", None),
        status="failed",
        counts=(6, 0, 0),
        rows=FIRST_PAGE,
        warnings=(f"scan 1: {TOO_DEEP}", f"scan 2: {TOO_DEEP}"),
    ),
    "meta missing": refused(Paging(how="no_meta"), OTHER_MODE, "SY010"),
    "cursor mode": refused(Paging(how="cursor"), OTHER_MODE, "SY010"),
    "next links for ever": Case(Paging(how="endless_links"), ("completed",), "", None, 1),
    "a list without end": Case(
        *(Paging(how="endless"), ("completed",), "", None, 1),
        status="failed",
        counts=(ACCOUNTS - 1, 1, 0),
    ),
    "ids repeated once": scanned_again(RepeatedIds(), 1, 2, f"scan 1: {ONE_SHORT}"),
    "ids repeated for ever": never_whole(
        RepeatedIds(), 2, tuple(n for n in range(ACCOUNTS) if n != 15), ONE_SHORT
    ),
    "items moved once": scanned_again(MovingItems(), 2, 1, f"scan 1: {ONE_SHORT}"),
}
SILENT_ONES = [name for name, case in CASES.items() if case.says == SILENT]
SPEAKING_ONES = [name for name in CASES if name not in SILENT_ONES]


@dataclass(frozen=True, slots=True)
class Outcome:
    world: World
    bison: BisonControl
    jobs: tuple[Row, Row]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(fleet_world: World) -> AsyncIterator[Outcome]:
    """Every case has a workspace of its own, in a job of those that speak or in one of those that
    are silent; in both all is well with one workspace."""
    redeclare(fleet_world, params=PARAMETERS)
    async with running_bison(dict.fromkeys([*CASES, GOOD], ACCOUNTS)) as bison:
        for name, case in CASES.items():
            await bison.fault(
                case.fault,
                workspace=name,
                kind="page",
                from_page=case.from_page,
                times=case.times,
            )
        await fleet_world.register(bison)
        async with fleet_world.workers(3):
            of_speaking = await fleet_world.sync(GOOD, *SPEAKING_ONES)
            redeclare(fleet_world, timeout_ms=TIMEOUT_MS)
            of_silent = await fleet_world.sync(GOOD, *SILENT_ONES)
            yield Outcome(fleet_world, bison, (of_speaking, of_silent))


def redeclare(world: World, **changes: object) -> None:
    world.db.run(REDECLARE, changes=json.dumps(changes))


async def test_each_job_is_partial_and_every_other_run_completes(outcome: Outcome) -> None:
    for job, names in zip(outcome.jobs, (SPEAKING_ONES, SILENT_ONES), strict=True):
        expected = {GOOD: "completed", **{name: CASES[name].status for name in names}}
        assert job["status"] == "partial"
        assert outcome.world.run_status(job["id"]) == expected
        assert job["workspaces_processed"] == list(expected.values()).count("completed")


@pytest.mark.parametrize("name", CASES)
async def test_each_chunk_tells_what_happened(outcome: Outcome, name: str) -> None:
    case = CASES[name]
    events = [event for event in outcome.world.events(name) if event["page"] == 2]
    told = tuple(event["event"] for event in events)

    if isinstance(case.fault, Break) and case.fault.after_bytes is None:
        # What was sent on a kept-alive connection may have met one that had been closed before.
        released = told.count("released")
        assert released <= MAX_UNANSWERED
        told = tuple(event for event in told if event != "released")
        assert told == (case.events[1:] if released and case.times == 1 else case.events)
    else:
        assert told == case.events
    assert case.says in events[0]["details"].get("message", "")
    assert events[0]["details"].get("code") == case.code
    asked = (await outcome.bison.traffic()).select(name, page=2)
    assert len(asked) == len(events)


@pytest.mark.parametrize("name", CASES)
async def test_each_run_ends_with_its_counts_and_its_reason(outcome: Outcome, name: str) -> None:
    case, run = CASES[name], outcome.world.run(name)

    counted = (run["chunks_completed"], run["chunks_failed"], run["chunks_cancelled"])
    assert (run["status"], counted) == (case.status, case.counts)
    assert tuple(run["warnings"]) == case.warnings
    if case.status == "failed":
        assert case.says in run["error_message"]
    else:
        assert run["error_message"] is None


@pytest.mark.parametrize("name", [*CASES, GOOD])
async def test_the_rows_are_the_pages_that_were_good(outcome: Outcome, name: str) -> None:
    served = [account["id"] for account in await outcome.bison.accounts(name)]
    expected = CASES[name].rows if name in CASES else range(ACCOUNTS)

    assert outcome.world.live_ids(name) == [served[place] for place in expected]
    assert outcome.world.deleted_ids(name) == []


async def test_who_serves_no_deep_pages_is_told_so(outcome: Outcome) -> None:
    assert outcome.world.run("422 on deep pages")["error_message"] == TOO_DEEP


async def test_a_list_without_end_is_left_where_it_has_more_pages_than_records(
    outcome: Outcome,
) -> None:
    error = outcome.world.run("a list without end")["error_message"]
    asked = (await outcome.bison.traffic()).per_page("a list without end")

    assert error.startswith("the answer names 21 as its last page, for 20 records")
    assert asked == dict.fromkeys(range(1, ACCOUNTS + 1), 1)
