"""The kit passes this repository's own worker."""

from local.stack import Stack
from tests.conformance.kit import OURS, run


async def test_our_own_worker_keeps_every_rule(stack: Stack) -> None:
    told: list[str] = []
    assert await run(OURS, stack, told.append) == []
    assert len(told) > 20
