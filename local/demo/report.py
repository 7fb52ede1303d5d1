"""What a sync has left in the database, beside what the API itself counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pg8000.native
from rich import box
from rich.table import Table

from local.bison import Traffic, WorkspaceInfo

ROWS = """
select w.workspace_name, r.status, count(e.id) filter (where e.deleted_at is null) as synced,
  count(distinct e.email_address) filter (where e.deleted_at is null) as distinct_emails,
  count(e.id) filter (where e.deleted_at is not null) as deleted,
  extract(epoch from r.completed_at - r.started_at)::float as seconds
from public.sync_workspaces as w
left join public.workspace_sync_runs as r on r.workspace_id = w.id and r.job_id = :job_id
left join public.sender_emails as e on e.workspace_name = w.workspace_name
group by w.workspace_name, r.id
"""
VERSIONS = "select workspace_id, id, xmin::text, ctid::text from sync.sender_emails"

RowVersion = tuple[int, int, str, str]


@dataclass(frozen=True, slots=True)
class WorkspaceResult:
    """`status` and `seconds` are those of the workspace's run, None if it had none."""

    workspace: str
    api_total: int
    status: str | None
    synced: int
    distinct_emails: int
    deleted: int
    seconds: float | None

    @property
    def is_right(self) -> bool:
        return self.status == "completed" and self.synced == self.api_total


def results(
    database: pg8000.native.Connection, job_id: str, api: Sequence[WorkspaceInfo]
) -> list[WorkspaceResult]:
    """One per workspace of the API, largest first."""
    found = {name: counted for name, *counted in database.run(ROWS, job_id=job_id)}
    nothing = [None, 0, 0, 0, None]
    return [
        WorkspaceResult(info.name, info.total, *found.get(info.name, nothing))
        for info in sorted(api, key=lambda info: -info.total)
    ]


def row_versions(database: pg8000.native.Connection) -> set[RowVersion]:
    """Every account with the transaction that wrote its row and where the row stands."""
    return {tuple(row) for row in database.run(VERSIONS)}


def table(workspaces: Sequence[WorkspaceResult]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("workspace", no_wrap=True)
    for heading in ("API total", "synced", "distinct emails", "deleted", "seconds"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in workspaces:
        counts = (one.api_total, one.synced, one.distinct_emails, one.deleted)
        took = f"{one.seconds:.2f}" if one.status == "completed" else one.status or "no run"
        style = None if one.is_right else "red"
        shown.add_row(one.workspace, *(f"{count:,}" for count in counts), took, style=style)
    return shown


def summary(workspaces: Sequence[WorkspaceResult]) -> str:
    right = sum(one.is_right for one in workspaces)
    accounts = sum(one.synced for one in workspaces)
    return f"{right}/{len(workspaces)} workspaces, {accounts:,} accounts"


def requests(traffic: Traffic) -> str:
    """What the API was asked, by its own count."""
    pages = len(traffic.select(kind="page"))
    others = len(traffic.requests) - pages
    return f"{pages} requests for pages, {others} others"
