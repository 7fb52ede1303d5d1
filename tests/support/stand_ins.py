"""Tests that only a stand-in can serve."""

import pytest

from local.cluster import provided_extensions


def require_stand_in(extension: str) -> None:
    """Skip where the server has the original; the run's summary counts and names what was."""
    if extension in provided_extensions():
        pytest.skip(f"presumes the stand-in for {extension}, of which this server has the original")
