"""The delivering process as its stack holds it."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from local.folders import CHECKOUT
from local.process import Child

READY = "delivering"


@dataclass(slots=True)
class Deliverer:
    """Ends with the thread that started it."""

    dsn: str
    log: Path
    _process: Child | None = None

    def start(self) -> None:
        """Returns when it listens; does nothing if it runs."""
        if self._process is not None:
            return
        self.log.write_bytes(b"")
        self._process = Child.start(
            "pg_net",
            [sys.executable, "-m", "local.net"],
            self.log,
            environment={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CHECKOUT),
                "NET_DSN": self.dsn,
            },
        )
        self._process.wait_until(lambda: READY in self.log.read_text())

    def stop(self, *, kill: bool = False) -> None:
        """What was being sent is sent again by the next one; `kill`: without any farewell."""
        if self._process is not None:
            self._process.stop(signal.SIGKILL if kill else signal.SIGTERM)
            self._process = None
