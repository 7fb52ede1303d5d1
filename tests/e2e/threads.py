"""Replies and conversations of a world: syncing them, and what of them is stored."""

from collections.abc import Sequence
from uuid import UUID

from local.bison import BisonControl
from tests.e2e.world import World
from tests.support.db import Row

STREAMS = ("replies", "conversation_threads")


def start(
    world: World,
    *workspaces: str,
    streams: Sequence[str] = STREAMS,
    name: str = "threads",
) -> UUID:
    answer = world.db.value(
        "select start_sync_job(:name, :streams, :workspaces)",
        name=name,
        streams=list(streams),
        workspaces=list(workspaces) or None,
    )
    assert answer["status"] == "accepted", answer
    return UUID(answer["job_id"])


async def sync(world: World, *workspaces: str, streams: Sequence[str] = STREAMS) -> Row:
    """Start a job and wait for its end; there must be somebody who works."""
    return await world.ended(start(world, *workspaces, streams=streams))


def run_of(world: World, stream: str, workspace: str = "acme") -> Row:
    """The newest run of a stream."""
    return world.db.one(
        "select r.* from workspace_sync_runs r join sync_workspaces w on w.id = r.workspace_id"
        " join sync_streams s on s.id = r.stream_id"
        " where s.stream_name = :of_stream and w.workspace_name = :name order by r.id desc limit 1",
        of_stream=stream,
        name=workspace,
    )


def marks(world: World, workspace: str = "acme") -> Row:
    found: list[Row] = world.db.column(
        "select s.marks from sync_workspace_streams s"
        " join sync_workspaces w on w.id = s.workspace_id"
        " where w.workspace_name = :name and s.marks <> '{}'",
        name=workspace,
    )
    return found[0] if found else {}


def stored_replies(world: World, workspace: str = "acme") -> list[Row]:
    """As the API served them, ids ascending."""
    return world.db.column(
        "select r.raw from email_replies r join sync_workspaces w on w.id = r.workspace_id"
        " where w.workspace_name = :name order by r.id",
        name=workspace,
    )


def stored_threads(world: World, workspace: str = "acme") -> list[list[int]]:
    """The reply ids of every stored conversation, in the order of its messages."""
    return world.db.column(
        "select array_agg(m.reply_id order by m.position) as ids from email_threads t"
        " join sync_workspaces w on w.id = t.workspace_id"
        " join email_messages m on m.workspace_id = t.workspace_id and m.thread_id = t.id"
        " where w.workspace_name = :name group by t.id order by ids",
        name=workspace,
    )


async def assert_stored(world: World, bison: BisonControl, workspace: str = "acme") -> None:
    """Every reply and every conversation is stored as the API has it."""
    assert stored_replies(world, workspace) == await bison.replies(workspace)
    assert stored_threads(world, workspace) == await bison.conversations(workspace)
