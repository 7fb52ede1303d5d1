"""The rules that are set, how often each fired, and what one request has coming."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from local.bison.changes import Change
from local.bison.faults import (
    Body,
    Chaos,
    Conversations,
    Cursors,
    Hold,
    MovingItems,
    Mutate,
    OtherWorkspace,
    PageTrap,
    Paging,
    PlainFault,
    RateLimit,
    RepeatedIds,
    Rule,
    RuleState,
    Size,
    Status,
    TokenBucket,
)
from local.bison.memory import Buckets, Dice, Limiter
from local.bison.traffic import SeenRequest
from local.delivery import Break, Drip

PageTraps = tuple[PageTrap, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request has coming."""

    hold_rules: tuple[int, ...] = ()
    before: tuple[Change, ...] = ()
    after: tuple[Change, ...] = ()
    answer: Status | Body | None = None
    size: int = 0
    traps: PageTraps = ()
    serves: str | None = None
    delivery: Break | Drip | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class FaultBook:
    """The rules, how often each fired, and the requests held now. One event loop only."""

    def __init__(self) -> None:
        self._rules: dict[int, RuleState] = {}
        self._memories: dict[int, Buckets | Dice | Limiter] = {}
        self._last_rule_id = 0
        self._held: list[tuple[int, asyncio.Event]] = []
        self._moved = asyncio.Condition()

    def add(self, rule: Rule) -> int:
        self._last_rule_id += 1
        self._rules[self._last_rule_id] = RuleState(rule_id=self._last_rule_id, rule=rule)
        if isinstance(rule.fault, Chaos):
            self._memories[self._last_rule_id] = Dice(rule.fault)
        elif isinstance(rule.fault, RateLimit):
            self._memories[self._last_rule_id] = Limiter(rule.fault)
        elif isinstance(rule.fault, TokenBucket):
            self._memories[self._last_rule_id] = Buckets(rule.fault)
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
            fault = self._fault_now(now, request)
            if fault is not None:
                now = replace(now, fired=now.fired + 1)
                plan = _with_fault(plan, now, fault)
            self._rules[now.rule_id] = now
            memory = self._memories.get(now.rule_id)
            if isinstance(memory, Buckets):
                plan = replace(plan, headers={**plan.headers, **memory.headers(request)})
        return plan

    def _fault_now(self, state: RuleState, request: SeenRequest) -> PlainFault | None:
        """What the match just counted gets of this rule."""
        fault: PlainFault | None
        match self._memories.get(state.rule_id), state.rule.fault:
            case Limiter() as limiter, _:
                fault = limiter.judge(request.arrived_ms)
            case Buckets() as buckets, _:
                fault = buckets.judge(request)
            case Dice() as dice, _:
                fault = dice.throw(request)
            case _, Chaos() | RateLimit() | TokenBucket():
                fault = None
            case _, plain:
                fault = plain
        return fault if state.is_due else None

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


def _with_fault(plan: Plan, state: RuleState, fault: PlainFault) -> Plan:
    match fault:
        case Hold():
            return replace(plan, hold_rules=(*plan.hold_rules, state.rule_id))
        case Mutate(when="before", changes=changes):
            return replace(plan, before=plan.before + changes)
        case Mutate(changes=changes):
            return replace(plan, after=plan.after + changes)
        case Size(size=size):
            return replace(plan, size=max(plan.size, size))
        case Status() | Body() as answer:
            return replace(plan, answer=plan.answer or answer)
        case Break() | Drip() as delivery:
            return replace(plan, delivery=plan.delivery or delivery)
        case OtherWorkspace(serves=name):
            return replace(plan, serves=name)
        case MovingItems(by=by):
            return replace(plan, traps=(*plan.traps, MovingItems(by=by * state.fired)))
        case Paging() | RepeatedIds() | Cursors() | Conversations() as trap:
            return replace(plan, traps=(*plan.traps, trap))
