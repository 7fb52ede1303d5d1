"""`chunkwise operators`: who may read and steer, said through Auth's admin API."""

from tests.e2e.world import World

EMAIL = "lead@agency.example"


async def test_an_operator_is_made_listed_and_unmade(world: World) -> None:
    made = await world.chunkwise("operators", "add", EMAIL, "--json")
    again = await world.chunkwise("operators", "add", EMAIL.upper(), "--json")
    listed = await world.chunkwise("operators", "list", "--json")
    removed = await world.chunkwise("operators", "remove", EMAIL, "--json")
    missing = await world.chunkwise("operators", "remove", EMAIL)
    none = await world.chunkwise("operators", "list", "--json")

    assert (made.json, again.json) == (
        {"email": EMAIL, "created": True},
        {"email": EMAIL, "created": False},
    )
    assert [row["email"] for row in listed.json] == [EMAIL]
    assert removed.json == {"email": EMAIL}
    assert (missing.code, none.json) == (1, [])
    assert "no operator" in missing.err


async def test_a_password_signs_in_and_is_shown_nowhere(world: World) -> None:
    done = await world.chunkwise(
        "operators", "add", EMAIL, "--password", CHUNKWISE_OPERATOR_PASSWORD="correct horse"
    )
    async with world.client() as client:
        answer = await client.auth.sign_in_with_password(
            {"email": EMAIL, "password": "correct horse"}
        )

    assert done.code == 0
    assert "horse" not in done.out + done.err
    assert answer.user is not None
    assert answer.user.app_metadata["chunkwise"] == "operator"


async def test_an_address_that_is_none_is_refused(world: World) -> None:
    refused = await world.chunkwise("operators", "add", "nobody")

    assert refused.code == 1
    assert "Unable to validate email address" in refused.err
