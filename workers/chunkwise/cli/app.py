"""The command line: which commands there are, and how errors end them."""

import sys
from typing import Annotated

import typer

from chunkwise import PROTOCOL_VERSION, SCHEMA_VERSION, VERSION
from chunkwise.cli import (
    budgets,
    config,
    dashboard,
    doctor,
    install,
    keys,
    operators,
    status,
    steer,
    streams,
    sync,
    worker,
    workspaces,
)
from chunkwise.cli.advice import in_commands
from chunkwise.errors import ChunkwiseError
from chunkwise.texts import printable

EPILOG = (
    "Exit codes: 0 done (with --watch: the job completed); 1 refused, or the job did not complete;"
    " 2 a setting, an option or the connection; 3 schema and program do not fit together."
    " Settings: SUPABASE_URL, SUPABASE_SECRET_KEY, CHUNKWISE_*; doctor: DATABASE_URL too;"
    " dashboard: SUPABASE_PUBLISHABLE_KEY in place of the secret one."
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"chunkwise {VERSION} (schema {SCHEMA_VERSION}, protocol {PROTOCOL_VERSION})")
        raise typer.Exit


def build() -> typer.Typer:
    app = typer.Typer(
        name="chunkwise",
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(chunkwise)
    app.command("init")(install.init)
    app.command("upgrade")(install.upgrade)
    app.command("worker")(worker.worker)
    app.command("sync")(sync.sync)
    app.command("status")(status.status)
    app.command("cancel")(steer.cancel)
    app.command("retry")(steer.retry)
    app.command("approve")(steer.approve)
    app.command("pause")(steer.pause)
    app.command("resume")(steer.resume)
    app.command("doctor")(doctor.doctor)
    app.command("config")(config.config)
    app.command("dashboard")(dashboard.dashboard)
    app.add_typer(keys.build(), name="keys")
    app.add_typer(operators.build(), name="operators")
    app.add_typer(workspaces.build(), name="workspaces")
    app.add_typer(streams.build(), name="streams")
    app.add_typer(budgets.build(), name="budgets")
    return app


def chunkwise(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show versions and end."
        ),
    ] = False,
) -> None:
    """Keeps Postgres on Supabase in step with paginated APIs."""


def main() -> None:
    try:
        build()()
    except ChunkwiseError as error:
        print(printable(f"chunkwise: {in_commands(error.message)}"), file=sys.stderr)
        if error.hint:
            print(printable(in_commands(error.hint)), file=sys.stderr)
        sys.exit(error.exit_code)
