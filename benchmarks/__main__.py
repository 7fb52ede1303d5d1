"""`python -m benchmarks`: prints figures; fsync is on."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from benchmarks import fleet, queue, views
from benchmarks.report import Report
from local.stack import Stack


class Part(StrEnum):
    FLEET = "fleet"
    QUEUE = "queue"
    VIEWS = "views"


def main(
    only: Annotated[list[Part] | None, typer.Option(help="Not all parts; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of every sync.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Length of every queue measurement.")] = 5,
    scale: Annotated[float, typer.Option(help="Of the 1,000,000 finished chunks.")] = 1.0,
    explain: Annotated[bool, typer.Option(help="Show the plans of slow views.")] = False,
) -> None:
    """Measure the parts in turn on a stack of their own."""
    report = Report.on_stdout()
    parts = only or list(Part)
    with Stack.start("bench", fsync=True) as stack:
        if Part.FLEET in parts:
            asyncio.run(fleet.measure(stack, report, rounds))
        if Part.QUEUE in parts:
            queue.measure(stack, report, seconds)
        if Part.VIEWS in parts:
            views.measure(stack, report, scale, explain=explain)


if __name__ == "__main__":
    typer.run(main)
