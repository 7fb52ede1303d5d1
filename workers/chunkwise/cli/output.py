"""How jobs look on a terminal and as JSON."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from shlex import quote
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chunkwise.texts import as_json, printable

Row = Mapping[str, Any]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

FILE_COLUMNS: Final = 200
MOST_NAMED: Final = 3
# Kinds of job: polling_job_status.kind.
SYNC: Final = "sync"
AUDIT: Final = "audit"
KEY_CHECK: Final = "key_check"
STATUS_COLOURS: Mapping[str, str] = {
    "completed": "green",
    "running": "cyan",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "magenta",
}


def print_json(value: object) -> None:
    print(as_json(value, indent=2))


def counted(number: object, what: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{_number(number)} {what}{'' if number == 1 else 's'}"


def unit(runs: Iterable[Row]) -> str:
    """What a chunk of these runs is: a page, or also a question for a key, record or item."""
    pages = all((run.get("pages") or run).get("planned") == run.get("planned") for run in runs)
    return "page" if pages else "request"


def paused_line(paused: Row) -> str:
    """What pause holds, with the command that lifts it; empty if nothing is paused."""
    held = ["everything (chunkwise resume)"] if paused["everything"] else []
    held += [
        f"source {row['source_name']} (chunkwise resume --source {quote(row['source_name'])})"
        for row in paused["sources"]
    ]
    names = [row["workspace_name"] for row in paused["workspaces"]]
    if names:
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        held.append(
            f"{'workspace' if len(names) == 1 else 'workspaces'} {', '.join(names[:MOST_NAMED])}"
            f"{more} (chunkwise resume --workspace {quote(names[0])})"
        )
    return f"Paused: {'; '.join(held)}." if held else ""


def coloured(status: object) -> Text:
    text = _shown(status)
    return Text(text, style=STATUS_COLOURS.get(text, ""))


def print_table(title: str | None, columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    """`columns`: field → heading. One without a heading, for remarks, is left out if there are
    none."""
    shown = list(rows)
    kept = {
        field: heading
        for field, heading in columns.items()
        if heading or any(row.get(field) for row in shown)
    }
    table = Table(title=title, title_justify="left")
    for heading in kept.values():
        table.add_column(heading, overflow="fold")
    for row in shown:
        table.add_row(*(_cell(field, row.get(field)) for field in kept))
    _console().print(table)


def print_narrow_table(columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Without lines; a column is as wide as what it holds."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(field, row.get(field)) for field in columns))
    _console().print(table)


def _console() -> Console:
    """Lines of a file or pipe are not folded at 80 columns."""
    return Console() if sys.stdout.isatty() else Console(width=FILE_COLUMNS)


def print_job(progress: Row) -> None:
    """The job, its runs and what there is to know about them."""
    runs: Sequence[Row] = progress.get("runs") or []
    if runs:
        print_table(None, _RUN_COLUMNS, [_run_row(run) for run in runs])
    console = _console()
    console.print(summary(progress), soft_wrap=True)
    for warning in progress.get("warnings") or []:
        console.print(Text(f"warning: {_shown(warning)}", style="yellow"), soft_wrap=True)
    if progress.get("error_message"):
        console.print(Text(_shown(progress["error_message"]), style="red"), soft_wrap=True)


def summary(progress: Row) -> Text:
    line = Text(f"{_shown(progress.get('job_name'))} {progress.get('job_id')} ")
    line.append_text(coloured(progress.get("status")))
    done, total = progress.get("workspaces_processed"), progress.get("total_workspaces")
    if progress.get("kind") == KEY_CHECK:
        line.append(f": {_shown(done)}/{counted(total, 'key')} accepted")
    else:
        accounts = counted(progress.get("total_accounts_synced"), "account")
        line.append(f": {_shown(done)}/{counted(total, 'workspace')}, {accounts}")
    if progress.get("workspaces_skipped"):
        line.append(f", {progress['workspaces_skipped']} skipped")
    if progress.get("duration_ms") is not None:
        line.append(f", {progress['duration_ms'] / 1000:.1f} s")
    return line


_RUN_COLUMNS: Mapping[str, str] = {
    "workspace": "workspace",
    "stream": "stream",
    "status": "status",
    "requests": "requests",
    "pages": "pages",
    "records": "records",
    "expected_total": "API total",
    "note": "",
}


def _run_row(run: Row) -> dict[str, object]:
    notes = [run.get("error_message"), *(run.get("warnings") or [])]
    note = "\n".join(str(note) for note in notes if note)
    return {**run, "requests": _parts(run), "pages": _parts(run.get("pages") or {}), "note": note}


def _parts(counts: Row) -> str:
    """How many of those that are planned; conversations and keys have no pages."""
    if not counts.get("planned"):
        return "-"
    return f"{counts['completed']}/{counts['planned']}"


def _cell(field: str, value: object) -> Text:
    if field == "status":
        return coloured(value)
    if field.endswith("_at") and isinstance(value, str):
        return Text(moment(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(_number(value), justify="right")
    return Text(_shown(value))


def moment(value: str) -> str:
    return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M %Z}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else _shown(value)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def tell(answer: object, text: str, as_json: bool) -> None:
    """The answer for programs, or what it says in words."""
    if as_json:
        print_json(answer)
    else:
        print(printable(text))
