"""A folder with a Supabase project, and the lock file that says what in it is Chunkwise's."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, TypeAdapter

from chunkwise.errors import ChunkwiseError

CONFIG: Final = Path("supabase", "config.toml")
LOCK: Final = Path("supabase", "chunkwise.lock")
MIGRATIONS: Final = Path("supabase", "migrations")
SNIPPETS: Final = Path("supabase", "snippets")
VERSION: Final = re.compile(r"^(\d+)_.*\.sql$")
TIME: Final = "%Y%m%d%H%M%S"
DIGITS_OF_A_TIME: Final = 14
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Lock:
    """`files`: path from the project's folder → hash of what was written there."""

    version: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]
    sources: tuple[str, ...]
    files: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        return TypeAdapter(cls).validate_json(text)

    def text(self) -> str:
        fields = {
            "version": self.version,
            "sources": sorted(self.sources),
            "files": dict(sorted(self.files.items())),
        }
        return json.dumps(fields, indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class Project:
    """`root` holds the folder `supabase`."""

    root: Path

    @classmethod
    def find(cls, folder: Path) -> Self:
        """The folder itself, or the nearest above it that has a project, as the CLI looks for it;
        else the folder, which gets one."""
        start = folder.resolve()
        for candidate in (start, *start.parents):
            # A folder of somebody else's, that one may not look into, is nobody's project here.
            with suppress(PermissionError):
                if (candidate / CONFIG).exists():
                    return cls(candidate)
        return cls(start)

    @property
    def has_config(self) -> bool:
        return (self.root / CONFIG).exists()

    def lock(self) -> Lock | None:
        path = self.root / LOCK
        if not path.exists():
            return None
        try:
            return Lock.parse(text_in(path))
        except ValueError as error:
            raise ChunkwiseError(
                f"{LOCK} is not as Chunkwise wrote it",
                "Restore it from version control. If a newer Chunkwise wrote it, update this"
                " program.",
            ) from error

    def migrations(self) -> dict[str, Path]:
        """Path from the root → file."""
        folder = self.root / MIGRATIONS
        return {
            f"{path.relative_to(self.root)}": path
            for path in sorted(folder.glob("*.sql"))
            if VERSION.match(path.name) and path.is_file()
        }

    def stamps(self, now: datetime, count: int) -> list[str]:
        """Versions for migrations that come after all that are here: the CLI compares them as
        text."""
        found = [VERSION.match(path.name) for path in self.migrations().values()]
        newest = max((match[1] for match in found if match), default="")
        first = now.astimezone(UTC)
        try:
            if f"{first:{TIME}}" <= newest:
                first = _time(newest) + SECOND
            return [f"{first + step * SECOND:{TIME}}" for step in range(count)]
        except (ValueError, OverflowError):
            # After a number that is no time, or the last one, come those that begin with it.
            return [f"{newest}{step}" for step in range(1, count + 1)]

    def text_of(self, path: str) -> str | None:
        file = self.root / path
        return text_in(file) if file.is_file() else None

    def taken(self, path: str) -> bool:
        """By whatever it is: a link that leads nowhere, too."""
        file = self.root / path
        return file.exists() or file.is_symlink()

    def missing(self, lock: Lock, name: str) -> list[str]:
        """Migrations of that name that were written here and are not any more."""
        return [
            path
            for path in lock.files
            if re.fullmatch(rf"\d+_{name}\.sql", Path(path).name) and not self.taken(path)
        ]

    def edited(self, lock: Lock) -> list[str]:
        """Files of Chunkwise's that are not as they were written; a snippet may be missing."""
        found = {path: self.text_of(path) for path in lock.files}
        return [
            path
            for path, text in found.items()
            if (digest(text) != lock.files[path] if text is not None else not _is_snippet(path))
        ]

    def write(self, texts: Mapping[str, str], lock: Lock) -> None:
        """All of them beside where they belong, and then each in its place, the lock file last: no
        file is ever half written. If one cannot be, nothing is left of any."""
        wanted = {
            (self.root / path).resolve(): text
            for path, text in (*texts.items(), (f"{LOCK}", lock.text()))
        }
        made: list[Path] = []
        before: dict[Path, bytes | None] = {}
        try:
            for place, text in wanted.items():
                _make_folder(place.parent, made)
                made.append(_unfinished(place))
                made[-1].write_text(text, encoding="utf-8")
            for place in wanted:
                before[place] = place.read_bytes() if place.is_file() else None
                _unfinished(place).replace(place)
        except BaseException as error:
            _take_back(before, made)
            if isinstance(error, OSError):
                raise ChunkwiseError(
                    f"{error.filename} cannot be written: {error.strerror}",
                    "Nothing was changed. Run it again when that can be written.",
                ) from error
            raise


@contextmanager
def names_files() -> Iterator[None]:
    """An error of the system is a sentence."""
    try:
        yield
    except OSError as error:
        raise ChunkwiseError(
            f"{error.filename} cannot be read: {error.strerror}",
            "Nothing was changed. Run it again when that can be read.",
        ) from error


def text_in(file: Path) -> str:
    """With any ends of lines; bytes that are no UTF-8 are nothing of Chunkwise's."""
    return file.read_text(encoding="utf-8", errors="replace")


def _time(version: str) -> datetime:
    """Raises ValueError."""
    if len(version) != DIGITS_OF_A_TIME:
        raise ValueError(version)
    return datetime.strptime(version, TIME).replace(tzinfo=UTC)


def _is_snippet(path: str) -> bool:
    return Path(path).is_relative_to(SNIPPETS)


def _unfinished(file: Path) -> Path:
    """Neither the CLI nor `migrations` takes it for one of theirs."""
    return file.with_name(f".{file.name}.unfinished")


def _make_folder(folder: Path, made: list[Path]) -> None:
    """With those above it; what was missing is added, the deepest last."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir()
            made.append(path)


def _take_back(before: Mapping[Path, bytes | None], made: Sequence[Path]) -> None:
    """What was in a place, and what was not there at all."""
    for place, old in before.items():
        with suppress(OSError):
            if old is None:
                place.unlink()
            else:
                place.write_bytes(old)
    for path in reversed(made):
        with suppress(OSError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
