"""`chunkwise streams list|declare|export|try`: what is read from which API, in files."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from chunkwise.cli.declaration_file import read_declaration
from chunkwise.cli.output import JsonOption, Row, counted, print_json, print_table, tell
from chunkwise.cli.question import ask
from chunkwise.cli.stream_try import try_streams
from chunkwise.errors import ChunkwiseError, SettingsError
from chunkwise.operator.client import Operator
from chunkwise.texts import as_json as in_json
from chunkwise.texts import printable

COLUMNS = {
    "source": "source",
    "auth": "auth",
    "stream": "stream",
    "completeness": "completeness",
    "request": "request",
    "page_size": "page size",
    "parent": "of each",
    "table": "table",
    "is_default": "default",
    "revision": "revision",
}
MIGRATION: Final = "chunkwise_streams.sql"


def build() -> typer.Typer:
    app = typer.Typer(help="Declare what is read from which API.", no_args_is_help=True)
    app.command("list")(list_streams)
    app.command("declare")(declare)
    app.command("export")(export)
    app.command("try")(try_streams)
    return app


def list_streams(as_json: JsonOption = False) -> None:
    """List all streams: what is read from each source, and how.

    Exit codes: 0 done, 2 a setting or the connection, 3 schema and program do not fit together.
    """

    async def rows_of(operator: Operator) -> list[Row]:
        sources = {source["id"]: source for source in await operator.sources()}
        streams = await operator.streams()
        return [_row(stream, sources[stream["source_id"]]) for stream in streams]

    rows = ask(rows_of)
    if as_json:
        print_json(rows)
    elif rows:
        print_table(None, COLUMNS, rows)
    else:
        print("There is no stream yet. Declare one with `chunkwise streams declare FILE`.")


def declare(
    file: Annotated[Path, typer.Argument(help="JSON or YAML: a source with its streams.")],
    is_agreed: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a file would change in a source and its streams, ask, and change it.

    It changes everything or nothing; streams that the file does not name stay as they are. Exit
    codes: 0 done, or nothing to change; 1 refused, or not confirmed; 2 a setting, the file or the
    connection; 3 schema and program do not fit together.
    """
    declaration = read_declaration(file)
    answer = ask(lambda operator: operator.apply_declaration(declaration, is_trial=True))
    if not answer["changes"]:
        tell(answer, f"{file} changes nothing.", as_json)
        return
    if not as_json:
        print("\n".join(printable(line) for line in _told(answer)))
    if not is_agreed:
        if as_json or not sys.stdin.isatty():
            if as_json:
                print_json(answer)
            raise ChunkwiseError("nothing was declared", "Add --yes to declare it.")
        typer.confirm("Declare this?", abort=True)
    answer = ask(lambda operator: operator.apply_declaration(declaration, is_trial=False))
    tell(answer, f"{answer['source_name']} is declared.", as_json)


def export(
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="A file that does not exist yet, or the folder of your migrations."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what is declared as a migration, for new databases and branches.

    Exit codes: 0 done, 1 refused, 2 a setting, the file or the connection, 3 schema and program do
    not fit together.
    """
    answer = ask(lambda operator: operator.get_declarations(source))
    if as_json:
        print_json(answer)
        return
    text = "\n".join(_statements(answer["declarations"]))
    if to is None:
        print(text)
        return
    path = to / f"{datetime.now(UTC):%Y%m%d%H%M%S}_{MIGRATION}" if to.is_dir() else to
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error}", "Choose another path.") from None
    print(f"{path} declares {counted(len(answer['declarations']), 'source')}.")


def _row(stream: Row, source: Row) -> Row:
    auth = source["auth"]
    return {
        "source": source["source_name"],
        "auth": f"{auth} ({source['token_auth']})" if auth.startswith("oauth2") else auth,
        "stream": stream["stream_name"],
        "completeness": stream["completeness"],
        "request": f"{stream['method']} {stream['path']}",
        "page_size": stream["page_size"],
        "parent": stream["parent_stream"],
        "table": stream["target_table"],
        "is_default": stream["is_default"],
        "revision": stream["revision"],
    }


def _told(answer: Row) -> Iterator[str]:
    """What would change, a line for each field."""
    for change in answer["changes"]:
        is_new = change["is_new"]
        yield f"{change['what']} {change['name']}{' (new)' if is_new else ''}"
        for field in change["fields"]:
            old = "" if is_new else f"{in_json(field['old'])} → "
            yield f"  {field['field']}: {old}{in_json(field['new'])}"
        if change["live_runs"]:
            begins = "begins" if change["live_runs"] == 1 else "begin"
            yield f"  {counted(change['live_runs'], 'live run')} {begins} again"
    if answer["untouched"]:
        yield f"Not in the file, and unchanged: {', '.join(answer['untouched'])}"


def _statements(declarations: list[Row]) -> Iterator[str]:
    yield "-- What is read from which API, written by `chunkwise streams export`. Streams that are"
    yield "-- already declared this way stay as they are."
    for declaration in declarations:
        yield ""
        yield _call("declare_source", declaration["source"])
        for stream in declaration["streams"]:
            yield _call("declare_stream", stream)


def _call(function: str, argument: object) -> str:
    text = json.dumps(argument, ensure_ascii=False, indent=2)
    tag = "declaration"
    while f"${tag}$" in text:
        tag += "_"
    return f"select public.{function}(${tag}${text}${tag}$);"
