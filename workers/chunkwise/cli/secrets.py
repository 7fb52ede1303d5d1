"""Keys that a person hands to a command: read without an echo, masked in every error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from chunkwise.errors import ChunkwiseError, SettingsError
from chunkwise.secret import Secret, mask


def read_key(workspace: str) -> Secret:
    key = os.environ.get("CHUNKWISE_WORKSPACE_KEY", "")
    if not key and sys.stdin.isatty():
        key = typer.prompt(f"API key of {workspace}", hide_input=True, err=True)
    elif not key:
        key = sys.stdin.readline()
    key = key.strip()
    if not key:
        raise SettingsError(
            f"no API key for {workspace}",
            "Set CHUNKWISE_WORKSPACE_KEY, type it at the prompt, or send it to standard input.",
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
