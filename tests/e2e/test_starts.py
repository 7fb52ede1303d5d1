"""The ways in which Chunkwise comes to a project: with the real CLI, each from what is there."""

from pathlib import Path

from local.bison import BisonControl
from tests.e2e.projects import RELEASES, Somebodys, is_well

THEIRS = "create table public.customers (id int primary key, name text);"


async def test_an_empty_project(somebodys: Somebodys, tmp_path: Path, bison: BisonControl) -> None:
    said = somebodys.chunkwise("init", "--source", "email_bison")
    assert "npx supabase db push --remote\n" in said
    somebodys.push()
    assert somebodys.names() == ["chunkwise", "chunkwise_email_bison"]
    await is_well(somebodys, tmp_path, lambda world: world.register(bison))
    engine, *_ = sorted(somebodys.migrations.iterdir())
    somebodys.add_next("again", engine.read_text())
    assert "Run chunkwise upgrade" in somebodys.push(code=1)


async def test_a_project_with_migrations_of_its_own(
    somebodys: Somebodys, tmp_path: Path, bison: BisonControl
) -> None:
    """One was pushed before, one is not pushed yet, and a table has a name of the second file's: it
    is named by the first, and nothing is done; then the push goes on."""
    somebodys.add("20240101000000", "customers", THEIRS)
    somebodys.configure()
    somebodys.push()
    somebodys.chunkwise("init", "--source", "email_bison")
    assert somebodys.names() == ["customers", "chunkwise", "chunkwise_email_bison"]
    somebodys.asked(THEIRS.replace("customers", "sender_emails"))
    before = somebodys.state()
    said = somebodys.push(code=1)
    assert "has table sender_emails already" in said
    assert (somebodys.state(), somebodys.versions()) == (before, ["20240101000000"])

    somebodys.asked("drop table public.sender_emails")
    somebodys.add("20240601000000", "orders", THEIRS.replace("customers", "orders"))
    somebodys.push()
    await is_well(somebodys, tmp_path, lambda world: world.register(bison))


async def test_the_release_before(
    somebodys: Somebodys, tmp_path: Path, bison: BisonControl
) -> None:
    before, *_ = sorted(RELEASES.iterdir())
    somebodys.add("20240101000000", "customers", THEIRS)
    for stamp, path in zip((20261122080000, 20261122080100), before.iterdir(), strict=True):
        somebodys.add(f"{stamp}", path.stem, path.read_text())
    somebodys.configure()
    somebodys.push()
    somebodys.add_next("later", "create table public.later (id int primary key);")
    somebodys.push()
    somebodys.chunkwise("upgrade")
    somebodys.push()
    await is_well(somebodys, tmp_path, lambda world: world.register(bison))
