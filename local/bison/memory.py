"""What some rules remember from request to request."""

import math
from collections import Counter, deque
from collections.abc import Mapping
from random import Random

from local.bison.faults import Chaos, PlainFault, RateLimit, Status, TokenBucket
from local.bison.traffic import SeenRequest

Asked = tuple[str | None, str, int | None]


class Limiter:
    """Any second holds at most `per_second` requests that are let through."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._let_through: deque[float] = deque()
        self._blanket_until_ms = 0.0

    def judge(self, now_ms: float) -> Status | None:
        passed = self._let_through
        while passed and passed[0] <= now_ms - 1_000:
            passed.popleft()
        if now_ms >= self._blanket_until_ms and len(passed) < self._limit.per_second:
            passed.append(now_ms)
            return None
        if now_ms >= self._blanket_until_ms:
            self._blanket_until_ms = now_ms + self._limit.blanket_s * 1_000
        return Status(status=429, retry_after_s=self._limit.retry_after_s)


class Buckets:
    """Tokens by key, or of the one instance (None); full before the first request."""

    def __init__(self, limit: TokenBucket) -> None:
        self._limit = limit
        self._tokens: dict[str | None, tuple[float, float]] = {}

    def judge(self, request: SeenRequest) -> Status | None:
        limit, owner = self._limit, self._owner(request)
        tokens, counted_ms = self._tokens.get(owner, (limit.burst, request.arrived_ms))
        now_ms = max(counted_ms, request.arrived_ms)
        tokens = min(limit.burst, tokens + (now_ms - counted_ms) * limit.per_second / 1_000)
        # Rounded, so that a request that comes after exactly the time that it was told is let in.
        is_let_in = round(tokens, 9) >= 1
        self._tokens[owner] = (tokens - 1 if is_let_in else tokens, now_ms)
        if is_let_in:
            return None
        return Status(status=429, retry_after_s=_whole_seconds((1 - tokens) / limit.per_second))

    def headers(self, request: SeenRequest) -> Mapping[str, str]:
        """What the answer to the request that was just judged says of its bucket."""
        limit, (tokens, _) = self._limit, self._tokens[self._owner(request)]
        return {
            "x-ratelimit-limit": str(limit.burst),
            "x-ratelimit-remaining": str(math.floor(round(tokens, 9))),
            "x-ratelimit-reset": str(_whole_seconds((limit.burst - tokens) / limit.per_second)),
        }

    def _owner(self, request: SeenRequest) -> str | None:
        return request.workspace if self._limit.per == "key" else None


def _whole_seconds(seconds: float) -> int:
    return math.ceil(round(seconds, 9))


class Dice:
    """Thrown anew for each time that the same is asked for."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._throws: Counter[Asked] = Counter()
        self._in_a_row: Counter[Asked] = Counter()

    def throw(self, request: SeenRequest) -> PlainFault | None:
        asked = (request.workspace, request.path, request.page)
        self._throws[asked] += 1
        random = Random(f"{self._chaos.seed} {asked} {self._throws[asked]}")
        if self._in_a_row[asked] == self._chaos.in_a_row or random.random() >= self._chaos.rate:
            self._in_a_row[asked] = 0
            return None
        self._in_a_row[asked] += 1
        return random.choice(self._chaos.faults)
