"""`chunkwise cancel`, `retry`, `approve`, `pause`, `resume`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from chunkwise.cli.output import JsonOption, counted, paused_line, tell
from chunkwise.cli.question import ask
from chunkwise.cli.reference import HELP, job_id
from chunkwise.gateway.protocol import Json
from chunkwise.operator.client import Operator

SourceOption = Annotated[str | None, typer.Option(help="Only this source.")]
WorkspaceOption = Annotated[str | None, typer.Option(help="Only this workspace.")]


def cancel(job: Annotated[str, typer.Argument(help=HELP)], as_json: JsonOption = False) -> None:
    """End a job: what waits is cancelled, what is in flight ends without being written.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """
    answer = ask(lambda operator: _of_job(operator, job, operator.cancel_sync_job))
    if answer["status"] == "running":
        requests = counted(answer["chunks_in_flight"], "request")
        text = f"Job {answer['job_id']} ends with {requests} now in flight."
    else:
        text = f"Job {answer['job_id']} is cancelled."
    tell(answer, text, as_json)


def retry(job: Annotated[str, typer.Argument(help=HELP)], as_json: JsonOption = False) -> None:
    """Start a new job for what of an ended one did not complete.

    Exit codes: 0 accepted, 1 refused, 2 a setting or the connection, 3 schema and program do not
    fit together.
    """
    answer = ask(lambda operator: _of_job(operator, job, operator.retry_failed_chunks))
    text = (
        f"{answer['message']} (job {answer['job_id']}, {answer['status']})\n"
        f"Watch it with: chunkwise status {answer['job_id']} --watch"
    )
    tell(answer, text, as_json)
    raise typer.Exit(0 if answer["status"] == "accepted" else 1)


def approve(
    run: Annotated[int, typer.Argument(help="The run that waits; `chunkwise status` names it.")],
    as_json: JsonOption = False,
) -> None:
    """Let the deletions happen that a run held back because there are so many.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """
    answer = ask(lambda operator: operator.approve_deletions(run))
    tell(answer, f"{counted(answer['deleted'], 'row')} deleted.", as_json)


def pause(
    source: SourceOption = None, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Hand out no more work of a source, of a workspace, or at all; what is in flight ends.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """
    answer = ask(lambda operator: operator.pause_sync(source, workspace))
    waiting = counted(answer["live_runs"], "run")
    tell(answer, f"Paused: {waiting} in progress held until `chunkwise resume`.", as_json)


def resume(
    source: SourceOption = None, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Lift the pause of a source, of a workspace, or of everything.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """

    async def resume_and_look(operator: Operator) -> Json:
        answer = await operator.resume_sync(source, workspace)
        return {**answer, "still_paused": await operator.paused()}

    answer = ask(resume_and_look)
    text = f"Resumed: {counted(answer['live_runs'], 'run')} in progress {_goes(answer)} on."
    still = paused_line(answer["still_paused"])
    tell(answer, f"{text}\n{still}" if still else text, as_json)


def _goes(answer: Json) -> str:
    return "goes" if answer["live_runs"] == 1 else "go"


async def _of_job(operator: Operator, typed: str, ask: Callable[[str], Awaitable[Json]]) -> Json:
    return await ask(await job_id(operator, typed))
