"""What the fleets consist of."""

import json
import re
from collections import Counter

import pytest

from local.bison.fleet import (
    DEFAULT_LARGEST,
    Fleet,
    FleetError,
    FleetSpec,
    default_fleet,
    scaled_fleet,
    to_json,
)
from local.bison.pages import last_page

FIELDS = [
    "id", "name", "email", "email_signature", "imap_server", "imap_port", "smtp_server",
    "smtp_port", "daily_limit", "type", "status", "warmup_enabled", "emails_sent_count",
    "total_replied_count", "total_opened_count", "unsubscribed_count", "bounced_count",
    "unique_replied_count", "unique_opened_count", "total_leads_contacted_count",
    "interested_leads_count", "created_at", "updated_at", "tags",
]  # fmt: skip


def records(fleet: Fleet) -> list[bytes]:
    return [record for workspace in fleet for record in workspace.raw(workspace.ids)]


def accounts(fleet: Fleet, name: str) -> list[dict[str, object]]:
    workspace = fleet.workspace(name)
    return [json.loads(record) for record in workspace.raw(workspace.ids)]


def test_default_fleet_has_26_workspaces_4839_accounts_335_pages() -> None:
    fleet = Fleet(default_fleet(), seed=1)
    workspaces = list(fleet)
    ids = {account_id for workspace in workspaces for account_id in workspace.ids}

    assert len(workspaces) == 26
    assert sum(len(workspace.ids) for workspace in workspaces) == len(ids) == 4_839
    assert sum(last_page(workspace) for workspace in workspaces) == 335
    assert sum(15 <= len(workspace.ids) <= 200 for workspace in workspaces) == 19
    assert len({workspace.key for workspace in workspaces}) == 26
    assert len({workspace.id for workspace in workspaces}) == 26


def test_largest_workspace_has_433_ids_on_29_pages_but_360_emails() -> None:
    fleet = Fleet(default_fleet(), seed=1)
    largest = accounts(fleet, DEFAULT_LARGEST)

    assert last_page(fleet.workspace(DEFAULT_LARGEST)) == 29
    assert len({account["id"] for account in largest}) == len(largest) == 433
    assert len({account["email"] for account in largest}) == 360


def test_every_account_has_the_fields_of_the_api_in_its_forms() -> None:
    fleet = Fleet(FleetSpec({"acme": 300}), seed=1)
    everyone = accounts(fleet, "acme")

    assert all(list(account) == FIELDS for account in everyone)
    for account in everyone:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z", str(account["updated_at"]))
    statuses = Counter(account["status"] for account in everyone)
    types = Counter(account["type"] for account in everyone)
    assert set(statuses) == {"Connected", "Disconnected", "Failed", "Not connected"}
    assert set(types) == {"Inbox", "google_workspace_oauth", "microsoft_oauth"}
    tags = [tag for account in everyone for tag in account["tags"]]  # type: ignore[attr-defined]
    assert tags
    assert all(set(tag) == {"id", "name", "default"} for tag in tags)


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    spec = FleetSpec({"acme": 40, "zen": 3})
    first, again, other = Fleet(spec, seed=1), Fleet(spec, seed=1), Fleet(spec, seed=2)

    assert records(first) == records(again) != records(other)
    assert [workspace.key for workspace in first] == [workspace.key for workspace in again]


def test_ids_of_the_workspaces_interleave() -> None:
    fleet = Fleet(FleetSpec({"acme": 40, "zen": 40}), seed=1)
    acme, zen = (fleet.workspace(name).ids for name in ("acme", "zen"))

    assert acme[0] < zen[-1]
    assert zen[0] < acme[-1]


def test_scaled_fleet_gives_one_large_workspace_and_shares_the_rest() -> None:
    spec = scaled_fleet(workspaces=26, accounts=11_000, largest=1_600)

    assert len(spec.sizes) == 26
    assert sum(spec.sizes.values()) == 11_000
    assert max(spec.sizes.values()) == 1_600
    assert set(spec.sizes.values()) == {376, 1_600}


@pytest.mark.parametrize(("workspaces", "accounts", "largest"), [(0, 1, 1), (1, 5, 4), (3, 5, 6)])
def test_scaled_fleet_that_cannot_be_is_refused(
    workspaces: int, accounts: int, largest: int
) -> None:
    with pytest.raises(FleetError):
        scaled_fleet(workspaces=workspaces, accounts=accounts, largest=largest)


def test_json_is_compact_and_ascii() -> None:
    assert to_json({"name": "Zoë", "n": None}) == b'{"name":"Zo\\u00eb","n":null}'
