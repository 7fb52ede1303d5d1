"""What operators do and see beyond a worker's calls: one method is one SQL function or one view."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any, Final

from chunkwise.errors import ChunkwiseError, UnknownNameError
from chunkwise.gateway.client import Gateway, User
from chunkwise.gateway.compatibility import connected
from chunkwise.gateway.protocol import Json
from chunkwise.secret import Secret
from chunkwise.settings import Settings

Rows = list[dict[str, Any]]

# What of a user's app_metadata makes an operator: see sync.is_operator().
ROLE: Final = "chunkwise"
OPERATOR: Final = "operator"
MOST_FAILURES_SHOWN: Final = 20
MOST_JOBS_NAMED: Final = 5
MOST_NAMES_SUGGESTED: Final = 3


# Where names stand that a person may have mistyped, and how the database says that one is none.
NAMES: Final = {
    "workspace": ("sync_workspaces", "workspace_name"),
    "source": ("sync_sources", "source_name"),
    "stream": ("sync_streams", "stream_name"),
}
UNKNOWN: Final = re.compile(rf"there is no ({'|'.join(NAMES)}) '((?:[^']|'')*)'")


@asynccontextmanager
async def operating(settings: Settings) -> AsyncIterator["Operator"]:
    """An error about a name that is not there says which one may be meant."""
    async with connected(settings) as gateway:
        try:
            yield Operator(gateway)
        except UnknownNameError as error:
            meant = await _similar_names(gateway, error.message)
            if meant:
                error.hint = f"Did you mean {' or '.join(meant)}?"
            raise


async def _similar_names(gateway: Gateway, message: str) -> list[str]:
    found = UNKNOWN.search(message)
    if found is None:
        return []
    relation, column = NAMES[found[1]]
    by_lower = {
        str(row[column]).lower(): str(row[column])
        for row in await gateway.select(relation, column, order=f"{column}, id")
    }
    typed = found[2].replace("''", "'").lower()
    return [by_lower[name] for name in get_close_matches(typed, by_lower, MOST_NAMES_SUGGESTED)]


class Operator:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def cancel_sync_job(self, job_id: str) -> Json:
        return await self.gateway.call("cancel_sync_job", {"p_job_id": job_id})

    async def retry_failed_chunks(self, job_id: str) -> Json:
        return await self.gateway.call("retry_failed_chunks", {"p_job_id": job_id})

    async def retryable_jobs(self, job_ids: Sequence[str]) -> set[str]:
        """Those of which a retry would be accepted; of none, nothing is asked."""
        if not job_ids:
            return set()
        answer = await self.gateway.call("get_retryable_jobs", {"p_job_ids": list(job_ids)})
        return set(answer["job_ids"])

    async def approve_deletions(self, run_id: int) -> Json:
        return await self.gateway.call("approve_deletions", {"p_run_id": run_id})

    async def pause_sync(self, source: str | None, workspace: str | None) -> Json:
        return await self.gateway.call("pause_sync", {"p_source": source, "p_workspace": workspace})

    async def resume_sync(self, source: str | None, workspace: str | None) -> Json:
        return await self.gateway.call(
            "resume_sync", {"p_source": source, "p_workspace": workspace}
        )

    async def compare_workspace_names(self, names: Sequence[str]) -> list[Json]:
        answer = await self.gateway.call("compare_workspace_names", {"p_names": list(names)})
        return list(answer["names"])

    async def rotate_workspace_key(self, workspace: str, key: Secret) -> Json:
        return await self.gateway.call(
            "rotate_workspace_key", {"p_workspace_name": workspace, "p_api_key": key.reveal()}
        )

    async def remove_workspace(self, workspace: str, delete_records: bool) -> Json:
        return await self.gateway.call(
            "remove_workspace",
            {"p_workspace_name": workspace, "p_delete_records": delete_records},
        )

    async def set_budget(
        self, source: str, rate: float | None, in_flight: float | None, scope: str | None
    ) -> Json:
        return await self.gateway.call(
            "set_budget",
            {
                "p_source": source,
                "p_requests_per_second": rate,
                "p_max_in_flight": in_flight,
                "p_scope_key": scope,
            },
        )

    async def unblock_budget(self, source: str, scope: str | None) -> Json:
        return await self.gateway.call("unblock_budget", {"p_source": source, "p_scope_key": scope})

    async def start_audit(self, workspaces: Sequence[str]) -> Json:
        return await self.gateway.call("start_audit", {"p_workspaces": list(workspaces) or None})

    async def get_audit(self, job_id: str) -> Json:
        return await self.gateway.call("get_audit", {"p_job_id": job_id})

    async def get_key_check(self, job_id: str) -> Json:
        return await self.gateway.call("get_key_check", {"p_job_id": job_id})

    async def operators(self) -> Rows:
        """Users whose token lets them read and steer, by email."""
        return [
            {
                "email": user.email,
                "created_at": user.created_at,
                "last_sign_in_at": user.last_sign_in_at,
            }
            for user in sorted(await self.gateway.users(), key=lambda user: user.email)
            if user.app_metadata.get(ROLE) == OPERATOR
        ]

    async def add_operator(self, email: str, password: Secret | None) -> Json:
        found = await self._user(email)
        role = {ROLE: OPERATOR}
        if found is None:
            found = await self.gateway.create_user(email, password, role)
            return {"email": found.email, "created": True}
        await self.gateway.change_user(found.user_id, password, role)
        return {"email": found.email, "created": False}

    async def remove_operator(self, email: str) -> Json:
        """Raises ChunkwiseError if there is no such operator."""
        found = await self._user(email)
        if found is None or found.app_metadata.get(ROLE) != OPERATOR:
            raise ChunkwiseError(
                f"{email} is no operator", "chunkwise operators list shows who is."
            )
        await self.gateway.change_user(found.user_id, None, {ROLE: None})
        return {"email": found.email}

    async def _user(self, email: str) -> User | None:
        sought = email.strip().lower()
        users = await self.gateway.users()
        return next((user for user in users if user.email.lower() == sought), None)

    async def jobs_between(self, lowest: str, highest: str) -> list[str]:
        """Ids of jobs in that range, both ends included; a few of them if there are many."""
        return await self.gateway.ids_between(
            "polling_job_status", lowest, highest, MOST_JOBS_NAMED
        )

    async def paused(self) -> Json:
        """Since when what is paused: {"everything": bool, "sources": rows, "workspaces": rows}."""
        settings, sources, workspaces = await asyncio.gather(
            self.gateway.select("sync_settings", "value", name="paused"),
            self.gateway.select("sync_sources", "source_name, paused_at", order="source_name"),
            self.gateway.select(
                "sync_workspaces", "workspace_name, paused_at", order="workspace_name"
            ),
        )
        return {
            "everything": settings[0]["value"],
            "sources": [row for row in sources if row["paused_at"]],
            "workspaces": [row for row in workspaces if row["paused_at"]],
        }

    async def budgets(self) -> Rows:
        return await self.gateway.select("sync_budgets", order="scope_key, id")

    async def sources(self) -> Rows:
        return await self.gateway.select(
            "sync_sources", "id, source_name, auth, token_auth", order="id"
        )

    async def streams(self) -> Rows:
        return await self.gateway.select(
            "sync_streams",
            "source_id, stream_name, completeness, method, path, page_size, parent_stream,"
            " target_table, is_default, revision",
            order="source_id, id",
        )

    async def apply_declaration(self, declaration: Json, *, is_trial: bool) -> Json:
        return await self.gateway.call(
            "apply_declaration", {"p_declaration": declaration, "p_is_trial": is_trial}
        )

    async def get_declarations(self, source: str | None) -> Json:
        return await self.gateway.call("get_declarations", {"p_source": source})

    async def try_stream(self, declaration: Json, workspace: str, stream: str | None) -> Json:
        return await self.gateway.call(
            "try_stream",
            {"p_declaration": declaration, "p_workspace": workspace, "p_stream": stream},
        )

    async def get_stream_try(self, try_id: int) -> Json:
        return await self.gateway.call("get_stream_try", {"p_try_id": try_id})

    async def rate_limited_workspaces(self) -> Rows:
        rows = await self.gateway.select(
            "sync_workspaces", "budget_id, rate_limited_until", order="id"
        )
        return [row for row in rows if row["rate_limited_until"]]

    async def queue_health(self) -> Json:
        (row,) = await self.gateway.select("queue_health")
        return row

    async def worker_health(self) -> Rows:
        return await self.gateway.select("worker_health", order="worker_id")

    async def workspace_health(self) -> Rows:
        return await self.gateway.select(
            "workspace_health", order="workspace_name, stream", is_active=True
        )

    async def waiting_runs(self, job_id: str | None = None) -> Rows:
        if job_id is None:
            return await self.gateway.select("waiting_runs", order="run_id")
        return await self.gateway.select("waiting_runs", order="run_id", job_id=job_id)

    async def failed_chunks(self, job_id: str) -> Rows:
        return await self.gateway.select(
            "failed_chunks", order="id", limit=MOST_FAILURES_SHOWN, parent_sync_job_id=job_id
        )

    async def open_alerts(self) -> Rows:
        return await self.gateway.select("sync_alerts", order="opened_at, id", resolved_at=None)

    async def stale_workspaces(self) -> Rows:
        return await self.gateway.select(
            "stale_workspaces", order="last_complete_sync_at nullsfirst, workspace_name, stream"
        )

    async def missing_workspaces(self) -> Rows:
        return await self.gateway.select("missing_workspaces", order="workspace_name")
