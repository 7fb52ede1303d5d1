"""The Supabase project that a stack is pushed from, and the CLI that pushes it."""

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.cluster import SETTINGS, SQL_FOLDER, binaries, provided_extensions
from local.folders import CHECKOUT, StackError

MIGRATIONS = CHECKOUT / "supabase" / "migrations"
STACK = CHECKOUT / "local" / "stack" / "__init__.py"
CONFIG = CHECKOUT / "supabase" / "config.toml"
CLI = CHECKOUT / "node_modules" / ".bin" / "supabase"
DATABASE_PORT = re.compile(r"(?ms)(^\[db\]$.*?^port = )\d+$")


class PushError(StackError):
    """The Supabase CLI failed; the text is what it printed."""


@dataclass(frozen=True, slots=True)
class Project:
    """A work directory of the Supabase CLI whose local database is a stack's cluster."""

    root: Path

    def point_at(self, port: int) -> None:
        """Write the CLI's work directory: our config.toml with the port, our migrations."""
        supabase = self.root / "supabase"
        supabase.mkdir(parents=True, exist_ok=True)
        config, found = DATABASE_PORT.subn(rf"\g<1>{port}", CONFIG.read_text())
        if found != 1:
            raise PushError(f"{CONFIG} has no [db] port")
        (supabase / "config.toml").write_text(config)
        migrations = supabase / "migrations"
        if not migrations.is_symlink():
            migrations.symlink_to(MIGRATIONS)

    def push(self) -> None:
        """Push every migration as the user `postgres`, as on a hosted project."""
        outcome = self.run("db", "push", "--yes")
        if outcome.returncode != 0:
            raise PushError(f"{outcome.stdout}{outcome.stderr}".strip())

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the CLI against this project's database; never raises for its exit code."""
        return subprocess.run(
            self.command(arguments),
            env={**os.environ, "DO_NOT_TRACK": "1", "SUPABASE_NO_UPDATE_NOTIFIER": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [str(CLI), "--agent", "no", "--workdir", str(self.root), *arguments]


def fingerprint(grants: str) -> str:
    """Of all that a cluster is built from; another one means: build anew."""
    digest = hashlib.sha256(f"{grants} {binaries()} {provided_extensions()} {SETTINGS}".encode())
    # What a stack keeps is made by its own module.
    parts = [*SQL_FOLDER.glob("*.sql"), *MIGRATIONS.glob("*.sql"), STACK]
    for path in sorted(parts):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
