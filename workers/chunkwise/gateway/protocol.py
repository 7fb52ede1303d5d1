"""The worker protocol's objects as values: docs/worker-protocol.md says what they mean."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from chunkwise.errors import ProtocolError
from chunkwise.secret import Secret

Json = Mapping[str, Any]
ErrorClass = Literal["transient", "rate_limited", "permanent", "released"]
STATUS_CLASSES = ("page", "transient", "rate_limited", "permanent")


@dataclass(frozen=True, slots=True)
class Credential:
    place: Literal["header", "query"]
    name: str
    value: Secret

    @classmethod
    def from_json(cls, json: Json) -> Self:
        place = json["in"]
        if place not in ("header", "query"):
            raise ProtocolError(f"a credential stands in {place!r}, which this worker cannot send")
        return cls(place, json["name"], Secret(json["value"]))


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lease:
    """`asked_at` and `answered_at` (monotonic seconds) frame the claim that gave it."""

    queue_id: int
    lease_token: int
    lease_ms: int
    send_after_ms: int
    budget_id: int | None
    workspace: str
    stream: str
    attempt: int
    request: Request
    timeout_ms: int
    max_body_bytes: int
    status_classes: Mapping[str, str]
    credential: Credential | None
    asked_at: float
    answered_at: float

    @property
    def key(self) -> dict[str, int]:
        return {"queue_id": self.queue_id, "lease_token": self.lease_token}

    def class_of(self, status: int) -> str:
        classes = self.status_classes
        found = classes.get(str(status)) or classes.get(f"{status // 100}xx")
        found = found or classes.get("other", "permanent")
        return found if found in STATUS_CLASSES else "permanent"

    @classmethod
    def from_json(cls, json: Json, credentials: Json, asked_at: float) -> Self:
        request = json["request"]
        credential = credentials.get(str(json["workspace_id"]))
        return cls(
            queue_id=json["queue_id"],
            lease_token=json["lease_token"],
            lease_ms=json["lease_ms"],
            send_after_ms=json.get("send_after_ms") or 0,
            budget_id=json.get("budget_id"),
            workspace=json["workspace"],
            stream=json["stream"],
            attempt=json.get("attempt", 1),
            request=Request(
                method=request.get("method", "GET"),
                url=request["url"],
                params=request.get("params") or {},
                headers=request.get("headers") or {},
            ),
            timeout_ms=json["timeout_ms"],
            max_body_bytes=json["max_body_bytes"],
            status_classes=json["status_classes"],
            credential=Credential.from_json(credential) if credential else None,
            asked_at=asked_at,
            answered_at=time.monotonic(),
        )


@dataclass(frozen=True, slots=True)
class BlockedBudget:
    budget_id: int
    for_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """`reason` and `look_again_ms` tell why the chunk that was asked for by id is not leased, and
    when to ask again."""

    leases: Sequence[Lease]
    blocked: Sequence[BlockedBudget]
    next_look_ms: int | None
    reason: str | None = None
    look_again_ms: int | None = None

    @classmethod
    def from_json(cls, json: Json, asked_at: float) -> Self:
        credentials = json.get("credentials") or {}
        return cls(
            leases=[Lease.from_json(lease, credentials, asked_at) for lease in json["leases"]],
            blocked=blocked_budgets(json),
            next_look_ms=json.get("next_look_ms"),
            reason=json.get("reason"),
            look_again_ms=json.get("look_again_ms"),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """An answer as it is handed over; `wire_bytes` is its size as a JSON string."""

    status: int
    body: str
    duration_ms: int
    wire_bytes: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """`retry_after` in seconds, as the API asked."""

    error_class: ErrorClass
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`outcome`: completed, cancelled, retry, delayed, released, failed or refused;
    `look_again_ms`: when a chunk that was not finished falls due."""

    queue_id: int
    outcome: str
    code: str | None
    message: str | None
    records: int | None
    changed: int | None
    look_again_ms: int | None = None

    @classmethod
    def from_json(cls, json: Json) -> Self:
        return cls(
            queue_id=json["queue_id"],
            outcome=json["outcome"],
            code=json.get("code"),
            message=json.get("message"),
            records=json.get("records"),
            changed=json.get("changed"),
            look_again_ms=json.get("look_again_ms"),
        )


@dataclass(frozen=True, slots=True)
class Outcomes:
    outcomes: Sequence[Outcome]
    blocked: Sequence[BlockedBudget]


@dataclass(frozen=True, slots=True)
class Extension:
    lease_ms: int
    lost: frozenset[int]
    cancelled: frozenset[int]
    blocked: Sequence[BlockedBudget]

    @classmethod
    def from_json(cls, json: Json) -> Self:
        return cls(
            lease_ms=json["lease_ms"],
            lost=frozenset(json.get("lost") or ()),
            cancelled=frozenset(json.get("cancelled") or ()),
            blocked=blocked_budgets(json),
        )


@dataclass(frozen=True, slots=True)
class Versions:
    schema: int
    protocol: int


def blocked_budgets(json: Json) -> list[BlockedBudget]:
    blocked = json.get("blocked_budgets") or ()
    return [BlockedBudget(budget["budget_id"], budget.get("for_ms") or 0) for budget in blocked]
