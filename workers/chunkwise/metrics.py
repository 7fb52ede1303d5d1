"""What Prometheus reads: this worker's own counts, and the figures of the view queue_health."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chunkwise.errors import ChunkwiseError
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Json

FETCH_BUCKETS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30)
# Column of queue_health → what it counts.
QUEUE_FIGURES: Final[Mapping[str, str]] = {
    "live_jobs": "Jobs that run",
    "live_runs": "Workspaces and streams that run",
    "ready_chunks": "Chunks that may be claimed now",
    "delayed_chunks": "Chunks that wait for a retry or for a rate limit to end",
    "chunks_in_flight": "Chunks that a worker holds",
    "waiting_chunks": "Chunks that wait for a slot of their run",
    "workers_alive": "Workers heard of in the last 30 s",
    "blocked_budgets": "Budgets that the API limits now",
}


def new_fetch_histogram() -> Histogram:
    return Histogram(
        "chunkwise_fetch_seconds",
        "Requests to the APIs, by what became of them: page or an error class",
        ["outcome"],
        registry=None,
        buckets=FETCH_BUCKETS,
    )


class Counts(Collector):
    """A worker's own: `counters` are those of its loop or its receiver."""

    def __init__(
        self,
        fetches: Histogram,
        leases: Callable[[], int],
        counters: Mapping[str, Counter[str]],
    ) -> None:
        self._fetches = fetches
        self._leases = leases
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        yield from self._fetches.collect()
        yield GaugeMetricFamily(
            "chunkwise_leases_held", "Leases this worker holds", value=self._leases()
        )
        for name, counts in self._counters.items():
            yield _counter(name, counts)


class Queue(Collector):
    """One row of queue_health; None if the database does not answer."""

    def __init__(self, row: Json | None) -> None:
        self._row = row

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "chunkwise_database_up", "Whether queue_health answered", value=self._row is not None
        )
        if self._row is None:
            return
        for column, meaning in QUEUE_FIGURES.items():
            value = float(self._row[column])
            yield GaugeMetricFamily(f"chunkwise_queue_{column}", meaning, value=value)
        swept_at = self._row["last_sweep_at"]
        if swept_at and swept_at != "-infinity":
            yield GaugeMetricFamily(
                "chunkwise_queue_last_sweep_timestamp_seconds",
                "When expired leases were last looked for",
                value=datetime.fromisoformat(swept_at).timestamp(),
            )


class Metrics:
    def __init__(self, gateway: Gateway, counts: Counts) -> None:
        self._gateway = gateway
        self._counts = counts

    async def text(self) -> bytes:
        """In Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self._counts)
        registry.register(Queue(await self._queue_health()))
        return generate_latest(registry)

    async def _queue_health(self) -> Json | None:
        try:
            (row,) = await self._gateway.select("queue_health")
        except ChunkwiseError:
            return None
        return row


def _counter(name: str, counts: Counter[str]) -> Metric:
    """Looks are counted by reason and result, everything else by one word."""
    if name == "looks":
        looks = CounterMetricFamily(
            "chunkwise_looks", "Looks for work, by reason and result", labels=["reason", "result"]
        )
        for key, count in counts.items():
            reason, _, result = key.rpartition("_")
            looks.add_metric([reason, result], count)
        return looks
    family = CounterMetricFamily(f"chunkwise_{name}", MEANINGS[name], labels=["kind"])
    for key, count in counts.items():
        family.add_metric([key], count)
    return family


MEANINGS: Final[Mapping[str, str]] = {
    "outcomes": "Chunks that ended or were handed back, as the database answered",
    "hints": "Hints by POST and what was answered",
    "realtime": "What happened to the Realtime subscription",
}
