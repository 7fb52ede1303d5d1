"""When a worker looks for work."""

import asyncio

import pytest

from chunkwise.gateway.protocol import BlockedBudget, Claim
from chunkwise.worker.polling import Polling, Reason

NOTHING = Claim(leases=())


@pytest.fixture
async def looks() -> Polling:
    """After its first look, which found nothing."""
    looks = Polling(idle_seconds=600)
    looks.saw(await looks.due(), NOTHING, found=False)
    return looks


async def test_the_first_look_does_not_wait() -> None:
    assert await Polling(idle_seconds=600).due() is Reason.START


async def test_after_work_was_found_the_next_look_does_not_wait(looks: Polling) -> None:
    looks.saw(Reason.IDLE, NOTHING, found=True)
    assert await looks.due() is Reason.MORE


async def test_a_hint_ends_the_waiting(looks: Polling) -> None:
    waiting = asyncio.create_task(looks.due())
    await asyncio.sleep(0)

    looks.nudge(Reason.HINTED)

    assert await waiting is Reason.HINTED


async def test_a_hint_during_a_look_that_finds_nothing_is_not_lost(looks: Polling) -> None:
    looks.nudge(Reason.HINTED)
    looks.saw(Reason.IDLE, NOTHING, found=False)
    assert await looks.due() is Reason.HINTED


async def test_a_hint_outweighs_the_workers_own_reason(looks: Polling) -> None:
    looks.nudge(Reason.HINTED)
    looks.nudge(Reason.OWN)
    assert await looks.due() is Reason.HINTED


async def test_one_hint_is_one_look(looks: Polling) -> None:
    looks.nudge(Reason.HINTED)
    await looks.due()
    looks.saw(Reason.HINTED, NOTHING, found=False)

    waiting = asyncio.create_task(looks.due())
    done, _ = await asyncio.wait([waiting], timeout=0)
    waiting.cancel()

    assert not done


@pytest.mark.parametrize(
    "claim",
    [
        Claim(leases=(), next_look_ms=1),
        Claim(leases=(), blocked_budgets=(BlockedBudget(budget_id=3, for_ms=1),)),
        Claim(leases=(), next_look_ms=0),
    ],
)
async def test_delayed_work_and_blocked_budgets_shorten_the_waiting(
    looks: Polling, claim: Claim
) -> None:
    looks.saw(Reason.IDLE, claim, found=False)
    assert await looks.due() is Reason.DUE


async def test_looks_are_counted_by_reason_and_result(looks: Polling) -> None:
    looks.saw(Reason.HINTED, NOTHING, found=False)
    looks.saw(Reason.HINTED, NOTHING, found=False)
    assert looks.counts == {"start_empty": 1, "hinted_empty": 2}
