"""Following a job while it runs."""

import asyncio
import sys
import time
from collections import deque
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from chunkwise.cli.bars import Bars
from chunkwise.cli.output import Row, summary, unit
from chunkwise.errors import EXIT_FAILED, ChunkwiseError, UnavailableError
from chunkwise.operator.client import Operator
from chunkwise.texts import printable

LOOK_SECONDS: Final = 0.7
RATE_SECONDS: Final = 10.0
STILL_SECONDS: Final = 5.0
LIVE: Final = "running"


class Pace:
    """Requests per second over the last seconds, and how long nothing has moved."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()
        self._moved_at = time.monotonic()

    def saw(self, progress: Row) -> None:
        now = time.monotonic()
        chunks: Row = progress.get("chunks") or {}
        ended = sum(int(chunks.get(kind) or 0) for kind in ("completed", "failed", "cancelled"))
        if self._looks and ended != self._looks[-1][1]:
            self._moved_at = now
        self._looks.append((now, ended))
        while self._looks[-1][0] - self._looks[0][0] > RATE_SECONDS:
            self._looks.popleft()

    @property
    def per_second(self) -> float | None:
        (first_at, first), (last_at, last) = self._looks[0], self._looks[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else None

    @property
    def is_still(self) -> bool:
        return time.monotonic() - self._moved_at > STILL_SECONDS

    def in_words(self, progress: Row) -> str:
        rate = self.per_second
        if not rate:
            return ""
        words = f"{rate:.1f} {unit(progress.get('runs') or [])}s/s"
        chunks: Row = progress.get("chunks") or {}
        left = int(chunks.get("pending") or 0) + int(chunks.get("processing") or 0)
        if progress.get("percentage") is not None and left:
            minutes, seconds = divmod(round(left / rate), 60)
            words += f", {minutes}:{seconds:02d} left"
        return words


class Notices:
    """What is said once, as it comes: warnings of runs, and why nothing moves."""

    def __init__(self, operator: Operator, console: Console) -> None:
        self._operator = operator
        self._console = console
        self._said: set[str] = set()

    async def tell(self, progress: Row, is_still: bool) -> None:
        for run in progress.get("runs") or []:
            for warning in run.get("warnings") or []:
                self._say("warning", f"{run['workspace']}: {warning}")
        if is_still and progress["status"] == LIVE:
            for message in await self._why_still(str(progress["job_id"])):
                self._say("waiting", message)

    async def _why_still(self, job_id: str) -> list[str]:
        try:
            waiting = await self._operator.waiting_runs(job_id)
        except UnavailableError:
            return []
        return sorted({str(run["message"]) for run in waiting})

    def _say(self, kind: str, text: str) -> None:
        line = printable(f"{kind}: {text}")
        if line not in self._said:
            self._said.add(line)
            self._console.print(Text(line, style="yellow"), soft_wrap=True)


async def watch(operator: Operator, job_id: str, quiet: bool) -> Row:
    """Returns the progress of the ended job. Ctrl-C leaves the job running and says so. `quiet`:
    nothing on standard output, and on the other only why nothing moves."""
    try:
        if quiet or not sys.stdout.isatty():
            return await _follow_in_lines(operator, job_id, quiet)
        return await _follow_live(operator, job_id)
    except asyncio.CancelledError:
        print(
            f"The job goes on. Watch it again with: chunkwise status {job_id} --watch",
            file=sys.stderr,
        )
        raise


def job_of(started: Row, undone: str) -> str:
    """The id of the job that was started; another's is no answer to what was asked."""
    job_id = str(started["job_id"])
    if started["status"] != "accepted":
        raise ChunkwiseError(
            f"{undone}: {started['message']} (job {job_id})",
            f"Watch that one with: chunkwise status {job_id} --watch; then ask again.",
        )
    return job_id


def exit_code(progress: Row) -> int:
    return 0 if progress.get("status") == "completed" else EXIT_FAILED


async def _follow_live(operator: Operator, job_id: str) -> Row:
    pace, bars = Pace(), Bars()
    with Live(bars.progress, transient=True, refresh_per_second=4) as live:
        notices = Notices(operator, live.console)
        while True:
            progress = await _look(operator, job_id)
            if progress is None:
                live.update(Group(bars.progress, "waiting for the database"))
            else:
                pace.saw(progress)
                await notices.tell(progress, pace.is_still)
                bars.show(progress, pace.in_words(progress))
                live.update(Group(summary(progress), bars.progress))
                if progress["status"] != LIVE:
                    return progress
            await asyncio.sleep(LOOK_SECONDS)


async def _follow_in_lines(operator: Operator, job_id: str, quiet: bool) -> Row:
    """A line whenever a workspace is done."""
    pace, notices = Pace(), Notices(operator, Console(stderr=True))
    shown: object = None
    while True:
        progress = await _look(operator, job_id)
        if progress is not None:
            pace.saw(progress)
            if not quiet or pace.is_still:
                await notices.tell({**progress, "runs": []} if quiet else progress, pace.is_still)
            done = progress.get("workspaces_processed")
            if done != shown and not quiet:
                shown = done
                words = pace.in_words(progress)
                print(summary(progress).plain + (f" ({words})" if words else ""), flush=True)
            if progress["status"] != LIVE:
                return progress
        await asyncio.sleep(LOOK_SECONDS)


async def _look(operator: Operator, job_id: str) -> Row | None:
    """None while the database does not answer: the job goes on without us."""
    try:
        return await operator.gateway.get_sync_job_progress(job_id)
    except UnavailableError:
        return None
