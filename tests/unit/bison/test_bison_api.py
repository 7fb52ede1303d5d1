"""What a client of the API sees, and what is counted of it."""

import json

import pytest

from local.bison import BisonControl, BisonReader
from local.bison.reader import plain_client


async def test_first_page_has_the_whole_envelope(bison: BisonControl, reader: BisonReader) -> None:
    answer = await reader.page("acme", 1)
    accounts = await bison.accounts("acme")
    url = f"{bison.api_url}/sender-emails"

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "data": accounts[:15],
        "links": {
            "first": f"{url}?page=1",
            "last": f"{url}?page=3",
            "prev": None,
            "next": f"{url}?page=2",
        },
        "meta": {
            "current_page": 1,
            "from": 1,
            "last_page": 3,
            "path": url,
            "per_page": 15,
            "to": 15,
            "total": 40,
        },
    }


async def test_pages_in_order_are_all_accounts_by_id(
    bison: BisonControl, reader: BisonReader
) -> None:
    ids = [i for page in (1, 2, 3) for i in await reader.page_ids("acme", page)]

    assert ids == sorted(ids) == [account["id"] for account in await bison.accounts("acme")]
    assert len(ids) == 40


async def test_last_page_ends_the_links(reader: BisonReader) -> None:
    last = (await reader.page("acme", 3)).json()

    assert last["links"]["next"] is None
    assert last["links"]["prev"].endswith("?page=2")
    assert (last["meta"]["from"], last["meta"]["to"], len(last["data"])) == (31, 40, 10)


async def test_page_past_the_end_is_empty_with_true_meta(reader: BisonReader) -> None:
    past = (await reader.page("acme", 9)).json()

    assert past["data"] == []
    assert (past["meta"]["current_page"], past["meta"]["last_page"]) == (9, 3)
    assert (past["meta"]["from"], past["meta"]["to"], past["meta"]["total"]) == (None, None, 40)


async def test_empty_workspace_has_one_empty_page(reader: BisonReader) -> None:
    page = (await reader.page("void", 1)).json()

    assert (page["data"], page["meta"]["last_page"], page["meta"]["total"]) == ([], 1, 0)


@pytest.mark.parametrize("query", ["per_page=100", "page=0", "page=-1", "page=x", "page="])
async def test_per_page_is_ignored_and_no_page_number_is_page_1(
    reader: BisonReader, query: str
) -> None:
    page = (await reader.get("acme", f"/sender-emails?{query}")).json()

    assert (len(page["data"]), page["meta"]["current_page"]) == (15, 1)


async def test_item_is_the_record_in_data(bison: BisonControl, reader: BisonReader) -> None:
    account = (await bison.accounts("acme"))[7]

    answer = await reader.get("acme", f"/sender-emails/{account['id']}")

    assert answer.json() == {"data": account}


async def test_item_of_another_workspace_or_of_none_is_404(
    bison: BisonControl, reader: BisonReader
) -> None:
    foreign = (await bison.accounts("zen"))[0]["id"]

    for wanted in (foreign, 1, "x", "9" * 40):
        answer = await reader.get("acme", f"/sender-emails/{wanted}")
        assert answer.status_code == 404
        assert set(answer.json()) == {"message"}


async def test_users_tells_whose_key_it_is(bison: BisonControl, reader: BisonReader) -> None:
    info = await bison.workspace("zen")
    user = (await reader.get("zen", "/users")).json()["data"]

    assert user["workspace"] == {"id": info.workspace_id, "name": "zen"}
    assert user["webhooks_secret_key"]


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer 1|no"}, {"authorization": "x"}])
async def test_missing_or_unknown_key_is_401(
    bison: BisonControl, reader: BisonReader, header: dict[str, str]
) -> None:
    answer = await reader.http.get("/sender-emails", headers=header)

    assert answer.status_code == 401
    assert answer.json() == {"message": "Unauthenticated."}
    (seen,) = (await bison.traffic()).requests
    assert (seen.workspace, seen.status) == (None, 401)


async def test_revoked_key_is_401_until_restored(bison: BisonControl, reader: BisonReader) -> None:
    await bison.revoke_key("acme")
    assert (await reader.page("acme", 1)).status_code == 401
    assert (await reader.page("zen", 1)).status_code == 200
    assert not (await bison.workspace("acme")).key_accepted

    await bison.restore_key("acme")
    assert (await reader.page("acme", 1)).status_code == 200
    assert len((await bison.traffic()).select("acme", status=401)) == 1


async def test_unknown_route_is_a_404_that_is_counted(
    bison: BisonControl, reader: BisonReader
) -> None:
    answer = await reader.get("acme", "/campaigns")

    assert (answer.status_code, list(answer.json())) == (404, ["message"])
    (seen,) = (await bison.traffic()).requests
    assert (seen.kind, seen.path) == ("other", "/api/campaigns")


async def test_requests_are_counted_by_key_page_and_status(
    bison: BisonControl, reader: BisonReader
) -> None:
    for page in (1, 2, 2, 9):
        await reader.page("acme", page)
    await reader.page("zen", 1)
    await reader.get("acme", "/users")
    await reader.get("acme", "/sender-emails/1")
    await bison.accounts("acme")

    traffic = await bison.traffic()
    assert traffic.per_page("acme") == {1: 1, 2: 2, 9: 1}
    assert traffic.per_page("zen") == {1: 1}
    assert len(traffic.select("acme", "users", status=200)) == 1
    assert len(traffic.select("acme", "item", status=404)) == 1
    assert len(traffic.requests) == 7
    arrivals = [seen.arrived_ms for seen in traffic.requests]
    assert arrivals == sorted(arrivals)

    await bison.reset_traffic()
    assert (await bison.traffic()).requests == ()


async def test_latency_is_at_least_what_is_set(bison: BisonControl, reader: BisonReader) -> None:
    await bison.set_latency(50)
    await reader.page("acme", 1)

    (seen,) = (await bison.traffic()).requests
    assert seen.answered_ms is not None
    assert seen.answered_ms - seen.arrived_ms > 45


async def test_control_needs_its_token(bison: BisonControl) -> None:
    async with plain_client(bison.base_url) as http:
        for headers in ({}, {"x-control-token": "guess"}):
            answer = await http.get("/_control/workspaces", headers=headers)
            assert answer.status_code == 403


async def test_page_body_is_the_body_that_is_served(
    bison: BisonControl, reader: BisonReader
) -> None:
    assert await bison.page_body("acme", 2) == (await reader.page("acme", 2)).content
    assert json.loads(await bison.page_body("acme", 2))["meta"]["current_page"] == 2
