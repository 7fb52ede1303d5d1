"""`chunkwise workspaces add --from FILE`, and `chunkwise budgets`."""

from pathlib import Path

from local.bison import BisonControl
from tests.e2e.world import World

KEPT = "select workspace_name, max_concurrency, key_status from sync_workspaces order by 1"


async def test_workspaces_of_a_file_are_added_once(
    world: World, bison: BisonControl, tmp_path: Path
) -> None:
    """One with a variable, one whose key is a line of standard input, one whose key is another's;
    the second run asks for the third's key alone."""
    acme, zen = await bison.workspace("acme"), await bison.workspace("zen")
    file = tmp_path / "workspaces.csv"
    file.write_text(
        "name,url,max_concurrency,key_env\n"
        f"acme,{bison.base_url},3,ACME_KEY\n"
        f"zen,{bison.base_url},,\n"
        f"stranger,{bison.base_url},,\n"
    )
    command = ("workspaces", "add", "--from", str(file))
    first = await world.chunkwise(*command, "--json", stdin=f"{zen.key}\n1|no\n", ACME_KEY=acme.key)
    kept = world.db.run(KEPT)
    again = await world.chunkwise(*command, stdin="1|no\n", ACME_KEY=acme.key)

    assert first.code == again.code == 1
    assert [(row["line"], row["result"]) for row in first.json["workspaces"]] == [
        (2, "added"),
        (3, "added"),
        (4, "refused"),
    ]
    assert "the API refuses its key" in first.json["workspaces"][2]["note"]
    assert (first.json["added"], first.json["refused"]) == (2, 1)
    assert kept == world.db.run(KEPT)
    assert kept == [
        {"workspace_name": "acme", "max_concurrency": 3, "key_status": "accepted"},
        {"workspace_name": "zen", "max_concurrency": 8, "key_status": "accepted"},
    ]
    assert again.out.endswith("3 workspaces: 1 changed, 1 unchanged, 1 refused.\n")
    for key in (acme.key, zen.key):
        assert key.split("|")[1] not in first.out + first.err + again.out + again.err


async def test_of_a_file_with_a_bad_line_nothing_is_added(world: World, tmp_path: Path) -> None:
    file = tmp_path / "workspaces.jsonl"
    good = '{"name": "acme", "url": "https://bison.example", "key_env": "ACME_KEY"}\n'
    file.write_text(good + '{"name": "zen"}\n{"url": "https://bison.example"}\n')
    refused = await world.chunkwise("workspaces", "add", "--from", str(file), ACME_KEY="1|planted")
    file.write_text(
        "name,url,key_env\nAcme - EU,https://bison.example,ACME_KEY\n"
        "Acme – EU,https://bison.example,ZEN_KEY\n",  # noqa: RUF001  # the other dash
        encoding="utf-8",
    )
    keys = {"ACME_KEY": "1|planted", "ZEN_KEY": "2|planted"}
    one_name = await world.chunkwise("workspaces", "add", "--from", str(file), **keys)
    mixed = await world.chunkwise("workspaces", "add", "acme", "--from", str(file))
    neither = await world.chunkwise("workspaces", "add", "acme")

    assert (refused.code, refused.out) == (2, "")
    assert "line 2: url is missing" in refused.err
    assert "line 3: name is missing" in refused.err
    assert (one_name.code, one_name.out) == (2, "")
    assert "line 3: name 'Acme – EU' stands in line 2 already" in one_name.err  # noqa: RUF001
    assert (mixed.code, neither.code) == (2, 2)
    assert "--from takes everything from the file" in mixed.err
    assert "--base-url is missing" in neither.err
    assert world.db.run(KEPT) == []


async def test_budgets_are_listed_set_and_unblocked(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    world.db.run(
        "update sync_budgets set block_level = 1, blocked_until = sync.now() + interval '10 min',"
        " learned_rate = 1.5, reduced_in_flight = 2"
    )
    world.db.run(
        "update sync_workspaces set rate_limited_until = sync.now() + interval '10 min'"
        " where workspace_name = 'acme'"
    )
    blocked = await world.chunkwise("budgets", "list", "--json")
    lifted = await world.chunkwise("budgets", "unblock", "email_bison")
    scope = blocked.json[0]["scope"]
    changed = await world.chunkwise(
        *("budgets", "set", "email_bison", "--requests-per-second", "unlimited"),
        *("--in-flight", "3", "--of", scope, "--json"),
    )
    after, for_people = (
        await world.chunkwise("budgets", "list", "--json"),
        await world.chunkwise("budgets", "list"),
    )
    rate = ("--requests-per-second", "5", "--in-flight")
    refused = [
        await world.chunkwise("budgets", "set", "email_bison", *rate, "many"),
        await world.chunkwise("budgets", "set", "email_bison", *rate, "0"),
        await world.chunkwise("budgets", "set", "emailbison", *rate, "5"),
        await world.chunkwise("budgets", "unblock", "email_bison", "--of", "x.example"),
    ]

    (was,) = blocked.json
    assert was["blocked_until_at"] is not None
    assert (was["rate_now"], was["in_flight_now"], was["workspaces_waiting"]) == (1.5, 2, 1)
    assert lifted.out == "1 budget of email_bison lifted; 1 workspace waits no longer.\n"
    assert changed.json == {"source": "email_bison", "budgets_changed": 1}
    (now,) = after.json
    assert now | {"source": "", "scope": ""} == {
        "source": "",
        "scope": "",
        "requests_per_second": None,
        "max_in_flight": 3,
        "rate_now": None,
        "in_flight_now": None,
        "blocked_until_at": None,
        "workspaces_waiting": 0,
    }
    assert "unlimited" in for_people.out
    assert [ended.code for ended in refused] == [2, 1, 1, 1]
    assert "--in-flight is 'many'" in refused[0].err
    assert "Did you mean email_bison?" in refused[2].err
    assert "`chunkwise budgets list`" in refused[3].err
