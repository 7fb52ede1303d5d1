"""What an API of a habit saw."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request and how it ended. `kind`: a list's name, `<list> item`, `token` or `other`;
    `target`: path and query; `credential`: as it came; `sent`: bytes of the answer's body."""

    kind: str
    target: str
    body: str
    credential: str | None
    headers: Mapping[str, str]
    status: int = 0
    sent: int = 0


class Record:
    """All requests since the last reset, in order of arrival, and the most at once."""

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._last_number = 0
        self._in_flight: set[int] = set()
        self.peak = 0

    def arrive(self, seen: Seen) -> int:
        self._last_number += 1
        self._seen[self._last_number] = seen
        self._in_flight.add(self._last_number)
        self.peak = max(self.peak, len(self._in_flight))
        return self._last_number

    def leave(self, number: int, status: int, sent: int) -> None:
        self._in_flight.discard(number)
        if number in self._seen:
            self._seen[number] = replace(self._seen[number], status=status, sent=sent)

    def reset(self) -> None:
        self._seen.clear()
        self.peak = len(self._in_flight)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def arrived(self) -> int:
        """How many there ever were."""
        return self._last_number

    def requests(self, kind: str | None = None) -> list[Seen]:
        return [seen for seen in self._seen.values() if kind in (None, seen.kind)]

    def statuses(self, kind: str | None = None) -> Counter[int]:
        return Counter(seen.status for seen in self.requests(kind))
