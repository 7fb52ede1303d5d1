"""The command line: which commands there are, and how errors end them."""

import sys

import typer

from chunkwise.cli import doctor, keys, status, steer, sync, worker, workspaces
from chunkwise.cli.output import printable
from chunkwise.errors import ChunkwiseError

EPILOG = (
    "Exit codes: 0 done (with --watch: the job completed); 1 refused, or the job did not complete;"
    " 2 a setting, an option or the connection; 3 schema and program do not fit together."
    " Settings: SUPABASE_URL, SUPABASE_SECRET_KEY, CHUNKWISE_*; doctor: DATABASE_URL too."
)


def build() -> typer.Typer:
    app = typer.Typer(
        name="chunkwise",
        help="Keeps Postgres on Supabase in step with paginated APIs.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.command("worker")(worker.worker)
    app.command("sync")(sync.sync)
    app.command("status")(status.status)
    app.command("cancel")(steer.cancel)
    app.command("retry")(steer.retry)
    app.command("approve")(steer.approve)
    app.command("pause")(steer.pause)
    app.command("resume")(steer.resume)
    app.command("doctor")(doctor.doctor)
    app.add_typer(keys.build(), name="keys")
    app.add_typer(workspaces.build(), name="workspaces")
    return app


def main() -> None:
    try:
        build()()
    except ChunkwiseError as error:
        print(printable(f"chunkwise: {error.message}"), file=sys.stderr)
        if error.hint:
            print(printable(error.hint), file=sys.stderr)
        sys.exit(error.exit_code)
