"""Somebody's Supabase project: a folder, and a database that the real CLI pushes it to."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from chunkwise.doctor.platform import PARTITION
from local.project import Project as Cli
from local.stack import Database, Stack
from tests.e2e.world import CHECKOUT, World
from tests.support.db import Db, Row
from tests.support.invariants import violations

RELEASES = CHECKOUT / "supabase" / "releases"
# What a program or the CLI may need of the environment; none of our settings.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@dataclass(frozen=True, slots=True)
class Somebodys:
    """`folder` is what they have in version control."""

    folder: Path
    database: Database
    stack: Stack

    @property
    def migrations(self) -> Path:
        return self.folder / "supabase" / "migrations"

    def names(self) -> list[str]:
        """Of the migrations, without their times."""
        return [
            re.sub(r"^\d+_|\.sql$", "", path.name) for path in sorted(self.migrations.iterdir())
        ]

    def add(self, stamp: str, name: str, sql: str) -> Path:
        self.migrations.mkdir(parents=True, exist_ok=True)
        path = self.migrations / f"{stamp}_{name}.sql"
        path.write_text(sql)
        return path

    def add_next(self, name: str, sql: str) -> Path:
        """After all that are there, as `supabase migration new` would a day later."""
        (newest,) = sorted(self.migrations.iterdir())[-1:]
        stamp = int(newest.name.partition("_")[0]) + 1_000_000
        return self.add(f"{stamp}", name, sql)

    def chunkwise(self, *arguments: str, code: int = 0) -> str:
        """What the command says, in their folder."""
        ended = subprocess.run(
            [sys.executable, "-m", "chunkwise", *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def push(self, *flags: str, code: int = 0) -> str:
        """`supabase db push`; what it says."""
        cli = Cli(self.folder)
        ended = cli.run("db", "push", f"--remote={self.database.dsn}", "--yes", *flags)
        said = ended.stdout + ended.stderr
        assert ended.returncode == code, said
        return said

    def configure(self) -> None:
        """What `supabase init` has left there."""
        (self.folder / "supabase" / "config.toml").write_text('project_id = "theirs"\n')

    def asked(self, sql: str, **arguments: object) -> list[Row]:
        """By the owner, as in the SQL editor."""
        with closing(Db.connect(self.database.dsn)) as db:
            return db.run(sql, **arguments)

    def versions(self) -> list[str]:
        """Of the migrations that the database has."""
        rows = self.asked(
            "select version from supabase_migrations.schema_migrations order by version"
        )
        return [row["version"] for row in rows]

    def state(self) -> list[Row]:
        """What a push that failed must not have changed."""
        return self.asked(
            "select n.nspname, c.relname as name from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname not like 'pg\\_%' and n.nspname not in ('information_schema')"
            " and n.nspname <> 'supabase_migrations'"
            " union all select n.nspname, p.oid::regprocedure::text from pg_proc p"
            " join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname in ('public', 'sync', 'legacy')"
            " union all select 'cron', jobname from cron.job"
            " union all select 'schema', nspname from pg_namespace"
            " where nspname <> 'supabase_migrations' and nspname !~ '^pg_(temp|toast_temp)'"
            " order by 1, 2"
        )

    @asynccontextmanager
    async def working(self, logs: Path) -> AsyncIterator[World]:
        """The API before it, and a worker."""
        deliverer = self.stack.deliver(self.database)
        api = self.stack.serve(self.database)
        try:
            with closing(Db.connect(self.database.dsn)) as db:
                world = World(api, db, logs)
                db.run("select sync.beat(name) from sync.heartbeats")
                async with world.workers():
                    await world.until(lambda: db.run("select 1 from sync.workers") != [])
                    await world.until(lambda: db.run(PARTITION) == [])
                    yield world
                assert violations(db) == []
        finally:
            api.stop()
            deliverer.stop()


async def is_well(
    somebodys: Somebodys, logs: Path, registered: Callable[[World], Awaitable[None]]
) -> None:
    """Pushed again it changes nothing, their next migration goes on top, a sync completes, and the
    doctor finds nothing."""
    assert "up to date" in somebodys.push()
    somebodys.add_next("on_top", "create table public.on_top (id int primary key);")
    somebodys.push()
    async with somebodys.working(logs) as world:
        world.db.run("select set_budget('email_bison', null, null)")
        await registered(world)
        job = await world.sync()
        assert job["status"] == "completed", world.state()
        found = await world.chunkwise("doctor", DATABASE_URL=somebodys.database.dsn)
        assert (found.code, "Nothing found." in found.out) == (0, True), found.out
