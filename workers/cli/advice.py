"""Which command helps."""

from collections.abc import Iterable
from shlex import quote

from workers.cli.output import Row

LIVE = "running"
BAD_KEYS = ("refused", "other_workspace")


def for_job(job: Row) -> str | None:
    """For a row of polling_job_status, or a job's progress."""
    job_id = job.get("id") or job.get("job_id")
    if job.get("status") == LIVE:
        return f"chunkwise status {job_id} --watch"
    if job.get("status") in ("failed", "partial", "cancelled"):
        return f"chunkwise retry {job_id}"
    return None


def for_workspace(health: Row) -> str | None:
    """For a row of workspace_health."""
    name = quote(str(health["workspace_name"]))
    if health.get("key_status") in BAD_KEYS:
        return f"chunkwise keys rotate {name}"
    if health.get("deletions_waiting"):
        return f"chunkwise approve {health['last_complete_run_id']}"
    if health.get("last_run_status") in ("failed", "partial"):
        return f"chunkwise retry {health['last_job_id']}"
    if health.get("last_run_status") is None or health.get("last_run_status") == "cancelled":
        return f"chunkwise sync --workspace {name} --stream {quote(str(health['stream']))}"
    return None


def troubled(healths: Iterable[Row]) -> list[dict[str, object]]:
    """What of workspace_health a person should look at: why, and the command that helps."""
    return [
        {
            "workspace": health["workspace_name"],
            "stream": health["stream"],
            "status": health["last_run_status"],
            "last_complete_sync_at": health["last_complete_sync_at"],
            "why": _why(health),
            "command": for_workspace(health),
        }
        for health in healths
        if _is_troubled(health)
    ]


def _is_troubled(health: Row) -> bool:
    return bool(
        health.get("deletions_waiting")
        or health.get("last_run_status") in ("failed", "partial")
        or (health.get("key_status") in BAD_KEYS and health.get("last_run_status") is not None)
    )


def _why(health: Row) -> str:
    if health.get("key_status") == "refused":
        key = "the API refuses its key"
    elif health.get("key_status") == "other_workspace":
        key = "its key belongs to another workspace"
    else:
        key = ""
    waiting = health.get("deletions_waiting")
    reasons = [
        key,
        str(health.get("last_error") or ""),
        f"{waiting} deletions wait for approval" if waiting else "",
        *([] if health.get("last_error") else health.get("last_warnings") or []),
    ]
    return "; ".join(reason for reason in reasons if reason)
