"""Fault switches: rules that say which requests go wrong, how, and how often.

A request takes every rule it matches, in the order the rules were set: each `Hold`, `Mutate` and
`Size` counts, and of `Status` and `Body` the first one answers (later ones keep their `times`).

A new switch is one more dataclass with a literal `fault` in the union `Fault`, plus the place where
it acts: `api.answer` if it changes an answer, `FaultBook` if it needs state between requests.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from local.bison.changes import Change
from local.bison.traffic import Kind, SeenRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests; None is any. A refused key's requests match nothing: they get their 401."""

    workspace: str | None = None
    kind: Kind | None = None
    page: int | None = None

    def fits(self, request: SeenRequest) -> bool:
        return (
            self.workspace in (None, request.workspace)
            and self.kind in (None, request.kind)
            and self.page in (None, request.page)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`{"message": …}` with this status; `retry_after_s` is the header, None leaves it out."""

    status: int
    retry_after_s: int | None = None
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


Fault: TypeAlias = Status | Body | Size | Hold | Mutate


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request has coming."""

    hold_rules: tuple[int, ...] = ()
    before: tuple[Change, ...] = ()
    after: tuple[Change, ...] = ()
    answer: Status | Body | None = None
    size: int = 0


class FaultBook:
    """The rules, how often each fired, and the requests held now. One event loop only."""

    def __init__(self) -> None:
        self._rules: dict[int, RuleState] = {}
        self._last_rule_id = 0
        self._held: list[tuple[int, asyncio.Event]] = []
        self._moved = asyncio.Condition()

    def add(self, rule: Rule) -> int:
        self._last_rule_id += 1
        self._rules[self._last_rule_id] = RuleState(rule_id=self._last_rule_id, rule=rule)
        return self._last_rule_id

    def states(self) -> list[RuleState]:
        return list(self._rules.values())

    def clear(self, rule_id: int | None = None) -> None:
        """Forget one rule or all; what they hold goes on."""
        self.release(rule_id)
        if rule_id is None:
            self._rules.clear()
        else:
            self._rules.pop(rule_id, None)

    def plan(self, request: SeenRequest) -> Plan:
        plan = Plan()
        for state in [state for state in self._rules.values() if state.rule.match.fits(request)]:
            if plan.answer and isinstance(state.rule.fault, Status | Body):
                continue
            now = replace(state, matched=state.matched + 1)
            if now.is_due:
                now = replace(now, fired=now.fired + 1)
                plan = _with_fault(plan, now)
            self._rules[now.rule_id] = now
        return plan

    async def hold(self, rule_id: int) -> None:
        """Wait until released. Cancelled if the client goes away."""
        held = (rule_id, asyncio.Event())
        try:
            async with self._moved:
                self._held.append(held)
                self._moved.notify_all()
            await held[1].wait()
        finally:
            self._held.remove(held)

    def release(self, rule_id: int | None = None, count: int | None = None) -> int:
        """Let held requests go, oldest first; how many there were."""
        going = [
            event
            for holder, event in self._held
            if rule_id in (None, holder) and not event.is_set()
        ][:count]
        for event in going:
            event.set()
        return len(going)

    def held_count(self, rule_id: int | None = None) -> int:
        return sum(rule_id in (None, holder) and not event.is_set() for holder, event in self._held)

    async def wait_until_held(self, at_least: int, rule_id: int | None) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self.held_count(rule_id) >= at_least)


def workspaces_named(rule: Rule) -> Iterable[str]:
    """The workspaces that a rule speaks of, so that a typing error is refused when it is set."""
    if rule.match.workspace is not None:
        yield rule.match.workspace
    if isinstance(rule.fault, Mutate):
        yield from (change.workspace for change in rule.fault.changes)


def _with_fault(plan: Plan, state: RuleState) -> Plan:
    match state.rule.fault:
        case Hold():
            return replace(plan, hold_rules=(*plan.hold_rules, state.rule_id))
        case Mutate(when="before", changes=changes):
            return replace(plan, before=plan.before + changes)
        case Mutate(changes=changes):
            return replace(plan, after=plan.after + changes)
        case Size(size=size):
            return replace(plan, size=max(plan.size, size))
        case Status() | Body() as answer:
            return replace(plan, answer=answer)
