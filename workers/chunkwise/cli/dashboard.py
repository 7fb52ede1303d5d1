"""`chunkwise dashboard`."""

import asyncio
import contextlib
import signal
from typing import Annotated

import typer

from chunkwise.dashboard.server import page_app
from chunkwise.settings import PageSettings
from chunkwise.worker.http_server import Listener, listening_on


def dashboard(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to serve it.")
    ] = "127.0.0.1:8787",
) -> None:
    """Serve the dashboard until SIGTERM or Ctrl-C: files and the publishable key, no secret.

    Settings: SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY. Exit codes: 0 stopped, 2 a setting, or the
    page is not built.
    """
    app = page_app(PageSettings.read())
    with listening_on(listen) as listening, contextlib.suppress(KeyboardInterrupt):
        listener = Listener(app, listening)
        print(f"The dashboard is at http://{listener.address}", flush=True)
        asyncio.run(_serve(listener))


async def _serve(listener: Listener) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, listener.close)
    await listener.serve()
