"""All that passes at once, by seed: every job ends, the rows are the API's, nothing is applied
twice."""

import pytest

from local.bison import BisonControl, Chaos, running_bison
from tests.e2e.world import World
from tests.support.invariants import assert_ended
from tests.support.setup import set_settings

FLEET = {"acme": 100, "zen": 45, "O'Hara Realty": 16, "Müller & Söhne": 60, "void": 0}
TIMEOUT_MS = 2_000
SHORTER_TIMEOUT = """
    select declare_stream(to_jsonb(s) - '{id,source_id,revision,created_at}'::text[]
      || jsonb_build_object('source_name', 'email_bison', 'timeout_ms', cast(:ms as int)))
    from sync_streams as s where stream_name = 'sender_emails'
"""
# A machine that stalls lets requests run out of time: they cost attempts, but are no fault of the
# API's.
MORE_ATTEMPTS = "alter table chunk_processing_queue alter max_attempts set default 10"
FAULTS_TOLD = """
    select count(*) from chunk_events where event in ('retry', 'delayed')
      and (details ->> 'message' like 'no answer within %') is not true
"""
# Every chunk that was completed, and how often; beside it the completions its events tell of.
COMPLETIONS = """
    select q.id, count(e.id) filter (where e.event = 'completed') as told,
      coalesce(sum((e.details ->> 'changed')::int), 0) as changed
    from chunk_processing_queue as q join chunk_events as e on e.chunk_id = q.id
    where q.status = 'completed' group by q.id
"""


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_job_ends_with_the_rows_of_the_api(world: World, seed: int) -> None:
    set_settings(world.db, retry_cap_seconds=0.2)
    world.db.run(SHORTER_TIMEOUT, ms=TIMEOUT_MS)
    world.db.run(MORE_ATTEMPTS)
    async with running_bison(FLEET, seed=seed) as bison, world.workers(3):
        await world.register(bison)
        await bison.fault(Chaos(seed=seed, rate=0.4), times=None)
        first = await world.sync()
        removed = await changed_fleet(bison)
        second = await world.sync()
        (chaos,) = await bison.rules()
        served = {name: await bison.accounts(name) for name in FLEET}

    assert [first["status"], second["status"]] == ["completed", "completed"]
    assert [first["workspaces_processed"], second["workspaces_processed"]] == [5, 5]
    assert [first["total_accounts_synced"], second["total_accounts_synced"]] == [221, 220]
    for name, accounts in served.items():
        assert rows(world, name) == [(one["id"], one["name"], one) for one in accounts]
    assert world.deleted_ids("acme") == [removed]
    assert_ended(world.db)

    completions = world.db.run(COMPLETIONS)
    assert {row["told"] for row in completions} == {1}
    assert len(completions) == first["chunks_completed"] + second["chunks_completed"]
    # 221 accounts came, one was renamed; not one was written a second time.
    assert sum(row["changed"] for row in completions) == sum(FLEET.values()) + 1
    # A drip passes, so that the API did harm more often than the queue was told.
    assert world.db.value(FAULTS_TOLD) <= chaos.fired


async def changed_fleet(bison: BisonControl) -> int:
    """One account is renamed and one removed; the latter's id."""
    renamed, removed = [account["id"] for account in await bison.accounts("acme")][40:42]
    await bison.change_account("acme", renamed, {"name": "Renamed"})
    await bison.remove_accounts("acme", removed)
    return int(removed)


def rows(world: World, workspace: str) -> list[tuple[object, ...]]:
    return [
        (row["id"], row["name"], row["raw"])
        for row in world.db.run(
            "select id, name, raw from sender_emails"
            " where workspace_name = :name and deleted_at is null order by id",
            name=workspace,
        )
    ]
