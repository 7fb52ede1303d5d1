"""Fault switches: rules that say which requests go wrong, how, and how often.

A request takes every rule it matches, in the order the rules were set: each counts, but of what
answers in place of the page (`Status`, `Body`, a limiter's refusal) and of what spoils the delivery
(`Break`, `Drip`) only the first (a later `Status` or `Body` keeps its `times`).

A new switch is one more dataclass with a literal `fault` in the union `Fault`, plus the place where
it acts: `pages` if it is about a page, `delivery` if it is about the wire, `api.answer` if it
changes any answer, `faultbook` if it needs state between requests.

Three habits of the API need no switch, they are always on: `per_page` and `workspace_id` are
ignored, and `links` carry no parameter but `page`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, PositiveFloat, PositiveInt

from local.bison.changes import Change
from local.bison.traffic import Kind, SeenRequest
from local.delivery import Break, Drip


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests; None is any. A refused key's requests match nothing: they get their 401."""

    workspace: str | None = None
    kind: Kind | None = None
    page: int | None = None
    from_page: int | None = None
    item: int | None = None

    def fits(self, request: SeenRequest) -> bool:
        return (
            self.workspace in (None, request.workspace)
            and self.kind in (None, request.kind)
            and self.page in (None, request.page)
            and self.item in (None, request.item)
            and (self.from_page is None or (request.page or 0) >= self.from_page)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`{"message": …}` with this status; `retry_after_s` stands in the header Retry-After, or in
    the body as `retry_after`; None leaves it out."""

    status: int
    retry_after_s: int | None = None
    retry_after_in: Literal["header", "body"] = "header"
    fault: Literal["status"] = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Exactly these bytes instead of the page (base64 on the wire)."""

    content: bytes
    status: int = 200
    content_type: str = "application/json"
    fault: Literal["body"] = "body"
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        ser_json_bytes="base64", val_json_bytes="base64"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Blanks at the end of the body, up to `size` bytes in all."""

    size: int
    fault: Literal["size"] = "size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The request waits for `release`, and is answered from the data as they are then."""

    fault: Literal["hold"] = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutate:
    """Change the fleet right before or right after this answer is made, so between two pages."""

    changes: tuple[Change, ...]
    when: Literal["before", "after"] = "after"
    fault: Literal["mutate"] = "mutate"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A 429 for whatever comes faster than `per_second`, and for everything in the `blanket_s`
    after it. What the rule does not match does not count."""

    per_second: PositiveInt
    blanket_s: float = 0
    retry_after_s: int | None = None
    fault: Literal["rate_limit"] = "rate_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket:
    """A limiter as gateways have it: each request takes a token of its instance's or of its key's
    bucket, which holds `burst` of them and gets `per_second`; without a whole one it is a 429.

    Every answer says `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds until the bucket is
    full); a 429 also `Retry-After`, until there is a token, in whole seconds, rounded up. What the
    rule does not match takes no token."""

    per_second: PositiveFloat
    burst: PositiveInt = 1
    per: Literal["instance", "key"] = "instance"
    fault: Literal["token_bucket"] = "token_bucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherWorkspace:
    """The key is good, but for this workspace: its accounts, its user."""

    serves: str
    fault: Literal["other_workspace"] = "other_workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """`no_meta`: there is no `meta`; `cursor`: the install pages by cursor now, whatever `page`
    says; `endless`: `last_page` is always one more; `endless_links`: only `links.next` is."""

    how: Literal["no_meta", "cursor", "endless", "endless_links"]
    fault: Literal["paging"] = "paging"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedIds:
    """The first records of a page are the last ones of the page before, instead of its own."""

    count: int = 1
    fault: Literal["repeated_ids"] = "repeated_ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingItems:
    """Before each page that is read, so many records move from the end of the list to its top."""

    by: int = 1
    fault: Literal["moving_items"] = "moving_items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursors:
    """The next cursor is the one that was asked for, or leads back above it."""

    how: Literal["repeats", "backwards"]
    fault: Literal["cursors"] = "cursors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """`empty`: no message; `flat`: other keys; `strangers`: also a message that no feed shows;
    `repeated`: each message several times; `unreadable`: nothing that looks like a message."""

    how: Literal["empty", "flat", "strangers", "repeated", "unreadable"]
    fault: Literal["conversations"] = "conversations"


PageTrap: TypeAlias = Paging | RepeatedIds | MovingItems | Cursors | Conversations
PlainFault: TypeAlias = (
    Status | Body | Size | Hold | Mutate | Break | Drip | OtherWorkspace | PageTrap
)
# What passes: a client that tries again gets the page.
PASSING: tuple[PlainFault, ...] = (
    Status(status=429),
    Status(status=429, retry_after_s=0),
    Status(status=429, retry_after_s=0, retry_after_in="body"),
    Status(status=500),
    Break(how="reset"),
    Break(how="reset", after_bytes=100),
    Break(how="cut", after_bytes=100),
    Break(how="hang"),
    Drip(parts=5, pause_ms=20),
    Body(content=b"<html>Just a moment</html>", content_type="text/html"),
    Body(content=b'{"success":false,"message":"The list is being rebuilt."}'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """A share of the requests get one of the faults, `in_a_row` at most for the same path and page.

    Which request gets which depends on the seed, its path and page and how often it was asked for,
    not on the order of arrival: the same seed gives the same faults.
    """

    seed: int
    rate: float
    faults: tuple[PlainFault, ...] = PASSING
    in_a_row: int = 1
    fault: Literal["chaos"] = "chaos"


Fault: TypeAlias = PlainFault | RateLimit | TokenBucket | Chaos


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`nth`: the match it first fires at; `times`: how often from then on, None for ever."""

    fault: Fault
    match: Match = field(default_factory=Match)
    nth: int = 1
    times: int | None = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    rule_id: int
    rule: Rule
    matched: int = 0
    fired: int = 0

    @property
    def is_due(self) -> bool:
        """Whether the match just counted fires."""
        return self.matched >= self.rule.nth and not self.is_spent

    @property
    def is_spent(self) -> bool:
        return self.rule.times is not None and self.fired >= self.rule.times


def workspaces_named(rule: Rule) -> Iterable[str]:
    """The workspaces that a rule speaks of, so that a typing error is refused when it is set."""
    if rule.match.workspace is not None:
        yield rule.match.workspace
    for fault in rule.fault.faults if isinstance(rule.fault, Chaos) else (rule.fault,):
        if isinstance(fault, Mutate):
            yield from (change.workspace for change in fault.changes)
        elif isinstance(fault, OtherWorkspace):
            yield fault.serves
