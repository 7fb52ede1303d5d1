"""Writes supabase/migrations from supabase/schemas, the schema's source.

The engine's files make one migration, Email Bison's another: one file is one transaction, so a push
that cannot go through changes nothing. Each begins with a look at what would be in its way. They
install Chunkwise where it is not; `local.upgrade` writes what leads there from the last release.

    python -m local.migration            write them
    python -m local.migration --check    exit code 1 if they are not what would be written
"""

import re
import sys
from pathlib import Path

from local.folders import CHECKOUT
from local.guard import OF_THE_ENGINE, OF_THE_PLATFORM, keep_legacy, names_guard

SCHEMAS = CHECKOUT / "supabase" / "schemas"
MIGRATIONS = CHECKOUT / "supabase" / "migrations"
LEGACY = CHECKOUT / "supabase" / "legacy"
FOLDERS = (MIGRATIONS, LEGACY)
KEEP_LEGACY = CHECKOUT / "local" / "sql" / "keep_legacy.sql"
ENGINE = "20261122080000_chunkwise.sql"
EMAIL_BISON = "20261122080100_chunkwise_email_bison.sql"
PACKAGE = CHECKOUT / "workers" / "chunkwise" / "__init__.py"
VERSION = re.compile(r'(?m)^VERSION: Final = "([^"]+)"$')
# Stands in the schemas for the number of the release.
MARK = "@release@"
# Generated functions are made anew by the generator as it now is. PostgREST serves the schema that
# it has read, until it is told.
FOOTER = "select sync.regenerate_upserts();\n\nnotify pgrst, 'reload schema';\n"
HEADER = "-- Made from supabase/schemas by `make migration`. Edit those files, not this one.\n"


def migrations() -> dict[str, str]:
    """What each migration holds, by its file name."""
    parts: dict[str, list[str]] = {ENGINE: [], EMAIL_BISON: []}
    for path in sorted(SCHEMAS.glob("*.sql")):
        parts[EMAIL_BISON if "_email_bison" in path.stem else ENGINE].append(path.read_text())
    bodies = {name: "\n".join(texts).replace(MARK, release()) for name, texts in parts.items()}
    guards = {ENGINE: OF_THE_PLATFORM, EMAIL_BISON: OF_THE_ENGINE.format(release=release())}
    return {
        name: "\n".join([HEADER, guards[name], names_guard(body), body, FOOTER])
        for name, body in bodies.items()
    }


def release() -> str:
    """The number of the release that the schemas will be; its one source is the package."""
    (number,) = VERSION.findall(PACKAGE.read_text())
    return str(number)


def legacy() -> str:
    """What `chunkwise init --keep-legacy` puts before them."""
    return keep_legacy(KEEP_LEGACY.read_text(), *migrations().values())


def files() -> dict[Path, str]:
    """All that is written."""
    made = {MIGRATIONS / name: text for name, text in migrations().items()}
    return made | {LEGACY / "email_bison.sql": legacy()}


def out_of_date() -> list[Path]:
    """Files that are missing, differ, or are not made from the schemas."""
    made = files()
    found = {path: path.read_text() for folder in FOLDERS for path in folder.glob("*.sql")}
    return sorted(path for path in found | made if found.get(path) != made.get(path))


def write() -> None:
    """Write them; files of other names go."""
    made = files()
    for path in out_of_date():
        text = made.get(path)
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def main() -> None:
    if "--check" not in sys.argv[1:]:
        write()
    elif paths := out_of_date():
        names = ", ".join(f"{path.relative_to(CHECKOUT)}" for path in paths)
        sys.exit(f"{names}: run `make migration`.")


if __name__ == "__main__":
    main()
