"""Who may join a private channel is what the policies on realtime.messages say, and nobody else."""

import json

import pytest
from pg8000.exceptions import DatabaseError
from realtime import RealtimeSubscribeStates

from local.api import Api
from tests.db.realtime.conftest import Listen
from tests.support.db import Db, sqlstate

SUBSCRIBED = (RealtimeSubscribeStates.SUBSCRIBED, "")
REFUSED = RealtimeSubscribeStates.CHANNEL_ERROR
OPERATORS_HEAR = """
create policy room_select_operator on realtime.messages for select to authenticated using (
  extension = 'broadcast' and (select realtime.topic()) = 'room'
  and (select auth.jwt()) -> 'app_metadata' ->> 'chunkwise' = 'operator'
)
"""
OPERATORS_SPEAK = """
create policy room_insert on realtime.messages for insert to authenticated
with check ((select realtime.topic()) = 'room')
"""


async def test_without_a_policy_users_are_refused(api: Api, listen: Listen) -> None:
    for token in (api.user_token(), api.keys.role_token("anon")):
        state, error = await (await listen("room", token=token)).state()
        assert state == REFUSED
        assert json.loads(error) == {
            "reason": "Unauthorized: You do not have permissions to read from this Channel "
            "topic: room"
        }
    assert (await api.realtime.counts()).joins == 0


async def test_a_policy_admits_whom_it_names_to_the_topic_it_names(
    api: Api, db: Db, listen: Listen
) -> None:
    db.run(OPERATORS_HEAR)
    operator = await listen("room", token=api.operator_token())
    assert await operator.state() == SUBSCRIBED
    await operator.flows()
    for topic, token in (("room", api.user_token()), ("other", api.operator_token())):
        assert (await (await listen(topic, token=token)).state())[0] == REFUSED

    db.run("""select realtime.send('{"id": 1}', 'news', 'room')""")

    assert (await operator.hear())["payload"] == {"id": 1}


async def test_service_role_needs_no_policy(listen: Listen) -> None:
    assert await (await listen("room")).state() == SUBSCRIBED


async def test_to_broadcast_a_user_needs_a_policy_to_insert(
    api: Api, db: Db, listen: Listen
) -> None:
    db.run(OPERATORS_HEAR)
    worker, operator = await listen("room"), await listen("room", token=api.operator_token())
    assert await worker.state() == await operator.state() == SUBSCRIBED
    await operator.channel.send_broadcast("lost", {})
    # A socket's messages are taken in order: after this answer the broadcast has been judged.
    assert await operator.join_another("elsewhere") == REFUSED
    db.run(OPERATORS_SPEAK)
    await operator.channel.send_broadcast(
        "lost too: the answer is kept until the token changes", {}
    )
    await operator.client.realtime.set_auth(api.operator_token("other@example.com"))

    await operator.channel.send_broadcast("heard", {})

    assert (await worker.hear())["event"] == "heard"


async def test_a_new_token_that_may_not_read_ends_the_channel(
    api: Api, db: Db, listen: Listen
) -> None:
    db.run(OPERATORS_HEAR)
    operator = await listen("room", token=api.operator_token())
    assert await operator.state() == SUBSCRIBED

    await operator.client.realtime.set_auth(api.user_token())

    state, error = await operator.state()
    assert state == REFUSED
    assert "You do not have permissions to read from this Channel topic: room" in error
    assert (await operator.state())[0] == RealtimeSubscribeStates.CLOSED


async def test_private_and_public_channels_of_a_name_are_strangers(
    api: Api, db: Db, listen: Listen
) -> None:
    public = await listen("room", token=api.user_token(), private=False)
    assert await public.state() == SUBSCRIBED
    await public.flows()

    db.run("select realtime.send('{}', 'private', 'room', true)")
    db.run("select realtime.send('{}', 'public', 'room', false)")

    assert (await public.hear())["event"] == "public"


async def test_a_project_may_allow_private_channels_only(api: Api, listen: Listen) -> None:
    await api.realtime.set(public_channels=False)
    state, error = await (await listen("room", private=False)).state()
    assert (state, json.loads(error)["reason"]) == (
        REFUSED,
        "PrivateOnly: This project only allows private channels",
    )


def test_the_owner_of_migrations_makes_policies_and_nothing_else(db: Db) -> None:
    db.run(OPERATORS_HEAR)
    for statement in (
        "alter table realtime.messages add column more text",
        "create index on realtime.messages (topic)",
        "create table realtime.more (id integer)",
        "drop table realtime.messages cascade",
        "drop trigger announce_message on realtime.messages",
    ):
        with pytest.raises(DatabaseError) as error:
            db.run(statement)
        assert sqlstate(error.value) == "42501"
    db.run("drop policy room_select_operator on realtime.messages")
