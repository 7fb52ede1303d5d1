"""How a job looks while it is watched, and which command helps."""

import io
import time
from typing import Any
from unittest.mock import AsyncMock

import pytest
from rich.console import Console

from chunkwise.cli import watch
from chunkwise.cli.advice import for_job, may_be_retried, troubled
from chunkwise.cli.bars import MOST_RUNS_SHOWN, Bars
from chunkwise.cli.output import print_job, print_table
from chunkwise.cli.watch import Notices, Pace


def progress(completed: int, pending: int, percentage: float | None = 50.0) -> dict[str, Any]:
    chunks = {"completed": completed, "failed": 0, "cancelled": 0, "processing": 0}
    return {"chunks": chunks | {"pending": pending}, "percentage": percentage}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_pace_is_that_of_the_last_seconds(clock: list[float]) -> None:
    pace = Pace()
    pace.saw(progress(0, 500))
    clock[0] += 100
    pace.saw(progress(10, 490))
    clock[0] += 2
    pace.saw(progress(50, 450))
    assert pace.per_second == 20
    assert pace.in_words(progress(50, 1450)) == "20.0 pages/s, 1:12 left"
    assert pace.in_words(progress(50, 1450, percentage=None)) == "20.0 pages/s"


def test_nothing_moves_only_after_a_while(clock: list[float]) -> None:
    pace = Pace()
    pace.saw(progress(1, 9))
    assert (pace.is_still, pace.in_words(progress(1, 9))) == (False, "")
    clock[0] += watch.STILL_SECONDS + 1
    pace.saw(progress(1, 9))
    assert pace.is_still
    pace.saw(progress(2, 8))
    assert not pace.is_still


def test_a_bar_for_the_job_and_for_each_workspace_that_runs() -> None:
    def run(number: int, **fields: object) -> dict[str, object]:
        what = {"run_id": number, "workspace": f"w{number}", "stream": "sender_emails"}
        return (
            what | {"status": "running", "percentage": 50.0, "completed": 3, "planned": 6} | fields
        )

    bars = Bars()
    many = [run(number) for number in range(1, MOST_RUNS_SHOWN + 4)]
    bars.show({"percentage": None, "runs": many}, "2.0 pages/s")
    first = drawn(bars)
    bars.show(
        {
            "percentage": 99.5,
            "runs": [
                run(1, status="completed"),
                run(2, delayed=2, next_retry_ms=4200, scan=2),
            ],
        },
        "",
    )
    second = drawn(bars)

    assert "2.0 pages/s, 3 more run" in first
    assert f"w{MOST_RUNS_SHOWN} sender_emails" in first
    assert f"w{MOST_RUNS_SHOWN + 1} " not in first
    assert "w1 " not in second
    assert "3/6 pages, 2 delayed, next in 4 s, scan 2" in second


@pytest.mark.parametrize(
    ("completed", "planned", "pages", "words"),
    [
        (1, 1, 1, "1/1 page"),
        (0, 1, 0, "0/1 request"),
        (1, 2, 2, "1/2 pages"),
        (1, 2, 1, "1/2 requests"),
        (1, 4839, 4839, "1/4,839 pages"),
        (0, 0, 0, "0/0 pages"),
    ],
)
def test_what_a_bar_counts_is_singular_or_plural(
    completed: int, planned: int, pages: int, words: str
) -> None:
    run = {"run_id": 1, "workspace": "acme", "stream": "items", "status": "running"}
    counts = {"completed": completed, "planned": planned, "pages": {"planned": pages}}
    bars = Bars()
    bars.show({"percentage": None, "runs": [run | counts]}, "")

    assert words in [part.strip() for part in drawn(bars).splitlines()[1].split("  ")]


@pytest.mark.parametrize("name", ["acme [/eu]", "[bold]acme", "acme :smile:"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    bars = Bars()
    run = {"run_id": 1, "workspace": name, "stream": "replies", "status": "running"}
    bars.show({"percentage": None, "runs": [run]}, "[/]")
    assert f"{name} replies" in drawn(bars)


async def test_no_terminal_obeys_a_text_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "HTTP 500: \x1b[2J\x9b31m\x1b]0;gone\x07\r[red]caf\u00e9"
    bars, console = Bars(), Console(file=io.StringIO(), width=160)
    run = {"run_id": 1, "workspace": hostile, "stream": "s", "status": "running"}
    row = {"job_name": hostile, "status": "failed", "error_message": hostile} | {
        "warnings": [hostile],
        "runs": [run | {"error_message": hostile, "warnings": [hostile]}],
    }
    bars.show(row, "")
    await Notices(AsyncMock(), console).tell(row, is_still=False)
    print_job(row)
    print_table(None, {"note": "", "status": "status"}, [{"note": hostile, "status": hostile}])

    shown = capsys.readouterr().out
    assert shown.count("HTTP 500: [2J31m]0;gone[red]caf\u00e9") >= 6
    assert isinstance(console.file, io.StringIO)
    for text in (shown, console.file.getvalue(), drawn(bars)):
        assert not set(text) & set("\x1b\x9b\x07\r")


STREAM = {"workspace_name": "O'Hara Realty", "stream": "sender_emails"}
NAME = "'O'\"'\"'Hara Realty'"
SYNC = f"chunkwise sync --workspace {NAME} --stream sender_emails --watch"


def health(ended: str | None = "completed", **fields: object) -> dict[str, object]:
    """A row of workspace_health: how the last run ended, and what else is so."""
    return {
        **STREAM,
        "key_status": "accepted",
        "deletions_waiting": 0,
        "last_run_status": ended,
        "last_ended_status": ended,
        "last_ended_error": None,
        "last_ended_warnings": None,
        "last_complete_run_id": 7,
        "last_complete_sync_at": None,
        "last_job_id": "j",
        **fields,
    }


@pytest.mark.parametrize(
    ("row", "retryable", "command"),
    [
        (health(key_status="refused"), {"j"}, f"chunkwise keys rotate {NAME}"),
        (health(deletions_waiting=20), {"j"}, "chunkwise approve 7"),
        (health("partial"), {"j"}, "chunkwise retry j"),
        (health("partial"), {"k"}, SYNC),
        (health("failed", last_run_status="running"), {"j"}, "chunkwise status j --watch"),
        (health("cancelled"), {"j"}, SYNC),
    ],
)
def test_what_is_wrong_with_a_workspace_names_its_command(
    row: dict[str, object], retryable: set[str], command: str
) -> None:
    assert [found["command"] for found in troubled([row], [], retryable)] == [command]


@pytest.mark.parametrize(
    ("row", "stale", "why"),
    [
        (health(), [], None),
        (health(None), [], None),
        (health(None, last_run_status="running"), [STREAM], None),
        (health(), [STREAM], "nothing ran since"),
        (health(None), [STREAM], "it never ran"),
        (health("cancelled"), [], "its last run was cancelled"),
        (health("failed", last_ended_error="HTTP 403"), [STREAM], "HTTP 403"),
        (health("partial", last_ended_warnings=["38 of 39"]), [], "38 of 39"),
        (
            health("failed", last_run_status="running", last_ended_error="HTTP 403"),
            [],
            "HTTP 403; it runs again now",
        ),
    ],
)
def test_what_is_not_complete_says_why_also_while_it_runs_again(
    row: dict[str, object], stale: list[dict[str, object]], why: str | None
) -> None:
    found = troubled([row, health(stream="replies")], stale, set())
    assert [trouble["why"] for trouble in found] == ([why] if why else [])


def test_a_job_names_how_to_go_on_if_that_is_taken() -> None:
    live, completed = {"id": "j", "status": "running"}, {"id": "j", "status": "completed"}
    partial = {"job_id": "k", "status": "partial"}
    assert for_job(live, set()) == "chunkwise status j --watch"
    assert for_job(completed, set()) is None
    assert (for_job(partial, {"k"}), for_job(partial, {"j"})) == ("chunkwise retry k", None)
    assert may_be_retried([live, completed, partial], [health("failed")]) == ["j", "k"]


def drawn(bars: Bars) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(bars.progress)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
