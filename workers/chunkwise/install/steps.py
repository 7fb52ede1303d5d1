"""`init` and `upgrade`: what they write, and what stops them before anything is written."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from chunkwise import VERSION
from chunkwise.errors import ChunkwiseError
from chunkwise.install.carried import (
    ENGINE,
    Carried,
    migration_of,
    names_guards,
    numbers,
    platform_guard,
)
from chunkwise.install.project import (
    CONFIG,
    MIGRATIONS,
    SNIPPETS,
    Lock,
    Project,
    digest,
    names_files,
    text_in,
)

LOCAL_CONFIG: Final = """\
#:schema https://supabase.com/schemas/config/v1.json
project_id = "{name}"

[api]
schemas = ["public"]

[db]
major_version = 17
"""
# In every migration of Chunkwise's.
MARK: Final = re.compile(r"(?m)^-- chunkwise: (?:look first|the engine comes first)$")
# Chunkwise's among the snippets of the project.
SNIPPET: Final = "chunkwise_"


@dataclass(frozen=True, slots=True)
class Written:
    """Paths from `root`, the project's folder."""

    root: Path
    version: str
    paths: tuple[str, ...]


@names_files()
def install(
    project: Project,
    carried: Carried,
    sources: Collection[str],
    now: datetime,
    *,
    keep_legacy: bool = False,
) -> Written:
    """Raises ChunkwiseError."""
    _require_known(carried, sources, keep_legacy=keep_legacy)
    lock = project.lock()
    wanted = _still_wanted(project, carried, sorted(sources), lock, keep_legacy=keep_legacy)
    names = [*([] if lock else [ENGINE]), *(migration_of(source) for source in wanted)]
    bodies = {name: carried.migrations[name] for name in names}
    if keep_legacy:
        bodies = _with_legacy(bodies, carried.legacy["email_bison"])
    elif lock is None:
        others = [text for name, text in bodies.items() if name != ENGINE]
        bodies[ENGINE] = _first_looks(bodies[ENGINE], names_guards(*others))
    texts = _stamped(project, bodies, now)
    if lock is None:
        texts |= _snippets(carried)
    gone = [path for source in wanted if lock for path in _missing(project, lock, source)]
    kept = {path: known for path, known in (lock.files if lock else {}).items() if path not in gone}
    files = {**kept, **{path: digest(text) for path, text in texts.items()}}
    if not project.has_config:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", project.root.name) or "project"
        texts = {f"{CONFIG}": LOCAL_CONFIG.format(name=name), **texts}
    _require_free(project, texts)
    all_sources = {*(lock.sources if lock else ()), *sources}
    project.write(texts, Lock(VERSION, tuple(sorted(all_sources)), files))
    return Written(project.root, VERSION, tuple(texts))


@names_files()
def upgrade(project: Project, carried: Carried, now: datetime) -> Written:
    """Raises ChunkwiseError."""
    lock = project.lock() or _adopted(project, carried)
    _require_not_newer(lock)
    if edited := project.edited(lock):
        raise ChunkwiseError(
            f"edited since Chunkwise wrote {_it(edited)}: {', '.join(sorted(edited))}",
            "Restore them from version control. Your own changes belong in migrations of your own."
            " A snippet may be deleted: it is written again.",
        )
    steps = [version for version in carried.later if numbers(version) > numbers(lock.version)]
    if lock.version != VERSION and (lock.version not in carried.released or not steps):
        raise ChunkwiseError(
            f"this program cannot upgrade Chunkwise {lock.version} to {VERSION}",
            "Install a release in between, and upgrade to it first.",
        )
    names = [ENGINE, *(migration_of(source) for source in lock.sources)]
    bodies = {
        f"{name}_{version.replace('.', '_')}": carried.upgrades[version, name]
        for version in steps
        for name in names
        if (version, name) in carried.upgrades
    }
    migrations = _stamped(project, bodies, now)
    snippets = {
        path: text for path, text in _snippets(carried).items() if project.text_of(path) != text
    }
    new = {path for path in snippets if path not in lock.files}
    _require_free(project, {**migrations, **{path: snippets[path] for path in new}})
    texts = {**migrations, **snippets}
    hashes = {path: digest(text) for path, text in texts.items()}
    project.write(texts, Lock(VERSION, lock.sources, {**lock.files, **hashes}))
    return Written(project.root, lock.version, tuple(texts))


def _require_not_newer(lock: Lock) -> None:
    if numbers(lock.version) > numbers(VERSION):
        raise ChunkwiseError(
            f"this project has Chunkwise {lock.version}, newer than this program's {VERSION}",
            "Update the program: install the wheel of that release.",
        )


def _require_known(carried: Carried, sources: Collection[str], *, keep_legacy: bool) -> None:
    for source in sources:
        if source not in carried.sources:
            raise ChunkwiseError(
                f"there is no source {source} to install",
                f"Those with tables of their own: {', '.join(carried.sources)}. Any other API is"
                " declared: chunkwise streams declare.",
            )
    if keep_legacy and "email_bison" not in sources:
        raise ChunkwiseError(
            "--keep-legacy moves an old poller of Email Bison",
            "Add --source email_bison.",
        )


def _still_wanted(
    project: Project, carried: Carried, sources: list[str], lock: Lock | None, *, keep_legacy: bool
) -> list[str]:
    """The sources that this project does not have, or whose file was deleted; all, if it has no
    Chunkwise."""
    if lock is None:
        released = [path for paths in _released_files(project, carried).values() for path in paths]
        if released:
            raise ChunkwiseError(
                f"{', '.join(released)} {_be(released)} already Chunkwise's",
                "Run chunkwise upgrade to add what is newer.",
            )
        _require_none_of_ours(project)
        return sources
    _require_not_newer(lock)
    if lock.version != VERSION:
        raise ChunkwiseError(
            f"this project has Chunkwise {lock.version}, this program is {VERSION}",
            "Run chunkwise upgrade first.",
        )
    wanted = [s for s in sources if s not in lock.sources or _missing(project, lock, s)]
    if not wanted and keep_legacy:
        raise ChunkwiseError(
            f"this project already has Chunkwise {lock.version}, which comes before what would"
            " move an old poller",
            "If nothing was pushed yet, delete supabase/chunkwise.lock and the files that it"
            " lists, then run this again.",
        )
    if not wanted:
        raise ChunkwiseError(
            f"this project already has Chunkwise {lock.version}",
            "With a newer program, chunkwise upgrade adds what is newer.",
        )
    return wanted


def _missing(project: Project, lock: Lock, source: str) -> list[str]:
    return project.missing(lock, migration_of(source))


def _require_none_of_ours(project: Project) -> None:
    """Where there is no lock file."""
    ours = [path for path, file in project.migrations().items() if MARK.search(text_in(file))]
    if ours:
        raise ChunkwiseError(
            f"{', '.join(ours)} {_be(ours)} already Chunkwise's",
            "Restore supabase/chunkwise.lock from version control. If nothing was pushed yet, you"
            " may delete what is named instead.",
        )


def _released_files(project: Project, carried: Carried) -> dict[str, list[str]]:
    """Release → migrations here that are what it shipped."""
    found: dict[str, list[str]] = {}
    for path, file in project.migrations().items():
        known = digest(text_in(file))
        for version, hashes in carried.released.items():
            if known in hashes.values():
                found.setdefault(version, []).append(path)
    return found


def _adopted(project: Project, carried: Carried) -> Lock:
    """For a project that was pushed before there was a lock file."""
    found = _released_files(project, carried)
    if not found:
        _require_none_of_ours(project)
        raise ChunkwiseError(
            f"there is no Chunkwise in {project.root}: no supabase/chunkwise.lock, and no migration"
            " of a release",
            "Install it with chunkwise init.",
        )
    version = max(found, key=numbers)
    files = {path: digest(text_in(project.root / path)) for path in found[version]}
    names = {name for name, known in carried.released[version].items() if known in files.values()}
    prefix = f"{ENGINE}_"
    sources = sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return Lock(version, tuple(sources), files)


def _first_looks(engine: str, guards: str) -> str:
    """What is in the way of a later file stops the first one, too."""
    if not guards:
        return engine
    own = names_guards(engine)
    return engine.replace(own, f"{own}\n{guards}", 1)


def _with_legacy(bodies: Mapping[str, str], legacy: str) -> dict[str, str]:
    """What is moved is moved only if all else can follow."""
    before = platform_guard(bodies[ENGINE]) if ENGINE in bodies else ""
    parts = [before, legacy, names_guards(*bodies.values())]
    return {f"{ENGINE}_keep_legacy": "\n".join(part for part in parts if part), **bodies}


def _stamped(project: Project, bodies: Mapping[str, str], now: datetime) -> dict[str, str]:
    stamps = project.stamps(now, len(bodies))
    return {
        f"{MIGRATIONS}/{stamp}_{name}.sql": text
        for stamp, (name, text) in zip(stamps, bodies.items(), strict=True)
    }


def _snippets(carried: Carried) -> dict[str, str]:
    return {f"{SNIPPETS}/{SNIPPET}{name}.sql": text for name, text in carried.snippets.items()}


def _require_free(project: Project, texts: Mapping[str, str]) -> None:
    taken = [path for path in texts if project.taken(path)]
    if taken:
        raise ChunkwiseError(
            f"{', '.join(taken)} {_be(taken)} already here",
            "Rename files of yours; delete what an earlier attempt left.",
        )


def _be(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _it(names: Collection[str]) -> str:
    return "it" if len(names) == 1 else "them"
