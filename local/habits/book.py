"""The truth about one list: its records, in its order, and what happened to them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from random import Random
from typing import Any, TypeAlias

from local.habits.habit import Listing, Scalar

Record: TypeAlias = dict[str, Any]
Id: TypeAlias = int | str
AGE = timedelta(days=30)
WORDS = ("amber", "birch", "cobalt", "dune", "ember", "fjord", "garnet", "heath", "iris", "jade")
REMOVED = "deleted"


class Book:
    """`live` and `records` are the truth: ids that a complete reader has, with what they say.

    Not for several threads: its API's lock guards it.
    """

    def __init__(self, listing: Listing, seed: str, last_number: int = 0) -> None:
        self.listing = listing
        self._random = Random(seed)
        self._seed = seed
        self._last_number = last_number
        self._began = datetime.now(UTC) - AGE
        self.touched = self._began
        self._records: dict[Id, Record] = {}
        self._changed_at: dict[Id, datetime] = {}
        self._born: dict[Id, int] = {}
        self._moment = 0
        self._ordered: list[Record] | None = None
        self.hidden: set[Id] = set()

    @property
    def records(self) -> dict[Id, Record]:
        """What a reader should have, by id."""
        return {
            record_id: dict(record)
            for record_id, record in self._records.items()
            if record_id not in self.hidden and record["status"] != REMOVED
        }

    @property
    def live(self) -> set[Id]:
        return set(self.records)

    def fill(self, count: int) -> None:
        """The first records, created one after the other up to now."""
        every = self.listing.filtered_every
        for number in range(count):
            record_id = self._new({}, self._began + AGE * number / count)
            if every and number % every == 0:
                self.hide(record_id)

    def add(self, count: int = 1, **fields: Any) -> list[Id]:  # noqa: ANN401  # JSON
        """Generated records; of `fields`, as they are given."""
        return [self._new(fields, datetime.now(UTC)) for _ in range(count)]

    def change(self, record_id: Id, **fields: Any) -> None:  # noqa: ANN401  # JSON
        """`amount` is changed if nothing is named; `updated_at` follows."""
        record = self._records[record_id]
        now = datetime.now(UTC)
        record |= fields or {"amount": record["amount"] + 1}
        record["updated_at"] = self._time(now)
        self._changed_at[record_id] = self.touched = now
        self._ordered = None

    def remove(self, *record_ids: Id) -> None:
        """Out of the list; where it keeps what was removed, as `status: deleted`."""
        self._moment += 1
        self.touched = datetime.now(UTC)
        for record_id in record_ids:
            if self.listing.keeps_removed:
                self.change(record_id, status=REMOVED)
            else:
                del self._records[record_id]
            self._born.pop(record_id)
        self._ordered = None

    def hide(self, *record_ids: Id) -> None:
        """Archived: in no list any more, but its own GET answers."""
        self.hidden.update(record_ids)

    def disturb(self, what: str) -> None:
        """What `Churn` names, to a random record."""
        chosen = self._random.choice(sorted(self.live, key=str)) if self.live else None
        if chosen is None:
            self.add()
        elif what == "change":
            self.change(chosen)
        else:
            if what in ("remove", "swap"):
                self.remove(chosen)
            if what in ("add", "swap"):
                self.add()

    @property
    def moment(self) -> int:
        """Of now, for `steady`."""
        return self._moment

    def steady(self, since: int) -> set[Id]:
        """Records that were there throughout since then."""
        return {
            record_id for record_id in self.live if self._born.get(record_id, since + 1) <= since
        }

    def get(self, record_id: Id) -> Record | None:
        return self._records.get(record_id)

    def ordered(self, ties_by: str | None = None) -> list[Record]:
        """All, in the list's order; `ties_by`: equal ones in an order of this name."""
        if self._ordered is None or ties_by is not None:
            records = sorted(self._records.values(), key=self.place)
            if ties_by is not None:
                records.sort(key=lambda record: _digest(f"{ties_by} {record['id']}"))
                records.sort(key=lambda record: self.place(record)[0])
            if self.listing.descending:
                records.reverse()
            if ties_by is not None:
                return records
            self._ordered = records
        return self._ordered

    def place(self, record: Record) -> tuple[Any, Any]:
        """Where it stands in the order: its key, then its id."""
        return record[self.listing.order], record["id"]

    def changed_since(self, record: Record, since: datetime) -> bool:
        return self._changed_at[record["id"]].replace(microsecond=0) >= since

    def _new(self, fields: Mapping[str, Any], created: datetime) -> Id:
        self._last_number += 1
        number = self._last_number
        name = f"{self._random.choice(WORDS)} {self._random.choice(WORDS)} {number}"
        stamp = self._time(created)
        if self.listing.tied > 1:
            stamp = self._time(self._began + AGE * ((number - 1) // self.listing.tied) / 10_000)
        record: Record = {
            "id": self._id(number),
            "name": name,
            "amount": self._random.randint(1, 10_000),
            "status": "active",
            "created_at": stamp,
            "updated_at": stamp,
            **fields,
        }
        record_id: Id = record["id"]
        self._moment += 1
        self._records[record_id] = record
        self._changed_at[record_id] = created
        self.touched = max(self.touched, created)
        self._born[record_id] = self._moment
        self._ordered = None
        return record_id

    def _id(self, number: int) -> Id:
        if self.listing.id_type == "integer":
            return number
        return f"rec_{_digest(f'{self._seed} {number}')}"

    def _time(self, moment: datetime) -> Scalar:
        match self.listing.time_format:
            case "iso":
                return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            case "epoch":
                return int(moment.timestamp())
            case "epoch_ms":
                return int(moment.timestamp() * 1_000)


def _digest(text: str) -> str:
    return blake2s(text.encode(), digest_size=6).hexdigest()
