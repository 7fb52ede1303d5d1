"""`python -m benchmarks`: prints figures; fsync is on."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from benchmarks import backlog, chains, fleet, limits, queue, replies, resync, views, wake
from benchmarks.report import Report
from local.stack import Stack


class Part(StrEnum):
    FLEET = "fleet"
    FAULTS = "faults"
    LIMITERS = "limiters"
    KEY_LIMITERS = "key-limiters"
    GIANT = "giant"
    RESYNC = "resync"
    REPLIES = "replies"
    CHAINS = "chains"
    WAKE = "wake"
    QUEUE = "queue"
    WAITING = "waiting"
    SNAPSHOT = "snapshot"
    INDEX = "index"
    VIEWS = "views"


def main(
    only: Annotated[list[Part] | None, typer.Option(help="Not all parts; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of every sync.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Length of every queue measurement.")] = 5,
    scale: Annotated[float, typer.Option(help="Of the 1,000,000 chunks, 270,000 replies.")] = 1.0,
    explain: Annotated[bool, typer.Option(help="Show the plans of slow views.")] = False,
) -> None:
    """Measure the parts in turn on a stack of their own."""
    report = Report.on_stdout()
    parts = only or list(Part)
    with Stack.start("bench", fsync=True) as stack:
        asyncio.run(_measure_syncs(stack, report, parts, rounds, scale))
        if Part.QUEUE in parts:
            queue.measure(stack, report, seconds)
        if Part.WAITING in parts:
            backlog.measure_waiting(stack, report, scale)
        if Part.SNAPSHOT in parts:
            backlog.measure_snapshot(stack, report)
        if Part.INDEX in parts:
            backlog.measure_created_index(stack, report, seconds)
        if Part.VIEWS in parts:
            history = views.measure(stack, report, scale, explain=explain)
            backlog.measure_history(stack, report, history, seconds)


async def _measure_syncs(
    stack: Stack, report: Report, parts: Sequence[Part], rounds: int, scale: float
) -> None:
    """What workers do against the fake API."""
    measures: dict[Part, Callable[[], Coroutine[Any, Any, None]]] = {
        Part.FLEET: lambda: fleet.measure(stack, report, rounds),
        Part.FAULTS: lambda: limits.measure_faults(stack, report),
        Part.LIMITERS: lambda: limits.measure_instance_limiters(stack, report),
        Part.KEY_LIMITERS: lambda: limits.measure_key_limiters(stack, report),
        Part.GIANT: lambda: limits.measure_giant(stack, report),
        Part.RESYNC: lambda: resync.measure(stack, report),
        Part.REPLIES: lambda: replies.measure(stack, report, scale),
        Part.CHAINS: lambda: chains.measure(stack, report),
        Part.WAKE: lambda: wake.measure(stack, report),
    }
    for part, measure in measures.items():
        if part in parts:
            await measure()


if __name__ == "__main__":
    typer.run(main)
