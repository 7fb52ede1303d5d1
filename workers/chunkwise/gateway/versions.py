"""Whether a project's schema and protocol are those that this program knows."""

from typing import Final

from chunkwise import PROTOCOL_VERSION, SCHEMA_VERSION
from chunkwise.errors import SCHEMA_HINT, VersionMismatchError
from chunkwise.gateway.protocol import Versions

UPDATE_HINT: Final = "Update the worker: install the wheel of the project's release."


def check_versions(versions: Versions) -> None:
    """Raises VersionMismatchError."""
    for what, theirs, ours in (
        ("protocol", versions.protocol_version, PROTOCOL_VERSION),
        ("schema", versions.schema_version, SCHEMA_VERSION),
    ):
        if theirs < ours:
            message = f"the database has {what} {theirs}, older than this program's {ours}"
            raise VersionMismatchError(message, SCHEMA_HINT)
        if theirs > ours:
            message = f"the database has {what} {theirs}, newer than this program's {ours}"
            raise VersionMismatchError(message, UPDATE_HINT)
