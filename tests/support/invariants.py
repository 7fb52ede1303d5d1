"""What holds in every committed state."""

from pathlib import Path

from tests.support.db import Db

VIOLATIONS = Path(__file__).with_name("violations.sql").read_text()


def violations(db: Db) -> list[str]:
    """Sentences that tell what is wrong; none when all is well."""
    return [str(violation) for violation in db.column(VIOLATIONS)]


def assert_invariants(db: Db) -> None:
    """Invariants 3 and 4 of DESIGN, and that queue, events, counters and totals agree."""
    found = violations(db)
    assert not found, found


def assert_ended(db: Db) -> None:
    """Nothing is live any more, and no close or sweep went wrong on the way."""
    assert_invariants(db)
    assert db.column("select id from polling_job_status where status = 'running'") == []
    assert db.column("select id from workspace_sync_runs where status = 'running'") == []
    assert_no_errors_noted(db)


def assert_no_errors_noted(db: Db) -> None:
    assert (
        db.column(
            "select close_error from workspace_sync_runs where close_error is not null union all "
            "select last_error from sync.sweep_state where last_error is not null"
        )
        == []
    )
