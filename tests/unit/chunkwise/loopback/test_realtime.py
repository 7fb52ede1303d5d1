"""Hints by Realtime, from a real server that fails in every way in which the library goes deaf."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from chunkwise.gateway.protocol import Claim
from chunkwise.secret import Secret
from chunkwise.wakeups.realtime import Hints
from chunkwise.wakeups.subscription import Patience
from chunkwise.worker.polling import Polling, Reason
from loopback.realtime import PATIENCE_S, WELCOME, Payload, RealtimeServer, tasks_of_clients

KEY = "sb_secret_a+b/c"
QUICK = Patience(trouble=30, look_again=0.02, retry_first=0.01, retry_longest=0.05)
ATTEMPTS_OF_THE_LIBRARY = 5
NEVER_S = 1_000_000.0

Looked = asyncio.Queue[None]


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    served = RealtimeServer()
    await served.start()
    yield served
    await served.stop()
    served.listener.close()


@asynccontextmanager
async def hints(
    server: RealtimeServer, look: Callable[[], None], patience: Patience = QUICK
) -> AsyncIterator[Hints]:
    """Nothing of it may be left when it was stopped."""
    before = tasks_of_clients()
    listener = Hints(server.url, Secret(KEY), look, patience)
    running = asyncio.create_task(listener.run())
    yield listener
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
    assert tasks_of_clients() <= before


@asynccontextmanager
async def listening(
    server: RealtimeServer, patience: Patience = QUICK
) -> AsyncIterator[tuple[Looked, Hints]]:
    looked: Looked = asyncio.Queue()
    async with hints(server, lambda: looked.put_nowait(None), patience) as listener:
        yield looked, listener


async def heard(server: RealtimeServer, looked: Looked, listener: Hints) -> None:
    """A new client has joined, and a hint to it makes two looks."""
    join = await server.joined()
    await take(looked, 2)
    before = listener.counts["hints"]
    await join.hint()
    await take(looked, 2)
    assert listener.counts["hints"] == before + 1


async def take(looked: Looked, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(count):
            await looked.get()


async def test_the_topic_is_private_and_asks_to_be_told_when_changes_flow(
    server: RealtimeServer,
) -> None:
    async with listening(server):
        join = await server.joined()

    config = join.payload["config"]
    assert (join.topic, join.key) == ("realtime:chunkwise:work", KEY)
    assert (config["private"], config["broadcast"]["replication_ready"]) == (True, True)


async def test_a_hint_is_two_looks_other_events_are_none(server: RealtimeServer) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        await join.hint("progress")
        await join.hint()
        await take(looked, 2)

        assert listener.counts == {"subscribed": 1, "hints": 1}
        assert looked.empty()


async def test_who_hears_no_echo_makes_a_new_client(server: RealtimeServer) -> None:
    async with listening(server, replace(QUICK, settle=0, echo=0.05)) as (looked, listener):
        await server.joined()
        await take(looked, 2)
        listener.expect_echo(0, time.monotonic())
        await heard(server, looked, listener)
        assert listener.counts == {"subscribed": 2, "hints": 1, "lost": 1, "deaf": 1}


@pytest.mark.parametrize("event", ["echo", "work"])
async def test_who_hears_an_echo_or_a_hint_is_not_deaf(server: RealtimeServer, event: str) -> None:
    """By the time when it must have heard one, which the test lets come once it has."""
    async with listening(server, replace(QUICK, settle=0, echo=NEVER_S)) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        listener.found_without()
        assert listener.listening == {"idle_finds": 1}
        sent_at = time.monotonic()
        listener.expect_echo(0, sent_at)
        await join.hint(event)
        async with asyncio.timeout(PATIENCE_S):
            while listener._heard_at < sent_at:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.01)
        assert listener._listening_for is not None
        listener._listening_for.cancel()
        listener._judge(sent_at)
        assert (listener.counts["deaf"], listener.counts["subscribed"]) == (0, 1)
        assert listener.listening == {"idle_finds": 0}


async def test_an_echo_from_before_the_join_is_not_waited_for(server: RealtimeServer) -> None:
    async with listening(server, replace(QUICK, settle=0)) as (looked, listener):
        assert listener.listening is None
        await server.joined()
        await take(looked, 2)
        listener.expect_echo(60_000, time.monotonic())
        listener.expect_echo(None, time.monotonic())
        assert listener._listening_for is None


async def test_a_burst_of_hints_is_one_late_look(server: RealtimeServer) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        # Longer than the burst takes on a machine that stalls.
        listener._patience = replace(QUICK, look_again=3)
        for _ in range(50):
            await join.hint()
        await take(looked, 50)
        assert looked.empty()
        await take(looked, 1)
        assert looked.empty()


async def test_changes_flow_only_some_time_after_the_join(server: RealtimeServer) -> None:
    """So it looks at once, a moment later, and when the server says so."""
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        await join.system("ok", "Replication connection established")
        await take(looked, 2)
        assert listener.counts["hints"] == 0


async def test_a_callback_that_raises_does_not_end_the_listening(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    looked: Looked = asyncio.Queue()
    broken = True

    def look() -> None:
        looked.put_nowait(None)
        if broken:
            raise RuntimeError("broken")

    async with hints(server, look) as listener:
        join = await server.joined()
        await take(looked, 2)
        await join.hint()
        await take(looked, 2)
        broken = False
        await join.hint()
        await take(looked, 2)

        assert listener.counts == {"subscribed": 1, "hints": 2}
    assert [record.message for record in caplog.records].count("hint_failed") == 4


async def test_a_listener_that_the_library_lost_is_replaced(server: RealtimeServer) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        strange: Payload = {"joins": {"somebody": {"metas": [{}]}}, "leaves": {}}
        await join.say("presence_diff", strange)
        await heard(server, looked, listener)


@pytest.mark.parametrize(
    "error",
    [
        "Token has expired 0 seconds ago",
        "Too many messages per second",
        "Replication connection was not established in time",
    ],
)
async def test_a_channel_that_the_server_closed_is_replaced(
    server: RealtimeServer, error: str
) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        await join.system("error", error)
        await join.say("phx_close", {})
        await heard(server, looked, listener)
        await join.connection.wait_closed()


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_a_connection_that_the_server_closed_is_replaced(
    server: RealtimeServer, code: int
) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        await join.connection.close(code)
        await heard(server, looked, listener)


async def test_a_connection_that_broke_is_replaced(server: RealtimeServer) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        join.connection.transport.abort()
        await heard(server, looked, listener)


async def test_it_outlasts_the_library_when_the_server_is_gone(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Idle looks go on meanwhile, and it is told once."""
    looks = Polling(idle_seconds=0.05)
    caplog.set_level(logging.DEBUG)
    async with hints(server, lambda: looks.nudge(Reason.HINTED)) as listener:
        await server.joined()
        await looks_until(looks, Reason.IDLE)
        async with server.gone() as tried:
            for _ in range(ATTEMPTS_OF_THE_LIBRARY + 2):
                await tried.get()
            await looks_until(looks, Reason.IDLE)
        join = await server.joined()
        await looks_until(looks, Reason.IDLE)
        await join.hint()
        while not listener.counts["hints"]:
            await looks_until(looks, Reason.HINTED)
        assert listener.counts == {"subscribed": 2, "lost": 1, "hints": 1}

    events = [r.message for r in caplog.records if r.name == "chunkwise.wakeups.realtime"]
    assert events == ["realtime_subscribed", "realtime_lost", "realtime_subscribed"]
    assert "a+b" not in caplog.text
    assert "a%2Bb" not in caplog.text


async def looks_until(looks: Polling, reason: Reason) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (last := await looks.due()) is not reason:
            looks.saw(last, Claim(leases=()), found=False)


async def test_a_client_is_renewed_before_the_server_ends_it(server: RealtimeServer) -> None:
    """The new one joins while the old one is still there."""
    async with listening(server, replace(QUICK, renew=0.2)) as (_, listener):
        first = await server.joined()
        second = await server.joined()
        await first.connection.wait_closed()

        assert (first.open_before, second.open_before) == (0, 1)
        assert first.connection.close_code == 1000
        assert listener.counts["lost"] == 0


async def test_a_client_that_cannot_be_renewed_is_kept(server: RealtimeServer) -> None:
    async with listening(server, replace(QUICK, renew=0.2)) as (looked, listener):
        first = await server.joined()
        server.answer = {"status": "error", "response": {"reason": "ClientJoinRateLimitReached"}}
        for _ in range(3):
            await server.joined()
        await take(looked, 2)
        await first.hint()
        await take(looked, 2)
        assert listener.counts == {"subscribed": 1, "hints": 1}


async def test_a_join_is_repeated_until_it_is_granted(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = {"status": "error", "response": {"reason": "Unauthorized"}}
    async with listening(server) as (looked, listener):
        for _ in range(3):
            await server.joined()
        server.answer = WELCOME
        await take(looked, 2)
        assert listener.counts == {"subscribed": 1, "lost": 1}
    assert "Unauthorized" in str([vars(record) for record in caplog.records])


async def test_a_join_without_an_answer_is_given_up(server: RealtimeServer) -> None:
    server.answer = None
    async with listening(server, replace(QUICK, answer=1)) as (looked, listener):
        await server.joined()
        # The next one is answered, however long that takes.
        server.answer, listener._patience = WELCOME, QUICK
        await heard(server, looked, listener)


async def test_a_channel_in_trouble_may_come_back_by_itself(server: RealtimeServer) -> None:
    async with listening(server) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        await join.say("phx_error", {})
        again = await server.joined()
        await take(looked, 2)
        assert again.connection is join.connection
        assert listener.counts == {"subscribed": 1}


async def test_a_channel_in_trouble_for_long_is_replaced(server: RealtimeServer) -> None:
    async with listening(server, replace(QUICK, trouble=0.05)) as (looked, listener):
        join = await server.joined()
        await take(looked, 2)
        await join.say("phx_error", {})
        await heard(server, looked, listener)
        await join.connection.wait_closed()


async def test_a_server_that_does_not_answer_the_closing_does_not_hold_up_the_end(
    server: RealtimeServer,
) -> None:
    async with listening(server):
        join = await server.joined()
        join.connection.transport.pause_reading()
    join.connection.transport.abort()


async def test_a_server_that_says_nothing_does_not_hold_up_the_end() -> None:
    silent = RealtimeServer()
    async with listening(silent):
        client, _ = await asyncio.get_running_loop().sock_accept(silent.listener)
    client.close()
    silent.listener.close()
