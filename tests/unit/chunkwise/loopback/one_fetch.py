"""A process that fetches and hands over as a worker does; prints by how many bytes its memory grew.

`python one_fetch.py URL…`: every URL after the first, which is the warm-up.
"""

import asyncio
import sys
from pathlib import Path

from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Claim, Page
from chunkwise.secret import Secret
from chunkwise.worker.fetch import Fetcher

FIELDS = {
    "lease_token": 1,
    "lease_ms": 20_000,
    "workspace": "acme",
    "workspace_id": 12,
    "stream": "things",
    "timeout_ms": 60_000,
    "max_body_bytes": 8_388_608,
    "status_classes": {"2xx": "page", "429": "rate_limited", "other": "transient"},
}


async def main(urls: list[str]) -> None:
    base = urls[0].rpartition("/")[0]
    async with (
        Fetcher.open(1) as fetcher,
        Gateway.connect(base, Secret("sb_secret_abc")) as gateway,
    ):
        before = 0
        for number, url in enumerate(urls):
            lease = {"queue_id": number, "request": {"url": url, "reach": "loopback"}, **FIELDS}
            claim = Claim.model_validate({"leases": [lease]}).framed(asked_at=0)
            answer = await fetcher.send(claim.leases[0])
            if isinstance(answer, Page):
                await gateway.complete_chunk_jobs_safe([(claim.leases[0], answer)])
            before = before or highest_bytes()
    print(highest_bytes() - before)


def highest_bytes() -> int:
    """The most memory that this process ever had."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


asyncio.run(main(sys.argv[1:]))
