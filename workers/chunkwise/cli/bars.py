"""A bar for a job, and one for each workspace of it that runs."""

from typing import Final

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from chunkwise.cli.output import Row, counted, unit
from chunkwise.texts import printable

MOST_RUNS_SHOWN: Final = 12
LIVE: Final = "running"


class Bars:
    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}", markup=False),
        )
        self._job = self.progress.add_task("job", total=None, words="")
        self._runs: dict[int, TaskID] = {}

    def show(self, progress: Row, words: str) -> None:
        running = [run for run in progress.get("runs") or [] if run.get("status") == LIVE]
        shown = running[:MOST_RUNS_SHOWN]
        more = len(running) - len(shown)
        self._set(
            self._job,
            progress.get("percentage"),
            words + (f", {counted(more, 'more run')}" if more else ""),
        )
        for run_id in self._runs.keys() - {run["run_id"] for run in shown}:
            self.progress.remove_task(self._runs.pop(run_id))
        for run in shown:
            if run["run_id"] not in self._runs:
                name = printable(f"{run['workspace']} {run['stream']}")
                self._runs[run["run_id"]] = self.progress.add_task(name, total=None, words="")
            self._set(self._runs[run["run_id"]], run.get("percentage"), _run_words(run))

    def _set(self, task: TaskID, percentage: object, words: str) -> None:
        """Of unknown length, the bar only moves."""
        known = isinstance(percentage, int | float)
        self.progress.update(
            task,
            total=100 if known else None,
            completed=float(percentage) if isinstance(percentage, int | float) else 0,
            words=words,
        )


def _run_words(run: Row) -> str:
    words = f"{run.get('completed')}/{counted(run.get('planned'), unit([run]))}"
    if run.get("delayed"):
        retry_ms = run.get("next_retry_ms")
        when = f", next in {retry_ms / 1000:.0f} s" if isinstance(retry_ms, int | float) else ""
        words += f", {run['delayed']} delayed{when}"
    if isinstance(run.get("scan"), int) and run["scan"] > 1:
        words += f", scan {run['scan']}"
    return words
