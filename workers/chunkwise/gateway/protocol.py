"""The worker protocol's objects: docs/worker-protocol.md says what they mean.

Fields have the names that the database gives them. What it adds later is ignored.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WrapValidator,
    model_validator,
)

from chunkwise.gateway.json_text import size_as_json_string
from chunkwise.secret import Secret

Json = Mapping[str, Any]
ErrorClass = Literal["transient", "rate_limited", "permanent", "postponed", "released"]
# public: the Internet; loopback: the worker's own machine; any: private networks too.
Reach = Literal["public", "loopback", "any"]
Pairs = tuple[tuple[str, str], ...]
# What an integer of the database holds.
LARGEST_INTEGER: Final = 2**31 - 1
STATUS_CLASSES: Final = ("page", "transient", "rate_limited", "permanent")


def _secret(value: object) -> Secret:
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")  # noqa: TRY004 - pydantic's way
    return Secret(value)


class _Answer(BaseModel):
    """Part of an answer; raises ValidationError for what it cannot be."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, answer: object) -> object:
        if not isinstance(answer, dict):
            return answer
        return {name: value for name, value in answer.items() if value is not None}


def first_wrong_field(error: ValidationError) -> str:
    """Where it stands and what is wrong with it, but not its value: it may be a key."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands where a request or a credential should: the leases that need it fail of it, one
    by one, and the claim is good for the others."""

    why: str


def _or_unreadable(given: object, validate: Callable[[object], object]) -> object:
    try:
        return validate(given)
    except ValidationError as error:
        return Unreadable(first_wrong_field(error))


class Credential(_Answer):
    place: Literal["header", "query", "form"] = Field(validation_alias="in")
    name: str
    value: Annotated[Secret, PlainValidator(_secret)]


class Request(_Answer):
    """`params` are added to the URL's own; `body` is sent as JSON, `form` as a form; `reach`: to
    which addresses it may go."""

    method: str = "GET"
    url: str
    params: Pairs = ()
    headers: Mapping[str, str] = {}
    body: Any = None
    form: Pairs | None = None
    reach: Reach = "public"


class Lease(_Answer):
    """`answer_headers`: which of the answer's the database wants; `origin`: no credential goes
    elsewhere; `asked_at` and `answered_at` (monotonic seconds) frame the claim that gave it."""

    queue_id: int
    lease_token: int
    lease_ms: int
    send_after_ms: int = 0
    budget_id: int | None = None
    workspace: str
    workspace_id: int
    stream: str
    attempt: int = 1
    request: Annotated[Request | Unreadable, WrapValidator(_or_unreadable)]
    timeout_ms: int
    max_body_bytes: int
    status_classes: Mapping[str, Any]
    answer_headers: tuple[str, ...] = ()
    origin: str | None = None
    credentials: Annotated[tuple[Credential, ...] | Unreadable, WrapValidator(_or_unreadable)] = ()
    asked_at: float = 0
    answered_at: float = 0

    @property
    def key(self) -> dict[str, int]:
        return {"queue_id": self.queue_id, "lease_token": self.lease_token}

    @property
    def secrets(self) -> list[Secret]:
        known = self.credentials
        return [] if isinstance(known, Unreadable) else [one.value for one in known]

    def class_of(self, status: int) -> str:
        classes = self.status_classes
        found = classes.get(str(status)) or classes.get(f"{status // 100}xx")
        found = found or classes.get("other", "permanent")
        return found if found in STATUS_CLASSES else "permanent"


class BlockedBudget(_Answer):
    budget_id: int
    for_ms: int = 0


class Versions(_Answer):
    schema_version: int
    protocol_version: int


class Claim(_Answer):
    """`reason` and `look_again_ms` tell why the chunk that was asked for by id is not leased, and
    when to ask again; `versions` are the database's at this moment; `echo_age_ms`: how long ago
    all who listen to Realtime were last sent a message."""

    leases: tuple[Lease, ...]
    blocked_budgets: tuple[BlockedBudget, ...] = ()
    next_look_ms: int | None = None
    versions: Versions | None = None
    reason: str | None = None
    look_again_ms: int | None = None
    echo_age_ms: int | None = None

    def framed(self, asked_at: float) -> Self:
        """With what a lease has from its claim. To be called when the answer is there."""
        answered_at = time.monotonic()
        leases = tuple(
            lease.model_copy(update={"asked_at": asked_at, "answered_at": answered_at})
            for lease in self.leases
        )
        return self.model_copy(update={"leases": leases})


@dataclass(frozen=True, slots=True)
class Page:
    """An answer as it is handed over, with the headers that its lease asked for. `body` is UTF-8,
    and stays as it came: as text it would take up to four times as much. `wire_bytes`: the body's
    size as a JSON string."""

    status: int
    body: bytes = field(repr=False)
    duration_ms: int
    wire_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, status: int, body: bytes, duration_ms: int, headers: Mapping[str, str] | None = None
    ) -> Self:
        return cls(status, body, duration_ms, size_as_json_string(body), headers or {})

    @property
    def header_bytes(self) -> int:
        return len(json.dumps(dict(self.headers)))


@dataclass(frozen=True, slots=True)
class Failure:
    """`answer`: the status, asked-for headers and beginning of what the API answered, by which the
    database finds the class; `error_class` counts where none came."""

    error_class: ErrorClass
    message: str
    answer: Json | None = field(default=None, repr=False)


class Outcome(_Answer):
    """`outcome`: completed, cancelled, retry, delayed, postponed, released, failed or refused;
    `look_again_ms`: when a chunk that was not finished falls due."""

    queue_id: int
    outcome: str
    code: str | None = None
    message: str | None = None
    records: int | None = None
    changed: int | None = None
    look_again_ms: int | None = None


class Outcomes(_Answer):
    outcomes: tuple[Outcome, ...]
    blocked_budgets: tuple[BlockedBudget, ...] = ()


class FailureOutcome(Outcome):
    """Of the one chunk that failed."""

    blocked_budgets: tuple[BlockedBudget, ...] = ()


class Extension(_Answer):
    lease_ms: int
    lost: frozenset[int] = frozenset()
    cancelled: frozenset[int] = frozenset()
    blocked_budgets: tuple[BlockedBudget, ...] = ()
