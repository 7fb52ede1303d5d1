"""`/healthz` and `/metrics` without a database behind them."""

import socket
import time
from collections import Counter

import httpx
from starlette.applications import Starlette

from chunkwise.gateway.client import Gateway
from chunkwise.metrics import Counts, Metrics, new_fetch_histogram
from chunkwise.secret import Secret
from chunkwise.worker.monitoring import Monitor


async def test_health_is_503_while_the_database_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with Gateway.connect(f"http://127.0.0.1:{port}", Secret("sb_secret_x")) as gateway:
        gone = await get(monitor(gateway), "/healthz")
        gateway.answered_at = time.monotonic()
        answered_just_now = await get(monitor(gateway), "/healthz")
        figures = await get(monitor(gateway), "/metrics")

    assert (gone.status_code, gone.json()["status"]) == (503, "database_unreachable")
    assert "sb_secret_x" not in gone.text
    assert answered_just_now.json() == {"status": "ok"}
    assert "chunkwise_database_up 0.0" in figures.text
    assert 'chunkwise_looks_total{reason="start",result="found"} 2.0' in figures.text
    assert 'chunkwise_fetch_seconds_count{outcome="page"} 1.0' in figures.text
    assert "chunkwise_leases_held 3.0" in figures.text


async def test_figures_are_for_who_may_read_them() -> None:
    async with Gateway.connect("http://127.0.0.1:9", Secret("sb_secret_x")) as gateway:
        routes = monitor(gateway).routes(may_read=lambda request: "ticket" in request.headers)
        async with client(Starlette(routes=routes)) as http:
            refused = await http.get("/metrics")
            shown = await http.get("/metrics", headers={"ticket": "yes"})
    assert (refused.status_code, refused.text, shown.status_code) == (401, "", 200)


def monitor(gateway: Gateway) -> Monitor:
    fetches = new_fetch_histogram()
    fetches.labels("page").observe(0.2)
    counters = {"looks": Counter({"start_found": 2}), "outcomes": Counter({"completed": 1})}
    return Monitor(gateway, Metrics(gateway, Counts(fetches, lambda: 3, counters)))


async def get(monitor: Monitor, path: str) -> httpx.Response:
    app = Starlette(routes=monitor.routes(may_read=lambda _: True))
    async with client(app) as http:
        return await http.get(path)


def client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker")
