"""A folder with a Supabase project, and the lock file that says what in it is Chunkwise's."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from chunkwise.errors import ChunkwiseError

CONFIG: Final = Path("supabase", "config.toml")
LOCK: Final = Path("supabase", "chunkwise.lock")
MIGRATIONS: Final = Path("supabase", "migrations")
SNIPPETS: Final = Path("supabase", "snippets")
VERSION: Final = re.compile(r"^(\d+)_.*\.sql$")
TIME: Final = "%Y%m%d%H%M%S"


@dataclass(frozen=True, slots=True)
class Lock:
    """`files`: path from the project's folder → hash of what was written there."""

    version: str
    sources: tuple[str, ...]
    files: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        fields = json.loads(text)
        return cls(str(fields["version"]), tuple(fields["sources"]), dict(fields["files"]))

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
            return Lock.parse(path.read_text())
        except (ValueError, KeyError, TypeError) as error:
            raise ChunkwiseError(
                f"{LOCK} cannot be read", "Restore it from version control."
            ) from error

    def migrations(self) -> dict[str, Path]:
        """Path from the root → file."""
        folder = self.root / MIGRATIONS
        return {
            f"{path.relative_to(self.root)}": path
            for path in sorted(folder.glob("*.sql"))
            if VERSION.match(path.name)
        }

    def stamps(self, now: datetime, count: int) -> list[str]:
        """Versions for migrations that come after all that are here."""
        found = [VERSION.match(path.name) for path in self.migrations().values()]
        newest = max((int(match[1]) for match in found if match), default=0)
        first = now.astimezone(UTC)
        if newest >= int(f"{first:{TIME}}"):
            try:
                first = datetime.strptime(f"{newest}", TIME).replace(tzinfo=UTC)
            except ValueError:
                # A number that is no time: the next ones.
                return [f"{newest + step}" for step in range(1, count + 1)]
            first += timedelta(seconds=1)
        return [f"{first + timedelta(seconds=step):{TIME}}" for step in range(count)]

    def text_of(self, path: str) -> str | None:
        file = self.root / path
        return file.read_text() if file.is_file() else None

    def edited(self, lock: Lock) -> list[str]:
        """Files of Chunkwise's that are not as they were written; a snippet may be missing."""
        found = {path: self.text_of(path) for path in lock.files}
        return [
            path
            for path, text in found.items()
            if (digest(text) != lock.files[path] if text is not None else not _is_snippet(path))
        ]

    def write(self, texts: Mapping[str, str], lock: Lock) -> None:
        """All of them, the lock file last; what was written is taken back if one cannot be."""
        before = {path: self.text_of(path) for path in texts}
        try:
            for path, text in (*texts.items(), (f"{LOCK}", lock.text())):
                file = self.root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        except OSError as error:
            for path, old in before.items():
                _restore(self.root / path, old)
            raise ChunkwiseError(f"{error.filename} cannot be written: {error.strerror}") from error


def _is_snippet(path: str) -> bool:
    return Path(path).is_relative_to(SNIPPETS)


def _restore(file: Path, text: str | None) -> None:
    if text is None:
        file.unlink(missing_ok=True)
    elif file.read_text() != text:
        file.write_text(text)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
