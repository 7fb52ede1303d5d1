"""Chunkwise's worker and the operator's commands."""

from typing import Final

VERSION: Final = "0.2.0"
PROTOCOL_VERSION: Final = 2
SCHEMA_VERSION: Final = 1
