"""Signing in at a local stack, with the official client: what the page and `operators` need."""

import re

import pytest
from supabase_auth.errors import AuthApiError

from supabase import AsyncClient
from tests.e2e.world import World

EMAIL = "lead@agency.example"
LINK = re.compile(r"magic link for (\S+): (\S+) \(code (\d{6})\)")


async def test_a_user_signs_in_with_a_password_and_stays_signed_in(world: World) -> None:
    async with world.client(key=world.api.secret_key) as service:
        made = await service.auth.admin.create_user(
            {"email": EMAIL, "password": "correct horse", "app_metadata": {"chunkwise": "operator"}}
        )
        with pytest.raises(AuthApiError) as taken:
            await service.auth.admin.create_user({"email": EMAIL, "password": "another"})

    async with world.client() as client:
        with pytest.raises(AuthApiError) as wrong:
            await client.auth.sign_in_with_password({"email": EMAIL, "password": "battery staple"})
        answer = await client.auth.sign_in_with_password(
            {"email": EMAIL, "password": "correct horse"}
        )
        renewed = await client.auth.refresh_session()
        asked = await client.auth.get_user()
        await client.auth.sign_out()

    assert (wrong.value.code, taken.value.code) == ("invalid_credentials", "email_exists")
    assert answer.user is not None
    assert answer.user.id == made.user.id
    assert answer.user.app_metadata["chunkwise"] == "operator"
    assert renewed.session is not None
    assert answer.session is not None
    assert renewed.session.refresh_token != answer.session.refresh_token
    assert asked is not None
    assert asked.user.email == EMAIL


async def signed_in(client: AsyncClient) -> str:
    """The access token."""
    answer = await client.auth.sign_in_with_password({"email": EMAIL, "password": "correct horse"})
    assert answer.session is not None
    return answer.session.access_token


async def test_an_operators_token_reads_and_a_plain_users_does_not(world: World) -> None:
    async with world.client(key=world.api.secret_key) as service:
        made = await service.auth.admin.create_user({"email": EMAIL, "password": "correct horse"})
        async with world.client() as client:
            plain = await signed_in(client)
            await service.auth.admin.update_user_by_id(
                made.user.id, {"app_metadata": {"chunkwise": "operator"}}
            )
            operator = await signed_in(client)
        found = [user.email for user in await service.auth.admin.list_users()]

    async with world.client(token=plain) as client:
        assert (await client.table("queue_health").select("*").execute()).data == []
    async with world.client(token=operator) as client:
        assert len((await client.table("queue_health").select("*").execute()).data) == 1
    assert found == [EMAIL]


async def test_a_code_that_the_gateway_prints_signs_in_once(world: World) -> None:
    async with world.client(key=world.api.secret_key) as service:
        await service.auth.admin.create_user({"email": EMAIL})
    async with world.client() as client:
        with pytest.raises(AuthApiError) as stranger:
            await client.auth.sign_in_with_otp(
                {"email": "nobody@agency.example", "options": {"should_create_user": False}}
            )
        await client.auth.sign_in_with_otp({"email": EMAIL})
        # The log goes on from run to run.
        *_, (email, _, code) = LINK.findall(world.api.gateway_log.read_text())
        answer = await client.auth.verify_otp({"email": email, "token": code, "type": "email"})
        with pytest.raises(AuthApiError) as again:
            await client.auth.verify_otp({"email": email, "token": code, "type": "email"})

    assert stranger.value.code == "otp_disabled"
    assert answer.session is not None
    assert again.value.code == "otp_expired"


async def test_only_the_secret_key_administers_users(world: World) -> None:
    async with world.client(token=world.api.operator_token()) as client:
        with pytest.raises(AuthApiError) as refused:
            await client.auth.admin.list_users()

    assert refused.value.code == "not_admin"
