"""`chunkwise budgets list|set|unblock`: what all workers together may send to an API."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from typing import Annotated, Final, TypeVar

import typer

from chunkwise.cli.output import JsonOption, Row, counted, print_json, print_table, tell
from chunkwise.cli.question import ask
from chunkwise.errors import SettingsError
from chunkwise.gateway.protocol import LARGEST_INTEGER
from chunkwise.operator.client import Operator

UNLIMITED: Final = "unlimited"
COLUMNS = {
    "source": "source",
    "scope": "of",
    "requests_per_second": "requests/s",
    "max_in_flight": "in flight",
    "rate_now": "requests/s now",
    "in_flight_now": "in flight now",
    "blocked_until_at": "blocked until",
    "workspaces_waiting": "workspaces that wait",
}

Answer = TypeVar("Answer")
ScopeOption = Annotated[
    str | None, typer.Option("--of", help="Only that of this host, or workspace:<id>.")
]


def build() -> typer.Typer:
    app = typer.Typer(help="Look at and change rate limits.", no_args_is_help=True)
    app.command("list")(list_budgets)
    app.command("set")(set_budget)
    app.command("unblock")(unblock)
    return app


def list_budgets(as_json: JsonOption = False) -> None:
    """List all budgets: what is set, and what an API's 429s made of it for now.

    Exit codes: 0 done, 2 a setting or the connection, 3 schema and program do not fit together.
    """

    async def rows_of(operator: Operator) -> list[Row]:
        budgets, sources, waiting = await asyncio.gather(
            operator.budgets(), operator.sources(), operator.rate_limited_workspaces()
        )
        now = datetime.now(UTC)
        names = {source["id"]: source["source_name"] for source in sources}
        held = Counter(
            workspace["budget_id"]
            for workspace in waiting
            if datetime.fromisoformat(workspace["rate_limited_until"]) > now
        )
        return [_row(budget, names[budget["source_id"]], held[budget["id"]]) for budget in budgets]

    rows = ask(rows_of)
    if as_json:
        print_json(rows)
    elif rows:
        shown = ({**row, **_in_words(row)} for row in rows)
        print_table(None, COLUMNS, shown)
    else:
        print("There is no budget yet; each appears with its first workspace.")


def set_budget(
    source: Annotated[str, typer.Argument(help="The API.")],
    requests_per_second: Annotated[str, typer.Option(help="A number, or unlimited.")],
    in_flight: Annotated[str, typer.Option(help="A whole number, or unlimited.")],
    scope: ScopeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set what all workers together may send; it holds at once, also of what waits.

    Without --of all budgets of the source are set, and those that come. Exit codes: 0 done, 1
    refused, 2 a setting, an option or the connection, 3 schema and program do not fit together.
    """
    rate = _number("--requests-per-second", requests_per_second, float)
    slots = _number("--in-flight", in_flight, int)
    answer = ask(lambda operator: operator.set_budget(source, rate, slots, scope))
    text = f"{counted(answer['budgets_changed'], 'budget')} of {source} set."
    tell(answer, text, as_json)


def unblock(
    source: Annotated[str, typer.Argument(help="The API.")],
    scope: ScopeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lift what 429s did: blocks, waits of workspaces, rates that were learned.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """
    answer = ask(lambda operator: operator.unblock_budget(source, scope))
    freed = counted(answer["workspaces_freed"], "workspace")
    verb = "waits" if answer["workspaces_freed"] == 1 else "wait"
    text = f"{counted(answer['budgets'], 'budget')} of {source} lifted; {freed} {verb} no longer."
    tell(answer, text, as_json)


def _row(budget: Row, source: str, waiting: int) -> Row:
    """`rate_now` and `in_flight_now`: null where they are as set."""
    return {
        "source": source,
        "scope": budget["scope_key"],
        "requests_per_second": budget["requests_per_second"],
        "max_in_flight": budget["max_in_flight"],
        "rate_now": budget["learned_rate"] and round(float(budget["learned_rate"]), 2),
        "in_flight_now": budget["reduced_in_flight"],
        "blocked_until_at": budget["blocked_until"] if budget["block_level"] else None,
        "workspaces_waiting": waiting,
    }


def _in_words(row: Row) -> Row:
    return {
        name: UNLIMITED if row[name] is None else row[name]
        for name in ("requests_per_second", "max_in_flight")
    }


def _number(option: str, text: str, kind: Callable[[str], float]) -> float | None:
    """Which numbers there may be, the database knows; JSON carries no infinity to it."""
    if text.strip().lower() == UNLIMITED:
        return None
    try:
        number = kind(text)
    except ValueError:
        number = inf
    if abs(number) <= LARGEST_INTEGER:
        return number
    what = f"{'whole number' if kind is int else 'number'} up to {LARGEST_INTEGER}"
    raise SettingsError(f"{option} is {text[:40]!r}", f"Give it a {what}, or {UNLIMITED}.")
