"""`python -m local.stack`: a stack that outlives the command, held by a process of its own."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from local.folders import CHECKOUT, StackError, StackFolder, checkout_folder, stack_folders
from local.process import Child
from local.stack import Stack
from local.state import Grants

READY = "the stack is ready"
# The first start makes a cluster and pushes every migration.
BUILD_TIMEOUT_SECONDS = 300.0
Name = Annotated[str, typer.Option(help="Which stack.")]
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def up(
    name: Name = "local",
    grants: Annotated[Grants, typer.Option(help="Era of the default grants.")] = "new",
    fsync: Annotated[bool, typer.Option(help="Survive a crash of the machine.")] = True,
) -> None:
    """Start a stack in the background; does nothing if it runs."""
    folder = StackFolder.of(name)
    with folder.turn():
        if folder.is_running():
            return
        log = folder.root.with_name(f".{name}.log")
        with log.open("wb") as output:
            holder = subprocess.Popen(
                [sys.executable, "-m", "local.stack", "hold", name, grants, str(fsync)],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child = Child("stack", holder, log)
        child.wait_until(lambda: READY in log.read_text(), BUILD_TIMEOUT_SECONDS)


@app.command()
def down(name: Name = "local") -> None:
    """Stop a stack that `up` has started."""
    folder = StackFolder.of(name)
    with folder.turn():
        _stop_holder(folder)


@app.command()
def env(name: Name = "local") -> None:
    """Print the settings with which programs reach a stack that `up` has started."""
    stack = Stack.attach(name)
    typer.echo(f"SUPABASE_URL=http://127.0.0.1:{stack.state.api_port}")
    typer.echo(f"SUPABASE_PUBLISHABLE_KEY={stack.state.keys.publishable}")
    typer.echo(f"SUPABASE_SECRET_KEY={stack.state.keys.secret}")
    typer.echo(f"DATABASE_URL={stack.dsn()}")


@app.command(context_settings={"ignore_unknown_options": True})
def cli(arguments: Annotated[list[str], typer.Argument()], name: Name = "local") -> None:
    """Run the Supabase CLI on a stack, started for it if it does not run: `cli -- db lint`."""
    folder = StackFolder.of(name)
    with Stack.attach(name) if folder.is_running() else Stack.start(name) as stack:
        command = stack.project.command(arguments)
        raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def erase() -> None:
    """Stop every stack of this checkout and remove its data."""
    for folder in stack_folders():
        _stop_holder(folder)
        lock = folder.lock()
        shutil.rmtree(folder.root)
        os.close(lock)
    shutil.rmtree(checkout_folder())


@app.command(hidden=True)
def hold(
    name: Annotated[str, typer.Argument()],
    grants: Annotated[Grants, typer.Argument()],
    fsync: Annotated[bool, typer.Argument()],
) -> None:
    """Run a stack in this process until told to stop."""
    signal.signal(signal.SIGTERM, _leave)
    with Stack.start(name, grants=grants, fsync=fsync) as stack:
        stack.serve()
        stack.deliver()
        _holder_file(stack.folder).write_text(str(os.getpid()))
        typer.echo(READY)
        signal.pause()


def _stop_holder(folder: StackFolder) -> None:
    """End the process that `up` has started, and wait for it; does nothing if there is none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = int(_holder_file(folder).read_text())
        holder = os.pidfd_open(pid)
        # The file may have outlived its process, and another one got the number.
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"hold" in words and folder.root.name.encode() in words:
            signal.pidfd_send_signal(holder, signal.SIGTERM)
            select.select([holder], [], [])
        os.close(holder)


def _holder_file(folder: StackFolder) -> Path:
    return folder.root / "holder.pid"


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    try:
        app()
    except StackError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
