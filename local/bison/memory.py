"""What some rules remember from request to request."""

from collections import Counter, deque
from random import Random

from local.bison.faults import Chaos, PlainFault, RateLimit, Status
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
