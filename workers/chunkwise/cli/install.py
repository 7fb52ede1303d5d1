"""`chunkwise init` and `chunkwise upgrade`: the migrations in a Supabase project."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from chunkwise import VERSION
from chunkwise.install.carried import Carried
from chunkwise.install.project import LOCK, Project
from chunkwise.install.steps import Written, install
from chunkwise.install.steps import upgrade as write_upgrade

FolderArgument = Annotated[
    Path,
    typer.Argument(
        metavar="[DIR]",
        help="The project's folder, or a folder inside it.",
        exists=True,
        file_okay=False,
    ),
]
HERE: Final = Path()
EDGE_FUNCTIONS: Final = (
    "poll-sender-emails",
    "background-sync-processor",
    "sync-threads-page-worker",
    "sync-threads-processor",
)


def init(
    folder: FolderArgument = HERE,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Also add a source that has tables of its own: email_bison."),
    ] = None,
    keep_legacy: Annotated[
        bool,
        typer.Option(
            "--keep-legacy", help="First move an old poller's tables to the schema legacy."
        ),
    ] = False,
) -> None:
    """Add Chunkwise's migrations to a Supabase project, after its own.

    It works offline, asks no question and pushes nothing. It creates supabase/config.toml if there
    is none. Exit codes: 0 done; 1 refused, nothing is written.
    """
    project = Project.find(folder)
    written = install(
        project, Carried.here(), source or [], datetime.now(UTC), keep_legacy=keep_legacy
    )
    _print(written)
    if keep_legacy:
        print("Before you push, delete the Edge Functions that write to the old tables:")
        for name in EDGE_FUNCTIONS:
            print(f"  npx supabase functions delete {name}")
    print(_next(written))
    print("  npx supabase link --project-ref <ref>")
    print("  npx supabase db push --remote")
    if keep_legacy:
        print("  select import_client_registry();   -- in the SQL editor")
    else:
        print("  chunkwise operators add <your email address>")


def upgrade(folder: FolderArgument = HERE) -> None:
    """Add the migrations that lead from the project's release to this program's.

    If a file of Chunkwise's was edited, it is named and nothing is written. Exit codes: 0 done, or
    nothing to upgrade; 1 refused, nothing is written.
    """
    written = write_upgrade(Project.find(folder), Carried.here(), datetime.now(UTC))
    if not written.paths:
        print(f"The project has Chunkwise {VERSION}, the release of this program: nothing to do.")
        return
    print(f"From Chunkwise {written.version} to {VERSION}:")
    _print(written)
    print(_next(written))
    print("  npx supabase db push --remote")
    print(f"  Install the wheel of {VERSION} where workers run, and restart them.")
    print("  chunkwise doctor")


def _print(written: Written) -> None:
    folder = Path() if _is_here(written) else written.root
    for path in (*written.paths, f"{LOCK}"):
        print(f"Wrote {folder / path}")


def _next(written: Written) -> str:
    return "Next:" if _is_here(written) else f"Next, in {written.root}:"


def _is_here(written: Written) -> bool:
    return written.root == Path.cwd()
