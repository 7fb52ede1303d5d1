"""Run by `local.net.deliverer`, with the database's URL in the environment."""

import asyncio
import os
import signal
import sys

from pg8000.exceptions import Error

from local.net.deliverer import READY
from local.net.delivery import Delivery, RestartError
from local.net.queue import RequestQueue
from local.net.sending import http_client

RECONNECT_SECONDS = 0.2


async def deliver(dsn: str) -> None:
    """As pg_net's worker does, come back after every crash of the server."""
    while True:
        try:
            async with RequestQueue.connect(dsn) as queue, http_client() as client:
                print(READY, flush=True)
                if not await queue.is_stand_in():
                    print("the server has the real pg_net, which delivers by itself", flush=True)
                    return
                await Delivery(queue, client).run()
        except RestartError:
            print("restarting, as asked", file=sys.stderr, flush=True)
        except (Error, OSError) as error:
            print(f"no database: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(RECONNECT_SECONDS)


async def main() -> None:
    task = asyncio.ensure_future(deliver(os.environ["NET_DSN"]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    asyncio.run(main())
