"""The SQL that travels with the program: nothing is fetched."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

PACKAGE: Final = Path(__file__).resolve().parents[1]
ENGINE: Final = "chunkwise"
# The guard of names, which looks for what is in the way, at the head of a migration.
NAMES: Final = re.compile(r"(?ms)^-- chunkwise: look first\ndo \$names\$\n.*?^end; \$names\$;\n")
# The guard that looks for a Supabase database without Chunkwise.
PLATFORM: Final = re.compile(
    r"(?ms)^-- chunkwise: look first\ndo \$platform\$\n.*?^end; \$platform\$;\n"
)
STAMP: Final = re.compile(r"^\d+_")


@dataclass(frozen=True, slots=True)
class Carried:
    """Texts by their names. `migrations` install, `upgrades` lead to a release from the one before
    it, `released` are hashes of what earlier releases shipped, `legacy` moves an old poller out of
    the way of a source's tables."""

    migrations: Mapping[str, str]
    snippets: Mapping[str, str]
    upgrades: Mapping[tuple[str, str], str]
    released: Mapping[str, Mapping[str, str]]
    legacy: Mapping[str, str]

    @classmethod
    def here(cls) -> Self:
        return cls.of(_folder())

    @classmethod
    def of(cls, folder: Path) -> Self:
        upgrades = {}
        for path in sorted((folder / "upgrades").glob("*.sql")):
            version, _, name = path.stem.partition("_")
            upgrades[version, name] = path.read_text(encoding="utf-8")
        return cls(
            {STAMP.sub("", name): text for name, text in _texts(folder / "migrations").items()},
            _texts(folder / "snippets"),
            upgrades,
            json.loads((folder / "upgrades" / "releases.json").read_text(encoding="utf-8")),
            _texts(folder / "legacy"),
        )

    @property
    def sources(self) -> list[str]:
        """Those that have a migration of their own."""
        prefix = f"{ENGINE}_"
        return sorted(n.removeprefix(prefix) for n in self.migrations if n.startswith(prefix))

    @property
    def later(self) -> list[str]:
        """Releases that an upgrade leads to, oldest first."""
        return sorted({version for version, _ in self.upgrades}, key=numbers)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def migration_of(source: str) -> str:
    return f"{ENGINE}_{source}"


def names_guards(*texts: str) -> str:
    return "\n".join(guard for text in texts for guard in NAMES.findall(text))


def platform_guard(engine: str) -> str:
    (guard,) = PLATFORM.findall(engine)
    return str(guard)


def _folder() -> Path:
    """Inside the package as it is installed, beside it in a checkout."""
    inside = PACKAGE / "supabase"
    return inside if inside.is_dir() else PACKAGE.parents[1] / "supabase"


def _texts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}
