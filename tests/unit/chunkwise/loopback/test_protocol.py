"""The protocol's objects, their secrets and the leases a worker holds."""

import pytest

from chunkwise.errors import ProtocolError
from chunkwise.gateway.protocol import BlockedBudget, Claim
from chunkwise.secret import Secret, mask
from chunkwise.worker.leases import Leases, Stage
from loopback.leases import KEY, claim_json, lease_to

URL = "https://bison.example/api"


def test_unknown_fields_are_ignored() -> None:
    claim = claim_json(URL, colour="blue") | {"reason": "budget"}
    assert Claim.from_json(claim, asked_at=0).leases[0].queue_id == 4711


def test_a_credential_that_cannot_be_sent_is_refused() -> None:
    claim = claim_json(URL)
    claim["credentials"]["12"]["in"] = "body"
    with pytest.raises(ProtocolError):
        Claim.from_json(claim, asked_at=0)


def test_a_lease_does_not_show_its_key() -> None:
    lease = lease_to(URL)
    assert KEY not in f"{lease!r} {lease}"
    assert lease.credential is not None
    assert lease.credential.value.reveal() == f"Bearer {KEY}"


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

    assert leases.unsent_of([BlockedBudget(3, 1000)]) == [unsent]
