"""Runs pgTAP tests with `pg_prove`, as `supabase test db` does, in a database of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence

from local.folders import CHECKOUT
from local.stack import Stack

TESTS = CHECKOUT / "supabase" / "tests"


def prove(files: Sequence[str]) -> int:
    """Run files, or all below folders, named from the checkout. Returns: pg_prove's exit code."""
    with Stack.start_free("prove") as stack:
        database = stack.create_database("pgtap")
        command = ["pg_prove", "--ext", ".sql", "--recurse", "--failures", *files]
        environment = {
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(stack.state.port),
            "PGUSER": "postgres",
            "PGPASSWORD": "postgres",
            "PGDATABASE": database.name,
        }
        outcome = subprocess.run(command, env=environment, cwd=CHECKOUT, check=False)
        database.drop()
    return outcome.returncode


if __name__ == "__main__":
    sys.exit(prove([str(TESTS.relative_to(CHECKOUT))]))
