"""Processes that a program under test may leave behind."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36

LeftBehind = Callable[[], list[str]]


@contextmanager
def watched_orphans() -> Iterator[LeftBehind]:
    """Orphans of programs that this test runs come to this process: the ones that live."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = set(_children())
    try:
        yield lambda: [_command(pid) for pid in _children() if pid not in before and _command(pid)]
    finally:
        _reap(set(_children()) - before)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


def _reap(orphans: set[int]) -> None:
    for orphan in orphans:
        with suppress(ChildProcessError):
            os.waitpid(orphan, os.WNOHANG)


def _children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _command(pid: int) -> str:
    """Empty for a process that has ended and was not waited for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
