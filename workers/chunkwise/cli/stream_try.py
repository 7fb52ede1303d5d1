"""`chunkwise streams try`: what the API answers to a declaration, before anything is declared."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Protocol
from urllib.parse import urlencode

import typer

from chunkwise.cli.declaration_file import read_declaration
from chunkwise.cli.output import JsonOption, Row, counted, print_json
from chunkwise.cli.question import ask
from chunkwise.errors import DatabaseError, SettingsError
from chunkwise.gateway.protocol import Json
from chunkwise.texts import as_json as in_json
from chunkwise.texts import printable

LOOK_S: Final = 0.3
PATIENCE_S: Final = 6.0
WAITING: Final = "waiting"
NOTHING_TO_READ: Final = "SY005"


def try_streams(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|STREAM", help="A declaration, or the name of a declared stream."
        ),
    ],
    workspace: Annotated[str, typer.Option(help="The workspace whose key is used.")],
    stream: Annotated[
        list[str] | None, typer.Option(help="Try only this stream of the file; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Request pages 1 and 2 and one record as a sync would, and name what contradicts the file.

    A worker sends the requests, within the budget; nothing is declared, no record is written. Exit
    codes: 0 no complaint; 1 complaints, refused, or the API does not answer; 2 a setting, the file
    or the connection; 3 schema and program do not fit together.
    """
    declaration, names = _asked(what, stream or [])

    answers = ask(lambda operator: try_answers(operator, declaration, workspace, names))
    if as_json:
        print_json(answers)
    else:
        for answer in answers:
            print("\n".join(printable(line) for line in lines_of(answer)))
    is_sound = all(one["status"] == "done" and not one["complaints"] for one in answers)
    raise typer.Exit(0 if is_sound else 1)


def _asked(what: str, streams: Sequence[str]) -> tuple[Json, list[str]]:
    """A declaration, and which of its streams; what looks like no file is a stream's name."""
    path = Path(what)
    if not path.suffix and not path.exists():
        if streams:
            raise SettingsError("--stream selects one stream of a file", "Name only the stream.")
        return {"stream_name": what}, [what]
    declaration = read_declaration(path)
    declared = declaration.get("streams")
    names = [
        str(one["stream_name"])
        for one in (declared if isinstance(declared, list) else [])
        if isinstance(one, dict) and "stream_name" in one
    ]
    if unknown := sorted(set(streams) - set(names)):
        raise SettingsError(f"{path} has no stream {unknown[0]!r}", f"It has: {', '.join(names)}.")
    return declaration, list(streams) or names


class Tries(Protocol):
    async def try_stream(self, declaration: Json, workspace: str, stream: str | None) -> Json: ...
    async def get_stream_try(self, try_id: int) -> Json: ...


async def try_answers(
    operator: Tries, declaration: Json, workspace: str, names: Sequence[str]
) -> list[Row]:
    """Of several streams, one that waits for records of its parents keeps no other one back."""
    answers = []
    for name in names:
        try:
            answers.append(await _tried(operator, declaration, workspace, name))
        except DatabaseError as error:
            if error.code != NOTHING_TO_READ or len(names) == 1:
                raise
            answers.append(
                {
                    "stream": name,
                    "workspace": workspace,
                    "status": "not tried",
                    "steps": [],
                    "fields": [],
                    "complaints": [],
                    "error_message": f"{error.message}; try it again after a sync of its parents",
                }
            )
    return answers


async def _tried(operator: Tries, declaration: Json, workspace: str, stream: str) -> Row:
    try_id = (await operator.try_stream(declaration, workspace, stream))["try_id"]
    waited = 0.0
    while (answer := await operator.get_stream_try(try_id))["status"] == WAITING:
        await asyncio.sleep(LOOK_S)
        waited += LOOK_S
        if PATIENCE_S <= waited < PATIENCE_S + LOOK_S and not answer["steps"]:
            why = (
                answer["error_message"] or "no worker has taken it yet; start one: chunkwise worker"
            )
            print(printable(f"waiting: {why}"), file=sys.stderr)
    return answer


def lines_of(answer: Row) -> Iterator[str]:
    complaints = answer["complaints"]
    found = counted(len(complaints), "complaint") if complaints else "no complaint"
    yield f"{answer['stream']} with the key of {answer['workspace']}: {answer['status']}, {found}"
    for step in answer["steps"]:
        yield f"  {step['step']}: {_request(step['request'])}"
        yield f"    {_answer(step)}"
    if answer["steps"]:
        planned, written = answer["planned"], answer["written"]
        size = [
            counted(planned[what], what.removesuffix("s"))
            for what in ("pages", "records")
            if planned[what] is not None
        ]
        how = ", ".join([f"{planned['completeness']} by {planned['position']}", *size])
        yield f"  a sync would read it {how}, and write to {written['table']}"
    if answer["fields"]:
        fields = (f"{field['field']} {'|'.join(field['types'])}" for field in answer["fields"])
        yield f"  fields: {', '.join(fields)}"
    for complaint in complaints:
        yield f"  {complaint['step']}, {complaint['what']}: {complaint['says']}"
    if answer["error_message"]:
        yield f"  {answer['error_message']}"


def _request(request: Row | None) -> str:
    if request is None:
        return "not sent"
    query = urlencode([(name, value) for name, value in request["params"]])
    url = f"{request['url']}{f'?{query}' if query else ''}"
    body = f" {in_json(request['body'])}" if request.get("body") is not None else ""
    return f"{request['method']} {url}{body}"


def _answer(step: Row) -> str:
    """What came, and what it says of the end; of the list's records, only ids."""
    said = [f"{step['status']}" if step["status"] else "no status"]
    if step["records"] is not None:
        said.append(counted(step["records"], "record"))
    if step["first_ids"]:
        said.append(f"first {', '.join(map(str, step['first_ids']))}")
    if step["total"] is not None:
        said.append(f"{step['total']:,} in all")
    if step["next"]:
        said.append(f"next {in_json(step['next'])}")
    if step["ends"]:
        said.append("the last one")
    return f"{', '.join(said)}; {in_json(step['shape'])}"
