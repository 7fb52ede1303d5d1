"""Accounts are added, changed, removed and brought back while the fake runs."""

from typing import Any

import pytest

from local.bison import Add, BisonControl, BisonControlError, BisonReader, Remove, running_bison


async def test_added_accounts_come_last_with_new_ids(
    bison: BisonControl, reader: BisonReader
) -> None:
    known = {a["id"] for name in ("acme", "zen") for a in await bison.accounts(name)}

    added = await bison.add_accounts("zen", 2)

    assert min(added) > max(known)
    assert (await reader.page_ids("zen", 1))[-2:] == added
    assert (await bison.workspace("zen")).total == 5


async def test_added_record_is_served_as_given(bison: BisonControl) -> None:
    given: dict[str, Any] = {
        "id": 5,
        "email": "same@x.example",
        "emails_sent_count": 2**70,
        "name": "a\u0000b",
    }

    assert await bison.add_accounts("zen", records=[given]) == [5]

    served = (await bison.accounts("zen"))[0]
    assert {name: served[name] for name in given} == given
    assert set(served) == set((await bison.accounts("acme"))[0])


async def test_generated_ids_never_meet_given_ones(bison: BisonControl) -> None:
    await bison.add_accounts("zen", records=[{"id": 90_000}])

    assert min(await bison.add_accounts("zen", 3)) > 90_000


@pytest.mark.parametrize("bad", ["taken", "5", True, None])
async def test_record_whose_id_cannot_be_is_refused(bison: BisonControl, bad: object) -> None:
    account_id = (await bison.accounts("acme"))[0]["id"] if bad == "taken" else bad

    with pytest.raises(BisonControlError):
        await bison.add_accounts("zen", records=[{"id": account_id}])  # type: ignore[dict-item]
    assert (await bison.workspace("zen")).total == 3


async def test_change_bumps_updated_at_unless_told(bison: BisonControl) -> None:
    before = (await bison.accounts("zen"))[0]
    seen = [before["updated_at"]]
    for updated_at in ("bump", "keep", "age"):
        await bison.change_account("zen", before["id"], {"status": updated_at}, updated_at)
        after = (await bison.accounts("zen"))[0]
        assert after == before | {"status": updated_at, "updated_at": after["updated_at"]}
        seen.append(after["updated_at"])

    first, bumped, kept, aged = seen
    assert first < aged < bumped == kept


async def test_removed_account_comes_back_byte_for_byte(
    bison: BisonControl, reader: BisonReader
) -> None:
    before = (await reader.page("acme", 2)).content
    account_id = (await reader.page_ids("acme", 2))[3]

    await bison.remove_accounts("acme", account_id)
    assert (await reader.get("acme", f"/sender-emails/{account_id}")).status_code == 404
    assert (await bison.workspace("acme")).total == 39
    assert (await reader.page("acme", 2)).content != before

    await bison.restore_accounts("acme", account_id)
    assert (await reader.page("acme", 2)).content == before


async def test_changes_of_what_is_not_there_are_refused(bison: BisonControl) -> None:
    with pytest.raises(BisonControlError, match="no workspace 'nobody'"):
        await bison.add_accounts("nobody")
    with pytest.raises(BisonControlError, match="no account"):
        await bison.remove_accounts("zen", 1)
    with pytest.raises(BisonControlError, match="removed no account"):
        await bison.restore_accounts("zen", 1)
    with pytest.raises(BisonControlError, match="id does not change"):
        await bison.change_account("zen", (await bison.accounts("zen"))[0]["id"], {"id": 5})
    assert (await bison.workspace("zen")).total == 3


async def test_same_seed_and_changes_give_the_same_bytes() -> None:
    bodies = []
    for _ in range(2):
        async with running_bison({"zen": 3}, seed=7) as bison:
            gone = (await bison.accounts("zen"))[0]["id"]
            changes = Remove(workspace="zen", account_ids=(gone,)), Add(workspace="zen", count=2)
            await bison.apply(*changes)
            bodies.append(await bison.accounts("zen"))

    assert bodies[0] == bodies[1]
    assert len(bodies[0]) == 4
