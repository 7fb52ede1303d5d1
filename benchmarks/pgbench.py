"""PostgreSQL's own load generator: many clients without Python's lock in the way."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from local.cluster import binaries
from local.demo.world import Target

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Transactions:
    """`ends` are seconds since the epoch, `latencies` seconds, in order of their ends."""

    ends: tuple[float, ...]
    latencies: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """From the start of the first to the end of the last."""
        return self.ends[-1] - (self.ends[0] - self.latencies[0])

    @property
    def median_ms(self) -> float:
        return median(self.latencies) * 1000

    def last(self, count: int) -> "Transactions":
        return Transactions(self.ends[-count:], self.latencies[-count:])


class PgbenchError(Exception):
    """pgbench ended with an error; the text is what it printed."""


def pgbench(
    target: Target,
    script: str,
    *,
    clients: int = 1,
    transactions: int | None = None,
    seconds: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Transactions:
    """Run a script as `postgres`, so many transactions per client or so long.

    `settings` are set for its sessions. Raises PgbenchError.
    """
    length = ["-t", str(transactions)] if transactions else ["-T", str(seconds)]
    options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
    with tempfile.TemporaryDirectory(prefix="chunkwise-") as folder:
        path = Path(folder, "script.sql")
        path.write_text(script)
        outcome = subprocess.run(
            [str(binaries() / "pgbench"), "-n", "-M", "extended", "-f", str(path), "-l",
             "--log-prefix", str(Path(folder, "log")), "-c", str(clients),
             "-j", str(min(clients, 2)), *length],
            env={**os.environ, **_connection(target), "PGOPTIONS": options},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if outcome.returncode != 0 or "aborted" in outcome.stderr:
            raise PgbenchError(outcome.stderr)
        return _read(Path(folder))


def _connection(target: Target) -> dict[str, str]:
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(target.stack.state.port),
        "PGUSER": "postgres",
        "PGPASSWORD": "postgres",
        "PGDATABASE": target.database,
    }


def _read(folder: Path) -> Transactions:
    """A line of the log: client, number, latency in µs, script, end in s, its µs."""
    lines = [line.split() for log in folder.glob("log.*") for line in log.open()]
    ended = sorted((int(at) + int(us) / MICROSECONDS, int(took)) for _, _, took, _, at, us in lines)
    if not ended:
        raise PgbenchError("no transaction ended")
    ends = tuple(end for end, _ in ended)
    return Transactions(ends, tuple(took / MICROSECONDS for _, took in ended))
