"""One chunk, fetched at once by whoever is here: for commands that have the API asked something."""

import asyncio

from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Lease, Outcome, Page
from chunkwise.settings import Settings
from chunkwise.worker.fetch import Fetcher


async def fetch_chunk(settings: Settings, gateway: Gateway, queue_id: int) -> Outcome | None:
    """Claims it, waits for its turn in the budget, sends its request once and hands the answer
    over; before it, the request for the access token that it needs. Returns: what became of it, or
    None if a worker has it."""
    async with Fetcher.open(1) as fetcher:
        while True:
            claim = await gateway.claim_chunk_job_safe(queue_id, settings.worker_id)
            if claim.leases:
                (lease,) = claim.leases
                outcome = await _fetch(fetcher, gateway, lease)
                if lease.queue_id == queue_id:
                    return outcome
            elif claim.look_again_ms is None:
                return None
            else:
                await asyncio.sleep(claim.look_again_ms / 1000)


async def _fetch(fetcher: Fetcher, gateway: Gateway, lease: Lease) -> Outcome:
    await asyncio.sleep(lease.send_after_ms / 1000)
    answer = await fetcher.send(lease)
    if isinstance(answer, Page):
        return (await gateway.complete_chunk_jobs_safe([(lease, answer)])).outcomes[0]
    return await gateway.fail_chunk_job_safe(lease, answer)
