"""A worker's four calls, made by SQL on a connection of its own, as role service_role."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.accounts import Accounts, Answer
from tests.support.db import Db, Row


@dataclass(frozen=True, slots=True)
class Lease:
    """What a claim gave, with the part of its answer that tests look at."""

    queue_id: int
    token: int
    workspace: str
    send_after_ms: int
    request: dict[str, Any]

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Lease":
        return cls(
            answer["queue_id"],
            answer["lease_token"],
            answer["workspace"],
            answer["send_after_ms"],
            answer["request"],
        )

    @property
    def page(self) -> int | None:
        number = dict(self.request["params"]).get("page")
        return None if number is None else int(number)


@dataclass(frozen=True, slots=True)
class SqlWorker:
    """`db` is the connection: begin a transaction on it to hold a call open."""

    db: Db
    name: str

    def claim(self, limit: int = 100) -> list[Lease]:
        return leases_of(self.claim_answer(limit))

    def claim_answer(self, limit: int = 100) -> dict[str, Any]:
        return self._call(
            "select claim_next_chunk_job_safe(:worker, cast(:limit as int), p_protocol => 2)",
            worker=self.name,
            limit=limit,
        )

    def claim_id(self, queue_id: int) -> dict[str, Any]:
        return self._call(
            "select claim_chunk_job_safe(cast(:id as bigint), :worker, 2)",
            id=queue_id,
            worker=self.name,
        )

    def complete(self, lease: Lease, answer: Answer) -> dict[str, Any]:
        """The outcome of the batch verb for one page."""
        (outcome,) = self.complete_all([(lease, answer)])
        return outcome

    def complete_all(self, pages: Iterable[tuple[Lease, Answer]]) -> list[dict[str, Any]]:
        handed_over = [
            {
                "queue_id": lease.queue_id,
                "lease_token": lease.token,
                "status": answer.status,
                "body": answer.body,
                "duration_ms": 1,
            }
            for lease, answer in pages
        ]
        outcomes: list[dict[str, Any]] = self._call(
            "select complete_chunk_jobs_safe(cast(:pages as jsonb))", pages=json.dumps(handed_over)
        )["outcomes"]
        return outcomes

    def complete_from(self, lease: Lease, accounts: Accounts) -> dict[str, Any]:
        return self.complete(lease, accounts.answer(lease.request))

    def fail(
        self, lease: Lease, error_class: str, message: str = "", retry_after: float | None = None
    ) -> dict[str, Any]:
        return self._call(
            "select fail_chunk_job_safe(cast(:id as bigint), cast(:token as bigint), :class, "
            ":message, cast(:retry_after as numeric))",
            id=lease.queue_id,
            token=lease.token,
            **{"class": error_class},
            message=message,
            retry_after=retry_after,
        )

    def extend(self, leases: Iterable[Lease]) -> dict[str, Any]:
        held = [{"queue_id": lease.queue_id, "lease_token": lease.token} for lease in leases]
        return self._call("select extend_chunk_leases(cast(:held as jsonb))", held=json.dumps(held))

    def sweep(self) -> int:
        return int(self.db.value("select cleanup_stuck_chunks()"))

    def start(self, name: str = "test", workspaces: list[str] | None = None) -> dict[str, Any]:
        return self._call(
            "select start_sync_job(:name, null, cast(:workspaces as text[]))",
            name=name,
            workspaces=workspaces,
        )

    def cancel(self, job_id: str) -> dict[str, Any]:
        return self._call("select cancel_sync_job(cast(:id as uuid))", id=job_id)

    def start_past_page_one(self, accounts: dict[str, Accounts]) -> str:
        """Start a job of these workspaces and hand over their first pages; returns its id."""
        job_id = str(self.start(workspaces=list(accounts))["job_id"])
        for lease in self.claim():
            assert self.complete_from(lease, accounts[lease.workspace])["outcome"] == "completed"
        return job_id

    def drain(self, accounts: Mapping[str, Accounts]) -> None:
        """Claim and complete until nothing is ready."""
        while leases := self.claim():
            self.complete_all(
                (lease, accounts[lease.workspace].answer(lease.request)) for lease in leases
            )

    def _call(self, sql: str, **arguments: object) -> dict[str, Any]:
        answer: dict[str, Any] = self.db.value(sql, **arguments)
        return answer


NewWorker = Callable[[], SqlWorker]


def leases_of(answer: Row) -> list[Lease]:
    return [Lease.of(lease) for lease in answer["leases"]]
