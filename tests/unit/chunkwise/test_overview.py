"""`chunkwise status` fits a terminal of 80 columns, and says what is equal once."""

from typing import Any

import pytest

from chunkwise.cli.output import counted, moment, paused_line
from chunkwise.cli.overview import WIDTH, print_overview

JOB = {
    "id": "8b4b2f0c-6c2f-4c3e-9d1d-0a5b8a7f1c22",
    "job_name": "scheduled sync",
    "kind": "sync",
    "status": "partial",
    "started_at": "2026-11-27T15:03:00+00:00",
    "duration_ms": 1_234_567,
    "workspaces_processed": 24,
    "total_workspaces": 26,
    "total_accounts_synced": 4_839,
    "command": "chunkwise retry 8b4b2f0c-6c2f-4c3e-9d1d-0a5b8a7f1c22",
}
QUEUE = dict.fromkeys(
    ("live_jobs", "chunks_in_flight", "ready_chunks", "delayed_chunks", "waiting_chunks",
     "workers_alive"), 12
)  # fmt: skip
NOTHING_PAUSED: dict[str, Any] = {"everything": False, "sources": [], "workspaces": []}


def overview(**parts: object) -> dict[str, Any]:
    nothing: dict[str, Any] = {"jobs": [], "queue": QUEUE, "waiting": [], "failed": []}
    return nothing | {"alerts": [], "paused": NOTHING_PAUSED} | parts


def waiting(workspace: str, message: str) -> dict[str, object]:
    return {
        "workspace_name": workspace,
        "stream": "sender_emails",
        "message": message,
        "waits_until": None,
    }


def stale(workspace: str, why: str) -> dict[str, object]:
    return {
        "workspace": workspace,
        "stream": "sender_emails",
        "why": why,
        "last_complete_sync_at": None,
        "command": f"chunkwise keys rotate {workspace}",
    }


def shown(capsys: pytest.CaptureFixture[str], **parts: object) -> list[str]:
    print_overview(overview(**parts))
    return capsys.readouterr().out.splitlines()


def test_it_fits_80_columns_and_each_command_has_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    why = "the API refuses its key: " + "a reason of several words " * 5
    alert = {"kind": "stale_workspace", "subject": "acme", "opened_at": JOB["started_at"]}
    lines = shown(
        capsys,
        jobs=[JOB],
        waiting=[waiting("acme", why)],
        failed=[stale("Northwind Outbound", why)],
        alerts=[alert | {"message": why}],
    )
    assert [line for line in lines if len(line) > WIDTH] == []
    for command in (JOB["command"], "chunkwise keys rotate Northwind Outbound"):
        assert f"    {command}" in lines


def test_equal_reasons_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    budget = "they wait for the budget of bison.example: 5 requests/s"
    lines = shown(
        capsys,
        waiting=[waiting(f"w{number:02}", budget) for number in range(16)],
        failed=[stale(f"w{number}", "the API refuses its key") for number in range(5)],
    )
    assert sum("budget of bison.example" in line for line in lines) == 1
    assert (
        "  16 workspaces (w00, w01, w02, …): they wait for the budget of bison.example: 5" in lines
    )
    assert "  5 workspaces (w0, w1, w2, …): the API refuses its key" in lines
    assert [line for line in lines if "keys rotate" in line] == [
        f"    chunkwise keys rotate w{number}" for number in range(3)
    ]
    assert "    … and the same for 2 more" in lines


def test_what_is_paused_is_said_with_what_lifts_it() -> None:
    rows = [{"workspace_name": "O'Brien", "paused_at": "2026-11-27T15:03:00+00:00"}]
    source = [{"source_name": "email_bison", "paused_at": "2026-11-27T15:03:00+00:00"}]
    assert paused_line(NOTHING_PAUSED) == ""
    assert paused_line({"everything": True, "sources": source, "workspaces": rows}) == (
        "Paused: everything (chunkwise resume); source email_bison (chunkwise resume --source"
        " email_bison); workspace O'Brien (chunkwise resume --workspace 'O'\"'\"'Brien')."
    )


def test_times_carry_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert moment("2026-11-27T15:03:59+00:00") == "2026-11-27 15:03 UTC"


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1200, "1,200 rows")]
)
def test_one_is_not_many(number: int, said: str) -> None:
    assert counted(number, "row") == said
