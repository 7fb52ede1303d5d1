"""Hints by Realtime on the real stack: they find the work, and without them it is found later."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from chunkwise.gateway.compatibility import connected
from chunkwise.settings import Settings
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.loop import Worker
from chunkwise.worker.polling import Reason
from local.bison import BisonControl
from local.realtime.control import RealtimeControl
from tests.e2e.receivers import traces
from tests.e2e.test_operator_metrics import ANY_PORT, figures_when
from tests.e2e.world import World
from tests.support.setup import set_settings

SELDOM_S = 1.0
OFTEN_S = 0.1
NEVER_S = 1_000_000.0
# Twice as long as from a hint or a join to the late look after it.
QUIET_S = 1.0
ALL = 1_000_000
APPLIED_TWICE = (
    "select chunk_id from chunk_events where event = 'completed' group by 1 having count(*) > 1"
)

Fault = Callable[[RealtimeControl], Awaitable[object]]


@asynccontextmanager
async def listening_worker(world: World, idle_seconds: float = SELDOM_S) -> AsyncIterator[Worker]:
    """In this process, so that its looks can be read; it has joined."""
    stop = asyncio.Event()
    settings = Settings.read(**world.env, CHUNKWISE_IDLE_SECONDS=str(idle_seconds))
    async with (
        connected(settings) as gateway,
        Fetcher.open(settings.concurrency) as fetcher,
        asyncio.TaskGroup() as tasks,
    ):
        worker = Worker(settings, gateway, fetcher, stop)
        tasks.create_task(worker.run())
        try:
            await world.api.realtime.wait_until(channels_ready=1)
            yield worker
        finally:
            stop.set()


async def sync(world: World) -> None:
    """No page is applied twice."""
    job = await world.sync()
    assert job["status"] == "completed"
    assert world.db.column(APPLIED_TWICE) == []


async def idle_looks(world: World, worker: Worker) -> None:
    """Two: after a stall the first may be followed at once by the late look after a join."""
    enough = worker.looks.counts["idle_empty"] + 2
    await world.until(lambda: worker.looks.counts["idle_empty"] >= enough)


async def no_more_idle_looks(worker: Worker) -> None:
    """From now on; and the late look after a join or a hint is over. On a machine that stalls a
    look takes longer than it is quiet here: the one under way may still be an idle one."""
    looks = worker.looks
    looks._idle_seconds = NEVER_S
    looks.nudge(Reason.OWN)
    counts = None
    while counts != looks.counts or is_looking(worker):
        counts = looks.counts.copy()
        await asyncio.sleep(QUIET_S)


def is_looking(worker: Worker) -> bool:
    """It looks for work, or is about to."""
    nudged = worker.looks._nudged
    return nudged.is_set() or not nudged._waiters


async def assert_hints_find_the_work(world: World, worker: Worker) -> None:
    await no_more_idle_looks(worker)
    before = worker.looks.counts.copy()
    await sync(world)
    found = worker.looks.counts - before
    assert found["hinted_found"] >= 1, found
    assert found["idle_found"] == 0, found


async def test_in_a_healthy_run_no_work_is_found_by_idle_looks(
    world: World, bison: BisonControl
) -> None:
    """One run of three must show it: where the machine stalls, a hint may come later than an idle
    look."""
    await world.register(bison)
    for _ in range(3):
        looks = await looks_of_a_healthy_run(world)
        if looks["idle_found"] == 0:
            break
    assert looks["idle_found"] == 0, looks
    assert looks["hinted_found"] >= 1, looks


async def looks_of_a_healthy_run(world: World) -> Counter[str]:
    """Both workers hear every hint, and leave no warning, not even when they stop."""
    set_settings(world.db, echo_interval_seconds=0)
    await world.api.realtime.reset()
    sent_before = hints_sent(world)
    env = {"CHUNKWISE_IDLE_SECONDS": "5", "CHUNKWISE_METRICS_LISTEN": ANY_PORT}
    async with world.worker_processes(2, **env) as logs:
        await world.api.realtime.wait_until(channels_ready=2)
        for _ in range(3):
            await sync(world)
        sent = hints_sent(world) - sent_before
        for log in logs:
            await figures_when(log, {"chunkwise_realtime_total kind=hints": sent})
        heard = await world.api.realtime.counts()

    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    stopped = [line for line in lines if line["event"] == "worker_stopped"]
    looks = sum((Counter(line["looks"]) for line in stopped), Counter[str]())
    realtime = sum((Counter(line["realtime"]) for line in stopped), Counter[str]())
    assert realtime == {"subscribed": 2, "hints": 2 * sent}
    assert heard.messages_delivered == 2 * sent
    assert {line["level"] for line in lines} == {"info"}
    assert world.api.secret_key not in str(lines)
    return looks


def hints_sent(world: World) -> int:
    return int(world.db.value("select broadcasts from sync.hint_state"))


async def break_connections(realtime: RealtimeControl) -> None:
    await realtime.close_sockets(1011)


async def expire_tokens(realtime: RealtimeControl) -> None:
    await realtime.expire_tokens()


async def crash_channels(realtime: RealtimeControl) -> None:
    await realtime.crash_channels()


async def end_sockets_at_their_age(realtime: RealtimeControl) -> None:
    await realtime.set(keyed_socket_seconds=0.5)
    await realtime.close_sockets()
    await realtime.wait_until(joins=2)
    await realtime.set(keyed_socket_seconds=3600)
    await realtime.wait_until(joins=3)


async def close_the_channel_for_want_of_replication(realtime: RealtimeControl) -> None:
    await realtime.set(follows_database=False, replication_ready_seconds=0.1)
    await realtime.close_sockets()
    await realtime.wait_until(channels_shut=2)
    await realtime.set(follows_database=True, replication_ready_seconds=60)


async def refuse_its_joins_for_their_number(realtime: RealtimeControl) -> None:
    await realtime.set(joins_per_second=0)
    await realtime.close_sockets()
    await realtime.wait_until(joins_refused=2)
    await realtime.set(joins_per_second=100)


@pytest.mark.parametrize(
    "fault",
    [
        break_connections,
        expire_tokens,
        crash_channels,
        end_sockets_at_their_age,
        close_the_channel_for_want_of_replication,
        refuse_its_joins_for_their_number,
    ],
)
async def test_after_a_fault_hints_are_heard_again(
    world: World, bison: BisonControl, fault: Fault
) -> None:
    await world.register(bison)
    async with listening_worker(world) as worker:
        await fault(world.api.realtime)
        await world.api.realtime.wait_until(channels_ready=2)
        await assert_hints_find_the_work(world, worker)


async def test_a_channel_shut_out_for_too_many_messages_is_replaced(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    # The rate is the mean since the first message, which must be a hint: it counts as it comes and
    # as it is delivered, and that is too much.
    set_settings(world.db, echo_interval_seconds=0)
    async with listening_worker(world) as worker:
        await world.api.realtime.set(messages_per_second=1)
        job_id = world.start()
        await world.api.realtime.wait_until(channels_shut=1)
        await world.api.realtime.set(messages_per_second=1000)
        await world.api.realtime.wait_until(channels_ready=2)
        await world.ended(job_id)
        await assert_hints_find_the_work(world, worker)


async def test_while_realtime_is_gone_idle_looks_find_the_work(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with listening_worker(world) as worker:
        world.api.stop_realtime(kill=True)
        await idle_looks(world, worker)
        await sync(world)
        assert worker.looks.counts["idle_found"] >= 1, worker.looks.counts
        world.api.start_realtime()
        await world.api.realtime.wait_until(channels_ready=1)
        await assert_hints_find_the_work(world, worker)


async def test_work_that_became_ready_after_the_join_but_before_hints_flow_is_found(
    world: World, bison: BisonControl
) -> None:
    """By the look that follows the server's word that they flow."""
    await world.register(bison)
    async with listening_worker(world) as worker:
        await world.api.realtime.set(follows_database=False)
        await world.api.realtime.close_sockets()
        await world.api.realtime.wait_until(joins=2, following=1)
        await no_more_idle_looks(worker)
        job_id = world.start()
        await world.api.realtime.wait_until(messages_unheard=1)
        await world.api.realtime.set(follows_database=True)
        await world.ended(job_id)

        assert worker.looks.counts["idle_found"] == 0


async def test_while_no_hints_flow_looks_find_the_work(world: World, bison: BisonControl) -> None:
    """The server shuts the channel again and again, and the worker joins again and again."""
    await world.register(bison)
    async with listening_worker(world, OFTEN_S):
        await world.api.realtime.set(follows_database=False, replication_ready_seconds=0.1)
        await world.api.realtime.close_sockets()
        for shut in (1, 2):
            await world.api.realtime.wait_until(channels_shut=shut)
            await sync(world)


def echo_often(world: World, worker: Worker, *, every: float) -> None:
    set_settings(world.db, echo_interval_seconds=every)
    hints = worker._hints
    hints._patience = replace(hints._patience, settle=0, echo=0.2)


async def is_kept_while_it_hears_echoes(world: World, heard: Counter[str]) -> bool:
    before = heard.copy()
    await world.until(lambda: heard["echoes"] >= before["echoes"] + 2)
    return all(heard[name] == before[name] for name in ("deaf", "subscribed"))


async def test_a_worker_that_hears_no_echo_rebuilds_its_subscription(
    world: World, bison: BisonControl
) -> None:
    """Replication dropped: joined channels are told nothing, and nothing is wrong to see. While
    echoes come it keeps its subscription; one try of ten must show it: where the machine stalls, an
    echo comes too late."""
    await world.register(bison)
    async with listening_worker(world, OFTEN_S) as worker:
        echo_often(world, worker, every=0.1)
        heard = worker._hints.counts
        for _ in range(10):
            if is_kept := await is_kept_while_it_hears_echoes(world, heard):
                break
        assert is_kept, heard

        joins = (await world.api.realtime.set(follows_database=False)).joins
        deaf = heard["deaf"]
        await world.until(lambda: heard["deaf"] >= deaf + 2)
        await world.api.realtime.wait_until(joins=joins + 2)
        assert (await world.api.realtime.counts()).channels_shut == 0

        await world.api.realtime.set(follows_database=True)
        echoes = heard["echoes"]
        await world.until(lambda: heard["echoes"] > echoes)
        await assert_hints_find_the_work(world, worker)


async def test_work_that_idle_looks_find_while_a_worker_listens_is_an_alert(
    world: World, bison: BisonControl
) -> None:
    alert = "select count(*) from sync_alerts where subject = 'realtime' and resolved_at is null"

    def opened() -> bool:
        world.db.run("select sync.check_health()")
        return bool(world.db.value(alert) == 1)

    await world.register(bison)
    async with listening_worker(world, OFTEN_S) as worker:
        set_settings(world.db, echo_interval_seconds=0)
        await world.api.realtime.set(follows_database=False)
        # The first may be found by the late look after the join; without the wait the others may
        # be by the look after the last page of the sync before.
        await idle_looks(world, worker)
        for _ in range(10):
            await sync(world)
            await idle_looks(world, worker)
            if is_open := opened():
                break
        assert worker._hints.counts["hints"] == 0
        assert is_open, worker.looks.counts

        await world.api.realtime.set(follows_database=True)
        await sync(world)
        await world.until(lambda: worker._hints.counts["hints"] > 0)
        await world.until(lambda: not opened())


async def test_a_callback_that_raises_costs_only_the_hint(
    world: World, bison: BisonControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.register(bison)
    async with listening_worker(world) as worker:
        nudge = worker.looks.nudge

        def raise_at_hints(reason: Reason) -> None:
            if reason is Reason.HINTED:
                raise RuntimeError("broken")
            nudge(reason)

        with monkeypatch.context() as patch:
            patch.setattr(worker.looks, "nudge", raise_at_hints)
            await idle_looks(world, worker)
            await sync(world)
            assert worker.looks.counts["idle_found"] >= 1, worker.looks.counts
        await assert_hints_find_the_work(world, worker)
        assert (await world.api.realtime.counts()).joins == 1


@pytest.mark.parametrize(
    "fault", [{"drop": ALL}, {"double": ALL}, {"delay": ALL, "delay_seconds": 60}], ids=str
)
async def test_hints_that_are_lost_doubled_or_late_cost_nothing_but_time(
    world: World, bison: BisonControl, fault: dict[str, int]
) -> None:
    await world.register(bison)
    async with listening_worker(world, OFTEN_S):
        await world.api.realtime.break_next(**fault)
        for _ in range(2):
            await sync(world)
        await world.api.realtime.wait_until(messages_followed=2)


async def test_hints_that_come_when_all_is_done_change_nothing(
    world: World, bison: BisonControl
) -> None:
    """Held until the job has ended: other looks find its work meanwhile."""
    await world.register(bison)
    set_settings(world.db, echo_interval_seconds=0)
    async with listening_worker(world, OFTEN_S) as worker:
        await world.api.realtime.break_next(delay=ALL, delay_seconds=NEVER_S)
        await sync(world)
        done = traces(world)
        looked = worker.looks.counts["hinted_empty"]
        hints = hints_sent(world)
        held = await world.api.realtime.wait_until(messages_followed=hints)
        assert (hints > 0, held.messages_delivered) == (True, 0)
        await world.api.realtime.release()
        await world.until(lambda: worker._hints.counts["hints"] >= hints)
        await world.until(lambda: worker.looks.counts["hinted_empty"] > looked)
        assert traces(world) == done
