"""`chunkwise worker`."""

import asyncio
import signal
from dataclasses import replace
from typing import Annotated

import typer

from workers import logs
from workers.connection import connected
from workers.fetch import Fetcher
from workers.settings import MAX_CONCURRENCY, Settings, ahead_of
from workers.worker import Worker


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_CONCURRENCY, help="Requests in flight; else CHUNKWISE_CONCURRENCY, 16."
        ),
    ] = None,
) -> None:
    """Fetch pages until SIGTERM or Ctrl-C; then finish what was sent and hand back the rest.

    Exit codes: 0 stopped, 2 a setting or the connection, 3 schema and program do not fit together.
    """
    settings = Settings.from_env()
    if concurrency is not None:
        settings = replace(settings, concurrency=concurrency, claim_ahead=ahead_of(concurrency))
    logs.configure(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    async with (
        connected(settings) as gateway,
        Fetcher.open(settings.concurrency) as fetcher,
    ):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await Worker(settings, gateway, fetcher, stop).run()
