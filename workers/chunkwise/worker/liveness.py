"""The worker's pulse: a file that tells when its event loop last turned, and when the database last
answered it.

`python -m chunkwise.worker.liveness [--ready]` reads it for a health check; exit code 0 if all is
well, 1 with a sentence if not. It needs nothing beyond the standard library, so that it costs
milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chunkwise.gateway.client import Gateway

PULSE_FILE: Final = "CHUNKWISE_PULSE_FILE"
BEAT_SECONDS: Final = 5.0
ALIVE_SECONDS: Final = 30.0
# An idle worker asks every 5 s at least; a call that gets no answer lasts up to 30 s.
ANSWERED_SECONDS: Final = 60.0


class Pulse:
    """Times are those of the machine's monotonic clock, which all its processes share."""

    def __init__(self, path: Path, gateway: Gateway) -> None:
        self._path = path
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def beat(self) -> None:
        self._timer = self._loop.call_later(BEAT_SECONDS, self.beat)
        unfinished = self._path.with_name(f"{self._path.name}.new")
        unfinished.write_text(f"{time.monotonic()} {self._gateway.answered_at}\n")
        unfinished.replace(self._path)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._path.unlink(missing_ok=True)


@contextmanager
def pulse(path: Path | None, gateway: Gateway) -> Iterator[None]:
    """Beats while the event loop turns; without a path not at all. Raises OSError if the file
    cannot be written at the first beat."""
    if path is None:
        yield
        return
    beating = Pulse(path, gateway)
    try:
        beating.beat()
        yield
    finally:
        beating.stop()


def what_is_wrong(path: Path, *, ready: bool) -> str | None:
    """A sentence, or None if nothing is."""
    try:
        beat, answered = map(float, path.read_text().split())
    except FileNotFoundError:
        return "no worker runs here"
    now = time.monotonic()
    # A beat of the future is one from before the machine's last start.
    if not 0 <= now - beat <= ALIVE_SECONDS:
        return f"the worker has been still for {now - beat:.0f} s"
    if ready and now - answered > ANSWERED_SECONDS:
        return f"the database has not answered for {now - answered:.0f} s"
    return None


def main(arguments: Sequence[str]) -> int:
    path = os.environ.get(PULSE_FILE, "")
    wrong = (
        what_is_wrong(Path(path), ready="--ready" in arguments) if path else "no file to look at"
    )
    if wrong is not None:
        print(f"{wrong} ({PULSE_FILE}={path})", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
