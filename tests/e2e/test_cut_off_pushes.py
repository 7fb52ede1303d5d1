"""A push that is refused or killed at any statement leaves nothing behind, and can be repeated."""

from contextlib import closing
from pathlib import Path

from tests.e2e.projects import Somebodys
from tests.support.background import answer_of, in_background, wait_until
from tests.support.db import Db

REFUSED = "select 1 / 0;"
WAITS = "select pg_sleep(600);"
WAITING = "select pid from pg_stat_activity where wait_event = 'PgSleep'"


def test_a_push_that_is_cut_off_leaves_nothing(somebodys: Somebodys) -> None:
    somebodys.chunkwise("init", "--source", "email_bison")
    engine, source = sorted(somebodys.migrations.iterdir())
    whole, of_source = engine.read_text(), source.read_text()
    before = somebodys.state()

    engine.write_text(f"{whole}\n{REFUSED}\n")
    somebodys.push(code=1)
    assert (somebodys.state(), somebodys.versions()) == (before, [])

    put_into(engine, WAITS)
    killed = in_background(lambda: somebodys.push(code=1))
    with closing(Db.connect(somebodys.database.dsn)) as db:
        wait_until(lambda: db.run(WAITING) != [], "the push waits in the middle")
        db.run(f"select pg_terminate_backend(pid) from ({WAITING}) as w")
    answer_of(killed)
    assert (somebodys.state(), somebodys.versions()) == (before, [])

    engine.write_text(whole)
    put_into(source, REFUSED)
    somebodys.push(code=1)
    half = somebodys.state()
    assert somebodys.versions() == [engine.name.partition("_")[0]]
    assert [row for row in half if row["name"] == "client_registry"] == []

    source.write_text(of_source)
    somebodys.push()
    assert somebodys.asked("select source_name from sync_sources") == [
        {"source_name": "email_bison"}
    ]


def put_into(migration: Path, statement: str) -> None:
    """In the middle, between two statements."""
    parts = migration.read_text().split("\ncreate function ")
    # A function may be made by another one's text.
    ends = [n for n, part in enumerate(parts) if part.rstrip().endswith(";")]
    parts[ends[len(ends) // 2]] += f"\n{statement}\n"
    migration.write_text("\ncreate function ".join(parts))
