"""Keys that a person hands to a command: read without an echo, masked in every error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from chunkwise.errors import ChunkwiseError, SettingsError
from chunkwise.secret import Secret, mask

VARIABLE: Final = "CHUNKWISE_WORKSPACE_KEY"


def read_key(workspace: str, variable: str | None = VARIABLE) -> Secret:
    """From an environment variable, if one is named and set; else typed, or a line of standard
    input."""
    key = os.environ.get(variable, "") if variable else ""
    if not key and sys.stdin.isatty():
        key = typer.prompt(f"API key of {workspace}", hide_input=True, err=True)
    elif not key:
        key = sys.stdin.readline()
    key = key.strip()
    if not key:
        raise SettingsError(
            f"no API key for {workspace}",
            f"Set {variable or 'a variable for key_env'}, type it at the prompt, or send it to"
            " standard input.",
        )
    return Secret(key)


@contextmanager
def masked(key: Secret) -> Iterator[None]:
    """No error that passes shows the key."""
    try:
        yield
    except ChunkwiseError as error:
        error.message = mask(error.message, [key])
        error.hint = error.hint and mask(error.hint, [key])
        raise
