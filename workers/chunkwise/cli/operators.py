"""`chunkwise operators add|list|remove`: who may read and steer on the dashboard."""

import asyncio
import os
from typing import Annotated

import typer

from chunkwise.cli.output import JsonOption, Row, print_json, print_table, tell
from chunkwise.cli.secrets import masked
from chunkwise.operator.client import operating
from chunkwise.secret import Secret
from chunkwise.settings import Settings

EmailArgument = Annotated[str, typer.Argument(help="The user's email address.")]
COLUMNS = {"email": "email", "created_at": "since", "last_sign_in_at": "last signed in"}


def build() -> typer.Typer:
    app = typer.Typer(help="Say who may read and steer on the dashboard.", no_args_is_help=True)
    app.command("add")(add)
    app.command("list")(list_operators)
    app.command("remove")(remove)
    return app


def add(
    email: EmailArgument,
    password: Annotated[
        bool,
        typer.Option("--password", help="Also set a password; else a magic link signs in."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a user an operator: the user is created if there is none.

    The password comes from CHUNKWISE_OPERATOR_PASSWORD or from a prompt. Whoever is signed in
    already signs in again. Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema
    and program do not fit together.
    """
    settings = Settings.read()
    secret = _password(email) if password else None
    with masked(secret or Secret("")):
        answer = asyncio.run(_add(settings, email, secret))
    made = "created and made an operator" if answer["created"] else "is an operator now"
    tell(answer, f"{answer['email']} {made}.", as_json)


def list_operators(as_json: JsonOption = False) -> None:
    """List the operators.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """
    asyncio.run(_list(Settings.read(), as_json))


def remove(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Take the role from a user, who stays a user; a token already given lasts up to an hour.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit.
    """
    answer = asyncio.run(_remove(Settings.read(), email))
    tell(answer, f"{answer['email']} is no operator any more.", as_json)


def _password(email: str) -> Secret:
    given = os.environ.get("CHUNKWISE_OPERATOR_PASSWORD", "")
    return Secret(given or typer.prompt(f"Password of {email}", hide_input=True, err=True))


async def _add(settings: Settings, email: str, password: Secret | None) -> Row:
    async with operating(settings) as operator:
        return await operator.add_operator(email, password)


async def _list(settings: Settings, as_json: bool) -> None:
    async with operating(settings) as operator:
        found = await operator.operators()
    if as_json:
        print_json(found)
    elif found:
        print_table(None, COLUMNS, found)
    else:
        print("There is no operator: chunkwise operators add EMAIL makes one.")


async def _remove(settings: Settings, email: str) -> Row:
    async with operating(settings) as operator:
        return await operator.remove_operator(email)
