"""Runs the pgTAP tests with `pg_prove`, as `supabase test db` does, in a database of their own."""

import os
import subprocess
import sys

from local.folders import CHECKOUT
from local.stack import Stack

TESTS = CHECKOUT / "supabase" / "tests"


def main() -> None:
    with Stack.start("prove") as stack:
        database = stack.create_database("pgtap")
        command = [
            "pg_prove",
            "--ext",
            ".sql",
            "--recurse",
            "--failures",
            "--quiet",
            str(TESTS.relative_to(CHECKOUT)),
        ]
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
    sys.exit(outcome.returncode)


if __name__ == "__main__":
    main()
