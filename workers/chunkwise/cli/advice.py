"""Which command helps, and the database's advice in commands."""

import re
from collections.abc import Iterable, Set
from shlex import quote
from typing import Final

from chunkwise.cli.output import Row, counted

LIVE = "running"
BAD_KEYS = ("refused", "other_workspace", "unreadable")
ENDED_BADLY = ("failed", "partial", "cancelled")

# What the database advises to whoever reads it in the SQL editor, and who reads it here does.
COMMANDS: Final = {
    "register_workspace": "chunkwise workspaces add",
    "rotate_workspace_key": "chunkwise keys rotate",
    "start_sync_job": "chunkwise sync",
    "cancel_sync_job": "chunkwise cancel",
    "retry_failed_chunks": "chunkwise retry",
    "approve_deletions": "chunkwise approve",
    "pause_sync": "chunkwise pause",
    "resume_sync": "chunkwise resume",
    "get_sync_job_progress": "chunkwise status",
    "set_budget": "chunkwise budgets set",
    "unblock_budget": "chunkwise budgets unblock",
    "remove_workspace": "chunkwise workspaces remove",
}
LISTS: Final = {
    "sync_workspaces": "chunkwise workspaces list",
    "polling_job_status": "chunkwise status",
    "sync_budgets": "chunkwise budgets list",
    "sync_streams": "chunkwise streams list",
}
# A call with its arguments, perhaps behind `select`; or a question to a table.
_CALL: Final = re.compile(
    rf"(?:\bselect (?:\* from )?)?\b(?:public\.)?({'|'.join(COMMANDS)})\((?:'[^']*'|[^'()])*\);?"
)
_LIST: Final = re.compile(rf"\bselect [\w*, ]+ from ({'|'.join(LISTS)})\b(?! where)")


def in_commands(text: str) -> str:
    """The database's sentence with commands in place of the functions that do the same."""
    text = _CALL.sub(lambda call: f"`{COMMANDS[call[1]]}`", text)
    return _LIST.sub(lambda question: f"`{LISTS[question[1]]}`", text)


def may_be_retried(jobs: Iterable[Row], healths: Iterable[Row] = ()) -> list[str]:
    """Jobs of which to ask the database whether it takes a retry."""
    ended = {_id(job) for job in jobs if job.get("status") in ENDED_BADLY}
    return sorted(ended | {str(row["last_job_id"]) for row in healths if _failed_last(row)})


def for_job(job: Row, retryable: Set[str]) -> str | None:
    job_id = _id(job)
    if job.get("status") == LIVE:
        return f"chunkwise status {job_id} --watch"
    return f"chunkwise retry {job_id}" if job_id in retryable else None


def for_workspace(health: Row, retryable: Set[str]) -> str:
    """For a row of workspace_health that is in trouble."""
    name = quote(str(health["workspace_name"]))
    if health["key_status"] in BAD_KEYS:
        return f"chunkwise keys rotate {name}"
    if health["deletions_waiting"]:
        return f"chunkwise approve {health['last_complete_run_id']}"
    if health["last_run_status"] == LIVE:
        return f"chunkwise status {health['last_job_id']} --watch"
    if _failed_last(health) and str(health["last_job_id"]) in retryable:
        return f"chunkwise retry {health['last_job_id']}"
    return f"chunkwise sync --workspace {name} --stream {quote(str(health['stream']))} --watch"


def troubled(
    healths: Iterable[Row], stale: Iterable[Row], retryable: Set[str]
) -> list[dict[str, object]]:
    """What of workspace_health a person should look at: why, and the command that helps. `stale`:
    rows of stale_workspaces."""
    stale_ones = {(row["workspace_name"], row["stream"]) for row in stale}
    return [
        {
            "workspace": health["workspace_name"],
            "stream": health["stream"],
            "status": health["last_ended_status"],
            "last_complete_sync_at": health["last_complete_sync_at"],
            "why": _why(health),
            "command": for_workspace(health, retryable),
        }
        for health in healths
        if _is_troubled(health, (health["workspace_name"], health["stream"]) in stale_ones)
    ]


def _id(job: Row) -> str:
    """Of a row of polling_job_status, or of a job's progress."""
    return str(job.get("id") or job.get("job_id"))


def _failed_last(health: Row) -> bool:
    return health["last_run_status"] in ("failed", "partial")


def _is_troubled(health: Row, is_stale: bool) -> bool:
    """While it runs again, what its last ended run left behind is still so."""
    status = health["last_run_status"]
    return bool(
        health["deletions_waiting"]
        or health["last_ended_status"] in ENDED_BADLY
        or (health["key_status"] in BAD_KEYS and status is not None)
        or (is_stale and status != LIVE)
    )


def _why(health: Row) -> str:
    waiting = health["deletions_waiting"]
    error, warnings = health["last_ended_error"], health["last_ended_warnings"] or []
    reasons = [
        _about_key(health["key_status"]),
        str(error or ""),
        _about_deletions(waiting),
        *([] if error else warnings),
    ]
    said = [reason for reason in reasons if reason] or [_about_last_run(health)]
    return "; ".join(said + (["it runs again now"] if health["last_run_status"] == LIVE else []))


def _about_deletions(waiting: int) -> str:
    if not waiting:
        return ""
    return f"{counted(waiting, 'deletion')} {'waits' if waiting == 1 else 'wait'} for approval"


def _about_key(key_status: object) -> str:
    if key_status == "refused":
        return "the API refuses its key"
    if key_status == "other_workspace":
        return "its key belongs to another workspace"
    if key_status == "unreadable":
        return "its key cannot be read from Vault"
    return ""


def _about_last_run(health: Row) -> str:
    status = health["last_ended_status"]
    if status is None:
        return "it never ran"
    return "nothing ran since" if status == "completed" else f"its last run was {status}"
