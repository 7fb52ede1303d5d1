"""The traps of paging that third parties saw, one switch each; three habits are always on."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from local.bison import (
    BisonControl,
    BisonControlError,
    BisonReader,
    MovingItems,
    OtherWorkspace,
    Paging,
    RepeatedIds,
    Status,
)


async def ids_of(bison: BisonControl, workspace: str) -> list[int]:
    return [account["id"] for account in await bison.accounts(workspace)]


@pytest.mark.parametrize("parameter", ["per_page=100", "workspace_id=2"])
async def test_parameters_that_the_api_ignores(reader: BisonReader, parameter: str) -> None:
    plain = (await reader.get("acme", "/sender-emails?page=2")).content

    assert (await reader.get("acme", f"/sender-emails?page=2&{parameter}")).content == plain


async def test_links_drop_every_parameter_but_the_page(reader: BisonReader) -> None:
    answer = await reader.get("acme", "/sender-emails?page=2&pagination_type=cursor&status=Failed")

    for link in answer.json()["links"].values():
        assert parse_qs(urlsplit(link).query).keys() == {"page"}


async def test_deep_pages_are_refused_from_a_page_on(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Status(status=422), workspace="acme", from_page=2, times=None)

    answers = [await reader.page("acme", page) for page in (1, 2, 3, 900)]
    assert [answer.status_code for answer in answers] == [200, 422, 422, 422]
    assert (await reader.get("acme", "/users")).status_code == 200


async def test_meta_is_missing(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Paging(how="no_meta"))

    assert (await reader.page("acme", 1)).json().keys() == {"data", "links"}
    assert (await reader.page("acme", 1)).json().keys() == {"data", "links", "meta"}


async def test_in_cursor_mode_the_page_is_ignored_and_nothing_is_counted(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Paging(how="cursor"), times=None)
    newest = (await ids_of(bison, "acme"))[::-1][:15]

    for page in (1, 3):
        answer = (await reader.page("acme", page)).json()
        assert [account["id"] for account in answer["data"]] == newest
        assert answer["meta"].keys() == {"path", "per_page", "next_cursor", "prev_cursor"}
        cursor = json.loads(base64.b64decode(answer["meta"]["next_cursor"]))
        assert cursor == {"id": newest[-1], "_pointsToNextItems": True}
    assert (await reader.page("zen", 1)).json()["meta"]["next_cursor"] is None


async def test_the_last_page_is_always_one_more(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Paging(how="endless"), times=None)

    for page in (1, 3, 70):
        answer = (await reader.page("acme", page)).json()
        assert (answer["meta"]["last_page"], answer["meta"]["total"]) == (page + 1, 40)
        assert answer["links"]["next"] == f"{bison.api_url}/sender-emails?page={page + 1}"


async def test_the_next_link_never_ends(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Paging(how="endless_links"), times=None)

    answer = (await reader.page("acme", 3)).json()
    assert answer["meta"]["last_page"] == 3
    assert answer["links"]["next"] == f"{bison.api_url}/sender-emails?page=4"


async def test_ids_repeat_across_pages(bison: BisonControl, reader: BisonReader) -> None:
    ids = await ids_of(bison, "acme")
    await bison.fault(RepeatedIds(count=2), from_page=2, times=None)

    pages = [await reader.page_ids("acme", page) for page in (1, 2, 3)]
    assert pages == [ids[:15], ids[13:15] + ids[17:30], ids[28:30] + ids[32:]]


async def test_items_move_from_the_end_to_the_top_before_each_page(
    bison: BisonControl, reader: BisonReader
) -> None:
    ids = await ids_of(bison, "acme")
    await bison.fault(MovingItems(by=2), workspace="acme", times=2)

    pages = [await reader.page_ids("acme", page) for page in (1, 2, 3)]
    assert pages == [ids[-2:] + ids[:13], ids[11:26], ids[30:]]


async def test_a_key_that_is_good_for_another_workspace(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(OtherWorkspace(serves="zen"), workspace="acme", times=None)
    zen = await bison.workspace("zen")

    assert await reader.page_ids("acme", 1) == await ids_of(bison, "zen")
    user = (await reader.get("acme", "/users")).json()["data"]
    assert user["workspace"] == {"id": zen.workspace_id, "name": "zen"}
    of_acme = (await ids_of(bison, "acme"))[0]
    assert (await reader.get("acme", f"/sender-emails/{of_acme}")).status_code == 404


async def test_another_workspace_that_is_not_there_is_refused(bison: BisonControl) -> None:
    with pytest.raises(BisonControlError, match="no workspace 'zne'"):
        await bison.fault(OtherWorkspace(serves="zne"))
