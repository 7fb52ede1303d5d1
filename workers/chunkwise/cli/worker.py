"""`chunkwise worker`."""

import asyncio
import contextlib
import signal
import sys
from typing import Annotated

import typer

from chunkwise import logs
from chunkwise.gateway.compatibility import connected
from chunkwise.settings import MAX_CONCURRENCY, Settings
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.http_server import listening_on
from chunkwise.worker.liveness import pulse
from chunkwise.worker.loop import Worker
from chunkwise.worker.monitoring import monitoring
from chunkwise.worker.receiver import Receiver


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_CONCURRENCY, help="Requests in flight; else CHUNKWISE_CONCURRENCY, 16."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Do not look for work; fetch what POSTs with CHUNKWISE_WAKE_TOKEN name.",
        ),
    ] = None,
) -> None:
    """Fetch pages until SIGTERM, Ctrl-C or an upgrade of the database's protocol; then finish what
    was sent and hand back the rest.

    Exit codes: 0 stopped, 2 a setting or the connection, 3 schema and program do not fit together.
    """
    settings = Settings.read()
    if concurrency is not None:
        settings = settings.with_concurrency(concurrency)
    if listen is not None:
        settings.required_wake_token()
    logs.configure(settings.log_level)
    # By itself a container's first process does not hear of this signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run(settings, listen))


async def _run(settings: Settings, listen: str | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if connecting := asyncio.current_task():
        loop.add_signal_handler(signal.SIGTERM, connecting.cancel)
    with contextlib.ExitStack() as resources:
        listener = None if listen is None else resources.enter_context(listening_on(listen))
        async with (
            connected(settings) as gateway,
            Fetcher.open(settings.concurrency) as fetcher,
        ):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            resources.enter_context(pulse(settings.pulse_file, gateway))
            working = (
                Worker(settings, gateway, fetcher, stop)
                if listener is None
                else Receiver(settings, gateway, fetcher, listener, stop)
            )
            async with monitoring(settings.metrics_listen, working.monitor):
                await working.run()
            if working.misfit is not None:
                raise working.misfit
