"""Everything at a glance, in lines of 80 columns with each command on a line of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import fill
from typing import Final

from chunkwise.cli.advice import in_commands
from chunkwise.cli.output import SYNC, Row, counted, moment, paused_line, print_narrow_table
from chunkwise.texts import printable

WIDTH: Final = 80
MOST_NAMED: Final = 3
SHORT_ID: Final = 8
JOB_COLUMNS: Final = {
    "short_id": "job",
    "job_name": "name",
    "status": "status",
    "started_at": "started",
    "took": "took",
    "done": "done",
    "total_accounts_synced": "records",
}
CHECK_COLUMNS: Final = {
    "short_id": "job",
    "kind": "kind",
    "status": "status",
    "started_at": "started",
    "took": "took",
    "done": "done",
}


def print_overview(everything: Row) -> None:
    """`everything` is what `chunkwise status --json` prints."""
    syncs = [job for job in everything["jobs"] if job["kind"] == SYNC]
    checks = [job for job in everything["jobs"] if job["kind"] != SYNC]
    if syncs:
        _print_jobs(JOB_COLUMNS, syncs)
    else:
        what = "sync" if checks else "job"
        print(f"There is no {what} yet. Start one with `chunkwise sync`.")
    if checks:
        print("\nAudits and key checks")
        _print_jobs(CHECK_COLUMNS, checks)
    print_waiting(everything["waiting"])
    _print_troubled(everything["failed"])
    _print_alerts(everything["alerts"])
    if paused := paused_line(everything["paused"]):
        print(f"\n{printable(paused)}")
    print(f"\n{_queue_line(everything['queue'])}")


def _print_jobs(columns: Mapping[str, str], jobs: Sequence[Row]) -> None:
    print_narrow_table(columns, [_job_row(job) for job in jobs])
    _print_commands(job["command"] for job in jobs if job["command"])


def print_waiting(waiting: Sequence[Row]) -> None:
    """Runs that wait for the same are one line."""
    if not waiting:
        return
    print("\nWaiting")
    for (message, until), runs in _grouped(waiting, "message", "waits_until"):
        when = f", until {moment(until)}" if _is_moment(until) else ""
        _print_sentence(f"{_named(runs, 'workspace_name')}: {in_commands(message)}{when}")


def _print_troubled(troubled: Sequence[Row]) -> None:
    if not troubled:
        return
    print("\nStale or not complete")
    for (why,), rows in _grouped(troubled, "why"):
        _print_sentence(f"{_named(rows, 'workspace')}: {in_commands(why)}{_last_complete(rows)}")
        _print_commands(row["command"] for row in rows[:MOST_NAMED])
        if len(rows) > MOST_NAMED:
            print(f"    … and the same for {len(rows) - MOST_NAMED} more")


def _print_alerts(alerts: Sequence[Row]) -> None:
    if not alerts:
        return
    print("\nOpen alerts")
    for alert in alerts:
        _print_sentence(
            f"{alert['kind']}, {alert['subject']}, since {moment(alert['opened_at'])}:"
            f" {in_commands(alert['message'])}"
        )


def _job_row(job: Row) -> Row:
    took = job.get("duration_ms")
    return {
        **job,
        "short_id": str(job["id"])[:SHORT_ID],
        "kind": str(job["kind"]).replace("_", " "),
        "took": "-" if took is None else f"{took / 1000:,.1f} s",
        "done": f"{job['workspaces_processed']}/{job['total_workspaces']}",
    }


def _grouped(rows: Sequence[Row], *fields: str) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    def key(row: Row) -> tuple[str, ...]:
        return tuple(str(row[field]) for field in fields)

    for found, group in groupby(sorted(rows, key=key), key):
        yield found, list(group)


def _named(rows: Sequence[Row], field: str) -> str:
    """`acme sender_emails`, or how many workspaces and the first of their names."""
    if len(rows) == 1:
        return f"{rows[0][field]} {rows[0]['stream']}"
    names = sorted({str(row[field]) for row in rows})
    if len(names) == 1:
        return f"{names[0]}, {counted(len(rows), 'stream')}"
    more = ", …" if len(names) > MOST_NAMED else ""
    return f"{counted(len(names), 'workspace')} ({', '.join(names[:MOST_NAMED])}{more})"


def _last_complete(rows: Sequence[Row]) -> str:
    if len(rows) > 1 or not rows[0]["last_complete_sync_at"]:
        return ""
    return f" (last complete sync: {moment(rows[0]['last_complete_sync_at'])})"


def _is_moment(until: str) -> bool:
    return until not in ("None", "infinity")


def _print_sentence(text: str) -> None:
    """A command or address in it stays whole, so that it can be copied."""
    print(
        fill(
            printable(text),
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _print_commands(commands: Iterable[str]) -> None:
    for command in commands:
        print(f"    {printable(command)}")


def _queue_line(queue: Row) -> str:
    return (
        f"Jobs running: {queue['live_jobs']}. Chunks: {queue['chunks_in_flight']} in flight,"
        f" {queue['ready_chunks']} ready, {queue['delayed_chunks']} delayed,\n"
        f"{queue['waiting_chunks']} waiting. Workers alive: {queue['workers_alive']}."
    )
