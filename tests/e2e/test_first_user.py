"""The first user's project: an old poller's tables make room, and its dashboard reads the new."""

from pathlib import Path

from local.bison import running_bison
from tests.e2e.projects import Somebodys, is_well
from tests.e2e.world import World

OLD = (Path(__file__).parent / "first_user.sql").read_text()
NAMES = [f"workspace-{number}" for number in range(1, 27)]
# As the old dashboard asks.
READS = {
    "accounts": "select workspace_name, email_address, emails_sent_count, last_synced_at"
    " from sender_emails where deleted_at is null",
    "jobs": "select id, job_name, status, total_workspaces, workspaces_processed,"
    " total_accounts_synced, duration_ms, warnings from polling_job_status"
    " order by started_at desc limit 5",
    "registry": "select workspace_name, last_successful_sync_at, now() - last_successful_sync_at"
    " as time_since_sync, estimated_account_count from client_registry where is_active",
}
COUNTS = """
select (select count(*) from legacy.sender_emails) as accounts,
  (select count(*) from legacy.polling_job_status) as jobs,
  (select sum(accounts) from legacy.sender_emails_by_workspace) as viewed,
  (select count(*) from legacy.client_registry where bison_api_key <> '') as keys
"""
KEPT = """
select string_agg(n, ', ' order by n) from (
  select tgname from pg_trigger where tgrelid = 'legacy.chunk_processing_queue'::regclass
    and not tgisinternal
  union all select polname from pg_policy
    where polrelid = 'legacy.polling_job_status'::regclass
  union all select proname from pg_proc where pronamespace = 'legacy'::regnamespace
  union all select indexrelid::regclass::text from pg_index
    where indrelid = 'legacy.polling_job_status'::regclass
) as a (n)
"""


async def test_the_first_users_project(somebodys: Somebodys, tmp_path: Path) -> None:
    async with running_bison(dict.fromkeys(NAMES, 20)) as bison:
        somebodys.add("20251101000000", "poller", OLD)
        somebodys.configure()
        somebodys.push()
        for info in await bison.workspaces():
            somebodys.asked(
                "insert into public.client_registry (workspace_name, bison_workspace_id,"
                " bison_instance, bison_api_key, is_active) values (:name, :id, :url, :key, :on)",
                name=info.name,
                id=info.workspace_id,
                url=bison.base_url,
                key=info.key,
                on=info.name != NAMES[-1],
            )
        said = somebodys.chunkwise("init", "--source", "email_bison", "--keep-legacy")
        assert "npx supabase functions delete poll-sender-emails" in said
        somebodys.push()
        (before,) = somebodys.asked(COUNTS)
        assert before == {"accounts": 4406, "jobs": 40, "viewed": 4406, "keys": 26}
        (kept,) = somebodys.asked(KEPT)
        assert "post_chunk" in kept["string_agg"]
        assert "Anyone can read" in kept["string_agg"]
        assert "legacy.polling_job_status_started_idx" in kept["string_agg"]
        assert "claim_next_chunk_job_safe" in kept["string_agg"]
        assert jobs(somebodys) == ["their own"]
        unscheduled = somebodys.asked("select jobname from legacy.cron_jobs order by 1")
        assert [row["jobname"] for row in unscheduled] == ["poll sender emails", "stuck chunks"]

        async def take_over(world: World) -> None:
            answer = world.db.value("select import_client_registry(p_blank_keys => true)")
            assert (len(answer["registered"]), answer["refused"]) == (26, [])

        await is_well(somebodys, tmp_path, take_over)

    reads = {name: somebodys.asked(sql) for name, sql in READS.items()}
    assert len(reads["accounts"]) == 25 * 20
    assert reads["jobs"][0]["workspaces_processed"] == 25
    assert {row["estimated_account_count"] for row in reads["registry"]} == {20}
    (after,) = somebodys.asked(COUNTS)
    assert after == before | {"keys": 0}


def jobs(somebodys: Somebodys) -> list[str]:
    rows = somebodys.asked("select jobname from cron.job where jobname !~ '^chunkwise' order by 1")
    return [row["jobname"] for row in rows]
