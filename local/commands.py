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

from local.folders import CHECKOUT, StackFolder, stack_folders
from local.process import Child, StartError
from local.stack import Stack
from local.state import Grants

READY = "the stack is ready"
Name = Annotated[str, typer.Option(help="Which stack.")]
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def up(
    name: Name = "local",
    grants: Annotated[Grants, typer.Option(help="Era of the default grants.")] = "new",
    fsync: Annotated[bool, typer.Option(help="Survive a crash of the machine.")] = True,
    while_pid: Annotated[int, typer.Option(help="Stop when this process ends.")] = 0,
) -> None:
    """Start a stack in the background; does nothing if it runs."""
    try:
        ensure_running(name, grants=grants, fsync=fsync, while_pid=while_pid)
    except StartError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None


@app.command()
def down(name: Name = "local") -> None:
    """Stop a stack that `up` has started."""
    stop(name)


@app.command()
def env(name: Name = "local") -> None:
    """Print the settings of a running stack, as `.env.local` has them."""
    typer.echo(environment(name), nl=False)


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
    for folder in list(stack_folders()):
        stop(folder.root.name)
        shutil.rmtree(folder.root)


@app.command(hidden=True)
def hold(
    name: Annotated[str, typer.Argument()],
    grants: Annotated[Grants, typer.Argument()],
    fsync: Annotated[bool, typer.Argument()],
    while_pid: Annotated[int, typer.Argument()],
) -> None:
    """Run a stack in this process until told to stop, or until another process ends."""
    signal.signal(signal.SIGTERM, _leave)
    watched = [os.pidfd_open(while_pid)] if while_pid else []
    with Stack.start(name, grants=grants, fsync=fsync) as stack:
        stack.serve()
        _holder_file(stack.folder).write_text(str(os.getpid()))
        typer.echo(READY)
        select.select(watched, [], [])


def ensure_running(name: str, *, grants: Grants, fsync: bool, while_pid: int) -> None:
    """Start a stack in a process of its own unless it runs. Raises StartError."""
    folder = StackFolder.of(name)
    with folder.turn():
        if folder.is_running():
            return
        log = folder.root.with_name(f".{name}.log")
        with log.open("wb") as output:
            holder = subprocess.Popen(
                [sys.executable, "-m", "local.stack", "hold", name, grants, str(fsync),
                 str(while_pid)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        Child("stack", holder, log).wait_until(lambda: READY in log.read_text())


def stop(name: str) -> None:
    """End the process that holds a stack, and wait for it; does nothing if none does."""
    folder = StackFolder.of(name)
    with folder.turn(), contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if not folder.is_running():
            return
        holder = os.pidfd_open(int(_holder_file(folder).read_text()))
        signal.pidfd_send_signal(holder, signal.SIGTERM)
        select.select([holder], [], [])
        os.close(holder)


def environment(name: str) -> str:
    """The settings with which `chunkwise` and the Supabase client reach a running stack."""
    stack = Stack.attach(name)
    values = {
        "SUPABASE_URL": f"http://127.0.0.1:{stack.state.api_port}",
        "SUPABASE_PUBLISHABLE_KEY": stack.state.keys.publishable,
        "SUPABASE_SECRET_KEY": stack.state.keys.secret,
        "DATABASE_URL": stack.dsn(),
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _holder_file(folder: StackFolder) -> Path:
    return folder.root / "holder.pid"


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    app()
