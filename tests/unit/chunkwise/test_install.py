"""`chunkwise init` and `chunkwise upgrade`: what they write, and what they refuse."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chunkwise import VERSION
from chunkwise.errors import ChunkwiseError
from chunkwise.install.carried import Carried
from chunkwise.install.project import SNIPPETS, Lock, Project, digest
from chunkwise.install.steps import install, upgrade

NOW = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
ENGINE_NAMES = "-- chunkwise: look first\ndo $names$\nengine\nend; $names$;\n"
SOURCE_NAMES = "-- chunkwise: look first\ndo $names$\nsource\nend; $names$;\n"
PLATFORM = "-- chunkwise: look first\ndo $platform$\nbegin\nend; $platform$;\n"
CARRIED = Carried(
    migrations={
        "chunkwise": f"{PLATFORM}\n{ENGINE_NAMES}\ncreate the engine;\n",
        "chunkwise_email_bison": "-- chunkwise: the engine comes first\n"
        f"{SOURCE_NAMES}\ncreate the source;\n",
    },
    snippets={"what_is_running": "select 1;\n"},
    upgrades={(VERSION, "chunkwise"): "from 0.1.0;\n"},
    released={"0.1.0": {"chunkwise": digest("old engine"), "chunkwise_email_bison": digest("old")}},
    legacy={"email_bison": "move;\n"},
)
MIGRATIONS = Path("supabase", "migrations")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def put(project: Project, name: str, text: str = "theirs") -> Path:
    path = project.root / MIGRATIONS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def migrations(project: Project) -> list[str]:
    return [path.name for path in project.migrations().values()]


def everything(project: Project) -> dict[str, str]:
    return {f"{path}": path.read_text() for path in project.root.rglob("*") if path.is_file()}


def test_ours_come_after_theirs(project: Project) -> None:
    put(project, "20261201000000_ahead_of_time.sql")
    install(project, CARRIED, ["email_bison"], NOW)
    assert migrations(project) == [
        "20261201000000_ahead_of_time.sql",
        "20261201000001_chunkwise.sql",
        "20261201000002_chunkwise_email_bison.sql",
    ]


@pytest.mark.parametrize(
    "number",
    ["0001", "9", "2027010100", "20269900000000", "99991231235958", "99991231235959"],
)
def test_a_number_that_is_no_time_or_the_last_comes_before_ours_too(
    project: Project, number: str
) -> None:
    """As the CLI compares them: as text."""
    put(project, f"{number}_first.sql")
    install(project, CARRIED, ["email_bison"], NOW)
    ours = [name.split("_", 1) for name in migrations(project) if "chunkwise" in name]
    engine, source = sorted(ours, key=lambda parts: parts[1])
    assert number < engine[0] < source[0]


def test_a_file_that_has_our_time_comes_before_ours(project: Project) -> None:
    put(project, "20261128100000_theirs.sql")
    install(project, CARRIED, [], NOW)
    assert migrations(project) == ["20261128100000_theirs.sql", "20261128100001_chunkwise.sql"]


def test_what_is_in_the_way_of_a_source_stops_the_engine_too(project: Project) -> None:
    install(project, CARRIED, ["email_bison"], NOW)
    engine, _ = (path.read_text() for path in project.migrations().values())
    assert engine.index("source") < engine.index("create the engine")


def test_the_old_tables_are_moved_only_if_all_else_can_follow(project: Project) -> None:
    install(project, CARRIED, ["email_bison"], NOW, keep_legacy=True)
    first, *others = project.migrations().values()
    text = first.read_text()
    order = [text.index(part) for part in ("$platform$", "move;", "engine", "source")]
    assert order == sorted(order)
    assert [path.name.partition("_")[2] for path in (first, *others)] == [
        "chunkwise_keep_legacy.sql",
        "chunkwise.sql",
        "chunkwise_email_bison.sql",
    ]


def test_a_project_of_the_cli_keeps_its_settings(project: Project) -> None:
    config = project.root / "supabase" / "config.toml"
    config.parent.mkdir()
    config.write_text("theirs")
    inside = project.root / "supabase" / "functions"
    inside.mkdir()
    assert Project.find(inside).root == project.root
    install(project, CARRIED, [], NOW)
    assert config.read_text() == "theirs"


def test_the_lock_file_says_what_is_ours(project: Project) -> None:
    written = install(project, CARRIED, [], NOW)
    lock = json.loads((project.root / "supabase" / "chunkwise.lock").read_text())
    assert (lock["version"], lock["sources"]) == (VERSION, [])
    assert lock["files"].keys() == set(written.paths) - {"supabase/config.toml"}
    assert all(digest((project.root / p).read_text()) == d for p, d in lock["files"].items())


def test_a_source_is_added_later(project: Project) -> None:
    install(project, CARRIED, [], NOW)
    added = install(project, CARRIED, ["email_bison"], NOW)
    assert added.paths == ("supabase/migrations/20261128100001_chunkwise_email_bison.sql",)
    with pytest.raises(ChunkwiseError, match="already"):
        install(project, CARRIED, ["email_bison"], NOW)


def test_a_source_whose_file_was_deleted_is_added_anew(project: Project) -> None:
    """As the guard says: an old poller is in the way of a source, the engine is pushed."""
    install(project, CARRIED, [], NOW)
    added = install(project, CARRIED, ["email_bison"], NOW)
    (project.root / added.paths[0]).unlink()
    install(project, CARRIED, ["email_bison"], NOW, keep_legacy=True)
    assert migrations(project) == [
        "20261128100000_chunkwise.sql",
        "20261128100001_chunkwise_keep_legacy.sql",
        "20261128100002_chunkwise_email_bison.sql",
    ]
    lock = project.lock()
    assert lock is not None
    assert project.edited(lock) == []


def test_an_old_poller_that_shows_at_the_push_is_moved_after_a_new_start(project: Project) -> None:
    install(project, CARRIED, ["email_bison"], NOW)
    with pytest.raises(ChunkwiseError) as refused:
        install(project, CARRIED, ["email_bison"], NOW, keep_legacy=True)
    assert "delete supabase/chunkwise.lock and the files that it lists" in f"{refused.value.hint}"
    lock = project.lock()
    assert lock is not None
    for path in ("supabase/chunkwise.lock", *lock.files):
        (project.root / path).unlink()
    install(project, CARRIED, ["email_bison"], NOW, keep_legacy=True)
    assert len(migrations(project)) == 3


@pytest.mark.parametrize(
    ("sources", "keep_legacy", "named"),
    [(["hubspot"], False, "hubspot"), ([], True, "--keep-legacy")],
)
def test_what_cannot_be_installed_writes_nothing(
    project: Project, sources: list[str], keep_legacy: bool, named: str
) -> None:
    with pytest.raises(ChunkwiseError, match=named):
        install(project, CARRIED, sources, NOW, keep_legacy=keep_legacy)
    assert everything(project) == {}


def test_files_in_the_way_are_named(project: Project) -> None:
    snippet = project.root / "supabase" / "snippets" / "chunkwise_what_is_running.sql"
    snippet.parent.mkdir(parents=True)
    snippet.write_text("theirs")
    with pytest.raises(ChunkwiseError, match="chunkwise_what_is_running"):
        install(project, CARRIED, [], NOW)
    assert everything(project) == {f"{snippet}": "theirs"}


def test_migrations_without_their_lock_file_are_not_doubled(project: Project) -> None:
    install(project, CARRIED, [], NOW)
    (project.root / "supabase" / "chunkwise.lock").unlink()
    with pytest.raises(ChunkwiseError, match=r"_chunkwise\.sql is already Chunkwise's"):
        install(project, CARRIED, [], NOW)
    with pytest.raises(ChunkwiseError, match=r"_chunkwise\.sql is already Chunkwise's") as refused:
        upgrade(project, CARRIED, NOW)
    assert "version control" in f"{refused.value.hint}"


def test_a_project_without_chunkwise_has_nothing_to_upgrade(project: Project) -> None:
    put(project, "20240101000000_theirs.sql")
    with pytest.raises(ChunkwiseError, match="there is no Chunkwise") as refused:
        upgrade(project, CARRIED, NOW)
    assert "chunkwise init" in f"{refused.value.hint}"


def test_a_release_that_was_pushed_without_a_lock_file_is_known(project: Project) -> None:
    put(project, "20261122080000_chunkwise.sql", "old engine")
    put(project, "20261122080100_chunkwise_email_bison.sql", "old")
    put(project, "20261127000000_theirs.sql")
    with pytest.raises(ChunkwiseError) as refused:
        install(project, CARRIED, [], NOW)
    assert "chunkwise upgrade" in f"{refused.value.hint}"

    written = upgrade(project, CARRIED, NOW)
    assert written.version == "0.1.0"
    name = VERSION.replace(".", "_")
    assert migrations(project)[-1] == f"20261128100000_chunkwise_{name}.sql"
    lock = project.lock()
    assert lock is not None
    assert (lock.version, lock.sources) == (VERSION, ("email_bison",))
    assert upgrade(project, CARRIED, NOW).paths == ()


def test_an_edited_file_is_named_and_nothing_is_written(project: Project) -> None:
    put(project, "20261122080000_chunkwise.sql", "old engine")
    upgrade(project, CARRIED, NOW)
    edited = put(project, "20261122080000_chunkwise.sql", "old engine, with a change")
    before = everything(project)
    with pytest.raises(ChunkwiseError, match=edited.name):
        upgrade(project, CARRIED, NOW)
    assert everything(project) == before


def test_a_snippet_that_was_deleted_or_is_newer_is_written_anew(project: Project) -> None:
    install(project, CARRIED, [], NOW)
    snippet = project.root / "supabase" / "snippets" / "chunkwise_what_is_running.sql"
    snippet.unlink()
    newer = replace(CARRIED, snippets={"what_is_running": "select 2;\n"})
    upgrade(project, newer, NOW)
    assert snippet.read_text() == "select 2;\n"


def test_their_files_may_be_anything(project: Project) -> None:
    """In another encoding, with other ends of lines, folders, links that lead nowhere."""
    put(project, "20240101000000_latin.sql").write_bytes("-- Größe\r\n".encode("latin-1"))
    put(project, "20240102000000_of_ours.sql", "-- chunkwise: rights of our own\n")
    (project.root / MIGRATIONS / "20240103000000_folder.sql").mkdir()
    (project.root / MIGRATIONS / "20240104000000_link.sql").symlink_to("nowhere")
    install(project, CARRIED, [], NOW)
    assert migrations(project)[-1] == "20261128100000_chunkwise.sql"


def test_files_of_ours_may_get_other_ends_of_lines(project: Project) -> None:
    """As git does on Windows."""
    install(project, CARRIED, [], NOW)
    for path in project.root.rglob("*.*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert upgrade(project, CARRIED, NOW).paths == ()


def test_a_folder_that_links_elsewhere_is_written_through(project: Project) -> None:
    elsewhere = project.root / "elsewhere"
    elsewhere.mkdir()
    (project.root / "supabase").mkdir()
    (project.root / MIGRATIONS).symlink_to(elsewhere)
    install(project, CARRIED, [], NOW)
    assert [path.name for path in elsewhere.iterdir()] == ["20261128100000_chunkwise.sql"]


@pytest.mark.parametrize("path", ["supabase", "supabase/migrations", "supabase/snippets"])
def test_a_file_in_place_of_a_folder_is_named(project: Project, path: str) -> None:
    file = project.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("theirs")
    before = sorted(project.root.rglob("*"))
    with pytest.raises(ChunkwiseError, match=path) as refused:
        install(project, CARRIED, [], NOW)
    assert "Nothing was changed" in f"{refused.value.hint}"
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.parametrize("path", ["config.toml", "snippets/chunkwise_what_is_running.sql"])
def test_a_link_that_leads_nowhere_is_in_the_way(project: Project, path: str) -> None:
    link = project.root / "supabase" / path
    link.parent.mkdir(parents=True)
    link.symlink_to(project.root / "nowhere")
    with pytest.raises(ChunkwiseError, match=link.name):
        install(project, CARRIED, [], NOW)
    assert everything(project) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "<<<<<<< ours",
        '{"version": "next", "sources": [], "files": {}}',
        '{"version": "1.0.0", "sources": "email_bison", "files": {}}',
        '{"version": "1.0.0", "sources": [], "files": {"a": 1}}',
    ],
)
def test_a_lock_file_of_another_shape_is_named(project: Project, text: str) -> None:
    install(project, CARRIED, [], NOW)
    lock = project.root / "supabase" / "chunkwise.lock"
    lock.write_text(text)
    before = everything(project)
    with pytest.raises(ChunkwiseError, match=r"chunkwise\.lock"):
        install(project, CARRIED, ["email_bison"], NOW)
    with pytest.raises(ChunkwiseError, match=r"chunkwise\.lock") as refused:
        upgrade(project, CARRIED, NOW)
    assert "version control" in f"{refused.value.hint}"
    assert everything(project) == before


def test_a_lock_file_of_a_newer_release_asks_for_a_newer_program(project: Project) -> None:
    """Of `init` as well, which would otherwise send to `upgrade`."""
    install(project, CARRIED, [], NOW)
    lock = project.root / "supabase" / "chunkwise.lock"
    lock.write_text(lock.read_text().replace(VERSION, "99.0.0"))
    with pytest.raises(ChunkwiseError, match=r"99\.0\.0") as refused:
        install(project, CARRIED, ["email_bison"], NOW)
    assert "Update the program" in f"{refused.value.hint}"


def test_a_lock_file_that_is_a_folder_is_named(project: Project) -> None:
    (project.root / "supabase" / "chunkwise.lock").mkdir(parents=True)
    with pytest.raises(ChunkwiseError, match=r"chunkwise\.lock cannot be read: Is a directory"):
        install(project, CARRIED, [], NOW)


@pytest.mark.parametrize(("version", "way_out"), [("99.0.0", "Update"), ("0.0.9", "in between")])
def test_a_release_that_no_way_leads_from_is_named(
    project: Project, version: str, way_out: str
) -> None:
    install(project, CARRIED, [], NOW)
    lock = project.root / "supabase" / "chunkwise.lock"
    lock.write_text(lock.read_text().replace(VERSION, version))
    with pytest.raises(ChunkwiseError, match=version) as refused:
        upgrade(project, CARRIED, NOW)
    assert way_out in f"{refused.value.hint}"


def test_a_disk_that_refuses_leaves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def refuse(self: Path, text: str, encoding: str) -> int:
        if ".lock" in self.name:
            raise OSError(28, "No space left on device", f"{self}")
        return write(self, text, encoding)

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(ChunkwiseError, match="No space left"):
        install(project, CARRIED, [], NOW)
    assert list(project.root.iterdir()) == []


@pytest.mark.parametrize("after", range(3))
def test_an_interrupt_leaves_what_was_there(
    project: Project, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Also where files are replaced: an upgrade writes newer snippets over older ones."""
    put(project, "20261122080000_chunkwise.sql", "old engine")
    snippets = project.root / "supabase" / "snippets"
    snippets.mkdir()
    (snippets / "chunkwise_what_is_running.sql").write_text("select 0;\n")
    lock = Lock("0.1.0", (), {f"{SNIPPETS}/chunkwise_what_is_running.sql": digest("select 0;\n")})
    project.write({}, lock)
    before = everything(project)
    move, calls = Path.replace, iter(range(3))

    def interrupt(self: Path, target: Path) -> Path:
        if next(calls) == after:
            raise KeyboardInterrupt
        return move(self, target)

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        upgrade(project, CARRIED, NOW)
    assert everything(project) == before


def test_what_travels_with_the_program_is_complete() -> None:
    carried = Carried.here()
    assert carried.sources == ["email_bison"]
    assert carried.later[-1] == VERSION
    assert carried.snippets
    assert carried.released
    assert carried.legacy.keys() == {"email_bison"}
