"""The protocol's objects, their secrets and the leases a worker holds."""

import pytest
from pydantic import ValidationError

from chunkwise.gateway.protocol import BlockedBudget, Claim, Extension, Request, Unreadable
from chunkwise.secret import Secret, mask
from chunkwise.worker.leases import Leases, Stage
from loopback.leases import KEY, claim_json, lease_to, leased

URL = "https://bison.example/api"


def test_what_the_database_adds_later_is_ignored() -> None:
    claim = claim_json(URL, colour="blue") | {"colour": "red"}
    claim["leases"][0]["request"]["colour"] = "blue"
    claim["leases"][0]["credentials"][0]["expires_at"] = "tomorrow"
    claim["blocked_budgets"] = [{"budget_id": 3, "for_ms": 5, "why": "429"}]

    lease = leased(claim)

    assert lease == lease_to(URL).model_copy(update={"answered_at": lease.answered_at})


def test_null_is_as_left_out() -> None:
    claim = claim_json(URL, send_after_ms=None, budget_id=None, attempt=None)
    claim["leases"][0]["request"] |= {
        "method": None,
        "params": None,
        "headers": None,
        "reach": None,
    }
    claim["leases"][0]["credentials"] = None
    claim |= {"blocked_budgets": None}

    lease = leased(claim)

    assert (lease.send_after_ms, lease.budget_id, lease.attempt) == (0, None, 1)
    assert lease.request == Request(url=URL)
    assert lease.credentials == ()
    nothing = {"lost": None, "cancelled": None, "blocked_budgets": [{"budget_id": 3}]}
    extension = Extension.model_validate({"lease_ms": 20_000} | nothing)
    assert (extension.lost, extension.cancelled) == (frozenset(), frozenset())
    assert extension.blocked_budgets == (BlockedBudget(budget_id=3, for_ms=0),)


def test_a_lease_is_not_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        lease_to(URL).lease_token = 2  # type: ignore[misc]


def test_a_lease_does_not_show_its_key() -> None:
    lease = lease_to(URL)
    assert KEY not in f"{lease!r} {lease} {lease.model_dump()}"
    assert [secret.reveal() for secret in lease.secrets] == [f"Bearer {KEY}"]


def test_a_credential_that_cannot_be_sent_costs_its_own_leases_only() -> None:
    claim = claim_json(URL)
    credential = {"in": "body", "name": "key", "value": KEY}
    claim["leases"].append({**claim["leases"][0], "credentials": [credential]})

    whole, keyless = Claim.model_validate(claim).framed(asked_at=0).leases

    assert whole == leased(claim_json(URL)).model_copy(update={"answered_at": whole.answered_at})
    assert isinstance(keyless.credentials, Unreadable)
    assert KEY not in keyless.credentials.why
    assert keyless.secrets == []


@pytest.mark.parametrize("missing", ["queue_id", "lease_token", "lease_ms"])
def test_a_lease_that_cannot_be_ended_is_none(missing: str) -> None:
    claim = claim_json(URL)
    del claim["leases"][0][missing]
    with pytest.raises(ValidationError):
        Claim.model_validate(claim)


def test_an_unknown_class_is_permanent() -> None:
    assert lease_to(URL, status_classes={"2xx": "video"}).class_of(200) == "permanent"
    assert lease_to(URL, status_classes={}).class_of(200) == "permanent"


def test_of_two_secrets_the_longer_is_masked_whole() -> None:
    assert mask("abc-def abc", [Secret("abc"), Secret("abc-def")]) == "*** ***"
    assert mask("nothing", [Secret("")]) == "nothing"


def test_a_newer_token_for_a_chunk_replaces_the_older_lease() -> None:
    leases = Leases()
    older = leases.add(lease_to(URL, lease_token=1))
    newer = leases.add(lease_to(URL, lease_token=2))

    leases.forget(older)

    assert not older.to_fetch
    assert leases.holds(newer)
    assert not leases.holds(older)


def test_only_unsent_leases_of_a_blocked_budget_are_handed_back() -> None:
    leases = Leases()
    unsent = leases.add(lease_to(URL, queue_id=1, budget_id=3))
    sent = leases.add(lease_to(URL, queue_id=2, budget_id=3))
    sent.stage = Stage.SENT
    leases.add(lease_to(URL, queue_id=3, budget_id=4))

    assert leases.unsent_of([BlockedBudget(budget_id=3, for_ms=1000)]) == [unsent]
