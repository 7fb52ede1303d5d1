"""One chunk, fetched at once by whoever is here: for commands that have the API asked something."""

import asyncio

from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Outcome, Page
from chunkwise.settings import Settings
from chunkwise.worker.fetch import Fetcher


async def fetch_chunk(settings: Settings, gateway: Gateway, queue_id: int) -> Outcome | None:
    """Claims it, waits for its turn in the budget, sends its request once and hands the answer
    over. Returns: what became of it, or None if a worker has it."""
    async with Fetcher.open(1) as fetcher:
        while True:
            claim = await gateway.claim_chunk_job_safe(queue_id, settings.worker_id)
            if claim.leases:
                break
            if claim.look_again_ms is None:
                return None
            await asyncio.sleep(claim.look_again_ms / 1000)
        (lease,) = claim.leases
        await asyncio.sleep(lease.send_after_ms / 1000)
        answer = await fetcher.send(lease)
        if isinstance(answer, Page):
            return (await gateway.complete_chunk_jobs_safe([(lease, answer)])).outcomes[0]
        return await gateway.fail_chunk_job_safe(lease, answer)
