"""Runs pgTAP tests with `pg_prove`, as `supabase test db` does, in databases of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from local.folders import CHECKOUT
from local.stack import Stack

TESTS = CHECKOUT / "supabase" / "tests"


def prove(files: Sequence[str]) -> int:
    """Run files, or all below folders, named from the checkout. Returns: pg_prove's exit code.

    Each folder has a fresh database: what rolled-back tests leave in the files of tables changes
    the plans, and the rows read, of those that come after them.
    """
    found = sorted({test for name in files for test in _tests(CHECKOUT / name)})
    folders = [list(together) for _, together in groupby(found, attrgetter("parent"))]
    with Stack.start_free("prove") as stack, ThreadPoolExecutor(os.cpu_count()) as threads:
        worst = 0
        for outcome in threads.map(partial(_prove_together, stack), folders):
            print(outcome.stdout, end="", flush=True)
            worst = max(worst, outcome.returncode)
    return worst


def _tests(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(path.rglob("*.sql"))


def _prove_together(stack: Stack, tests: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    database = stack.create_database(f"pgtap_{tests[0].parent.name}")
    environment = {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(stack.state.port),
        "PGUSER": "postgres",
        "PGPASSWORD": "postgres",
        "PGDATABASE": database.name,
    }
    names = [str(test.relative_to(CHECKOUT)) for test in tests]
    outcome = subprocess.run(
        ["pg_prove", "--failures", *names],
        env=environment,
        cwd=CHECKOUT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    database.drop()
    return outcome


if __name__ == "__main__":
    sys.exit(prove([str(TESTS.relative_to(CHECKOUT))]))
