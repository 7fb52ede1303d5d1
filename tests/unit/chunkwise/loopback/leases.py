"""Leases as a claim gives them."""

from typing import Any
from urllib.parse import urlsplit

from chunkwise.gateway.protocol import Claim, Lease

KEY = "17|s3cr3t+token/with=signs"


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def claim_json(url: str, **changes: object) -> dict[str, Any]:
    lease = {
        "queue_id": 4711,
        "lease_token": 90210,
        "lease_ms": 20_000,
        "send_after_ms": 0,
        "budget_id": 3,
        "workspace": "acme",
        "workspace_id": 12,
        "stream": "sender_emails",
        "attempt": 1,
        "request": {
            "method": "GET",
            "url": url,
            "params": [["page", "2"]],
            "headers": {"Accept": "application/json"},
            "reach": "loopback",
        },
        "timeout_ms": 5000,
        "max_body_bytes": 8_388_608,
        "origin": origin_of(url),
        "credentials": [{"in": "header", "name": "Authorization", "value": f"Bearer {KEY}"}],
        "answer_headers": ["date", "retry-after"],
        "status_classes": {
            "2xx": "page",
            "408": "transient",
            "429": "rate_limited",
            "5xx": "transient",
            "other": "permanent",
        },
    }
    return {
        "leases": [{**lease, **changes}],
        "blocked_budgets": [],
        "next_look_ms": None,
    }


def leased(claim: dict[str, Any]) -> Lease:
    return Claim.model_validate(claim).framed(asked_at=0).leases[0]


def lease_to(url: str, **changes: object) -> Lease:
    return leased(claim_json(url, **changes))
