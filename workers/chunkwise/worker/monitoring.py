"""`/metrics` and `/healthz` of a worker."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chunkwise.errors import ChunkwiseError
from chunkwise.gateway.client import Gateway
from chunkwise.logs import Log
from chunkwise.metrics import Metrics
from chunkwise.worker.http_server import Listener, listening_on

log = Log(__name__)

# An idle worker asks the database every 5 s at least; a receiver only when it is woken.
FRESH_SECONDS: Final = 15.0
SETTING: Final = "CHUNKWISE_METRICS_LISTEN"


class Monitor:
    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._asking = asyncio.Lock()

    def routes(self, may_read: Callable[[Request], bool]) -> list[Route]:
        """`may_read`: whose request for the figures is answered; health is for everybody."""

        async def show_metrics(request: Request) -> Response:
            if not may_read(request):
                return Response(status_code=HTTPStatus.UNAUTHORIZED)
            return await self._show_metrics()

        return [
            Route("/metrics", show_metrics, methods=["GET"]),
            Route("/healthz", self._show_health, methods=["GET"]),
        ]

    async def _show_metrics(self) -> Response:
        return Response(await self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def _show_health(self, _: Request) -> JSONResponse:
        """503 if the database does not answer; however many ask, one call at a time is made."""
        async with self._asking:
            if time.monotonic() - self._gateway.answered_at > FRESH_SECONDS:
                try:
                    await self._gateway.chunkwise_version()
                except ChunkwiseError as error:
                    wrong = {"status": "database_unreachable", "message": error.message}
                    return JSONResponse(wrong, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok"})


@contextlib.asynccontextmanager
async def monitoring(address: str | None, monitor: Monitor) -> AsyncIterator[None]:
    """Serves the monitor at HOST:PORT meanwhile; without an address not at all."""
    if address is None:
        yield
        return
    with listening_on(address, SETTING) as listening:
        app = Starlette(routes=monitor.routes(may_read=lambda _: True))
        listener = Listener(app, listening)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.serve())
            await listener.started()
            log.info("metrics_served", listen=listener.address)
            try:
                yield
            finally:
                listener.close()
