"""`/metrics` and `/healthz` of workers: what a worker counts, and the figures of queue_health."""

import asyncio
import json
import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chunkwise.metrics import QUEUE_FIGURES
from local.bison import BisonControl, Status
from tests.e2e.receivers import TOKEN, receiver_process
from tests.e2e.world import LOOK_S, PATIENCE_S, World

ANY_PORT = "127.0.0.1:0"


async def test_the_figures_are_those_of_queue_health(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    await bison.fault(Status(status=500, retry_after_s=600), workspace="zen", page=1, times=None)
    async with world.worker_processes(1, CHUNKWISE_METRICS_LISTEN=ANY_PORT) as (log,):
        # Its first look has found nothing.
        await world.until(lambda: world.db.value("select count(*) from sync.workers") == 1)
        world.start()
        await world.until(lambda: world.run("acme")["status"] == "completed")
        await world.until(lambda: health(world)["delayed_chunks"] == 1)
        figures = await figures_when(
            log,
            {
                "chunkwise_leases_held": 0,
                "chunkwise_outcomes_total kind=completed": 3,
                "chunkwise_outcomes_total kind=retry": 1,
            },
        )
        row = health(world)

    assert {name: figures[f"chunkwise_queue_{name}"] for name in QUEUE_FIGURES} == {
        name: row[name] for name in QUEUE_FIGURES
    }
    assert (row["live_jobs"], row["live_runs"], row["workers_alive"]) == (1, 1, 1)
    assert figures["chunkwise_database_up"] == 1
    assert figures["chunkwise_fetch_seconds_count outcome=page"] == 3
    assert figures["chunkwise_fetch_seconds_count outcome=transient"] == 1
    assert figures["chunkwise_looks_total reason=start result=empty"] == 1


async def test_health_says_whether_the_database_answers(world: World) -> None:
    async with world.worker_processes(1, CHUNKWISE_METRICS_LISTEN=ANY_PORT) as (log,):
        alive = await get(log, "/healthz")
        figures = await get(log, "/metrics", Authorization="Bearer nobody asks here")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert figures.status_code == 200


async def test_the_figures_say_that_the_database_is_gone(world: World) -> None:
    async with world.worker_processes(1, CHUNKWISE_METRICS_LISTEN=ANY_PORT) as (log,):
        world.api.stop_postgrest()
        figures = await scrape(log)
        world.api.start_postgrest()
    assert figures["chunkwise_database_up"] == 0
    assert not [name for name in figures if name.startswith("chunkwise_queue")]


async def test_a_receiver_shows_figures_to_who_has_its_token(world: World) -> None:
    async with receiver_process(world) as receiver:
        stranger = await get(receiver.log, "/metrics")
        friend = await get(receiver.log, "/metrics", Authorization=f"Bearer {TOKEN}")
        alive = await get(receiver.log, "/healthz")
    assert (stranger.status_code, stranger.text) == (401, "")
    assert "chunkwise_queue_ready_chunks 0.0" in friend.text
    assert alive.json() == {"status": "ok"}


def health(world: World) -> dict[str, object]:
    return world.db.one("select * from queue_health")


async def figures_when(log: Path, expected: dict[str, float]) -> dict[str, float]:
    """Scraped until those expected are among them: a commit is seen before the worker reads the
    answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not expected.items() <= (figures := await scrape(log)).items():
        assert time.monotonic() < deadline, figures
        await asyncio.sleep(LOOK_S)
    return figures


async def scrape(log: Path) -> dict[str, float]:
    """Name and labels of each sample → its value."""
    text = (await get(log, "/metrics")).text
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sample.labels.items())]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def get(log: Path, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        return await http.get(f"http://{listens_at(log)}{path}", headers=headers)


def listens_at(log: Path) -> str:
    """Where the process says that it listens: that line comes before its first look."""
    lines = map(json.loads, log.read_text().splitlines())
    return next(str(line["listen"]) for line in lines if line.get("listen"))
