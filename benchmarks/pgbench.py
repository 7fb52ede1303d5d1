"""PostgreSQL's own load generator: many clients without Python's lock in the way."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from local.cluster import binaries
from local.stack import Database

MICROSECONDS = 1_000_000
STATEMENT = re.compile(r"^ +([0-9.]+) +[0-9]+ +(?=[a-z])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Transactions:
    """`ends` are seconds since the epoch, `latencies` seconds, in order of their ends.

    `statements_ms` are the mean latencies of the script's statements.
    """

    ends: tuple[float, ...]
    latencies: tuple[float, ...]
    statements_ms: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """From the start of the first to the end of the last."""
        return self.ends[-1] - (self.ends[0] - self.latencies[0])

    @property
    def median_ms(self) -> float:
        return median(self.latencies) * 1000

    def last(self, count: int) -> "Transactions":
        return replace(self, ends=self.ends[-count:], latencies=self.latencies[-count:])


class PgbenchError(Exception):
    """pgbench ended with an error; the text is what it printed."""


def pgbench(
    database: Database,
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
    with tempfile.TemporaryDirectory(prefix="chunkwise-") as folder:
        path = Path(folder, "script.sql")
        path.write_text(script)
        outcome = subprocess.run(
            [str(binaries() / "pgbench"), "-n", "-M", "extended", "-f", str(path), "-r", "-l",
             "--log-prefix", str(Path(folder, "log")), "-c", str(clients),
             "-j", str(min(clients, 2)), *length],
            env={**os.environ, **_connection(database, settings or {})},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if outcome.returncode != 0 or "aborted" in outcome.stderr:
            raise PgbenchError(outcome.stderr)
        return _read(Path(folder), outcome.stdout)


def _connection(database: Database, settings: Mapping[str, str]) -> dict[str, str]:
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.stack.state.port),
        "PGUSER": "postgres",
        "PGPASSWORD": "postgres",
        "PGDATABASE": database.name,
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


def _read(folder: Path, printed: str) -> Transactions:
    """A line of the log: client, number, latency in µs, script, end in s, its µs."""
    lines = [line.split() for log in folder.glob("log.*") for line in log.open()]
    ended = sorted((int(at) + int(us) / MICROSECONDS, int(took)) for _, _, took, _, at, us in lines)
    if not ended:
        raise PgbenchError("no transaction ended")
    return Transactions(
        tuple(end for end, _ in ended),
        tuple(took / MICROSECONDS for _, took in ended),
        tuple(float(mean) for mean in STATEMENT.findall(printed)),
    )
