"""Statements that run in the background, and waiting for locks instead of for time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from tests.support.db import Db

PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 0.002
T = TypeVar("T")


def in_background(work: Callable[[], T]) -> "Future[T]":
    """Run it in a thread of its own; `result()` gives its answer or raises its error."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # result() raises it where it is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def answer_of(future: "Future[T]") -> T:
    """What the background work answers; a hang is a failure."""
    return future.result(PATIENCE_SECONDS)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Look until it is so; fail, naming it, when that takes longer than anybody's patience."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(LOOK_SECONDS)


def wait_until_blocked(watch: Db, blocked: Db, by: Db) -> None:
    """Return when `blocked` waits for a lock that `by` holds or waits for before it."""
    wait_until(
        lambda: bool(
            watch.value(
                "select cast(:by as int) = any (pg_blocking_pids(cast(:pid as int)))",
                by=by.pid,
                pid=blocked.pid,
            )
        ),
        f"backend {blocked.pid} waits for backend {by.pid}",
    )


def start_until_blocked(watch: Db, actor: Db, work: Callable[[], T]) -> "Future[T]":
    """Start work on the actor's connection; return when it is done or waits for any lock."""
    future = in_background(work)
    wait_until(
        lambda: (
            future.done()
            or bool(
                watch.value(
                    "select cardinality(pg_blocking_pids(cast(:pid as int))) > 0", pid=actor.pid
                )
            )
        ),
        f"backend {actor.pid} is done or waits for a lock",
    )
    return future
