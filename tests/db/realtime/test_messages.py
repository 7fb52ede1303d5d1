"""Which messages of the database reach a channel, and which are lost without a word."""

from datetime import UTC, datetime, timedelta

import pytest
from pg8000.exceptions import DatabaseError
from realtime import RealtimeSubscribeStates

from local.api import Api
from local.stack import Database, Stack
from tests.conftest import Connect
from tests.db.realtime.conftest import Listen
from tests.db.realtime.listener import Listener
from tests.support.db import Db

SUBSCRIBED = (RealtimeSubscribeStates.SUBSCRIBED, "")


def send(db: Db, event: str) -> None:
    db.run("select realtime.send('{}', :event, 'room')", event=event)


async def joined(listen: Listen) -> Listener:
    """And hears what is sent from now on."""
    listener = await listen("room")
    assert await listener.state() == SUBSCRIBED
    await listener.flows()
    return listener


def partitions(db: Db) -> set[str]:
    return set(
        db.column(
            "select inhrelid::regclass::text from pg_inherits "
            "where inhparent = cast('realtime.messages' as regclass)"
        )
    )


async def test_until_somebody_joins_a_message_has_no_partition_and_is_swallowed(
    stack: Stack, database: Database, connect: Connect
) -> None:
    db, api = connect(), stack.serve(database)
    assert partitions(db) == set()
    send(db, "swallowed")
    with db.transaction():
        send(db, "swallowed in a transaction that goes on")
        db.run("create table went_on (id integer)")

    today = datetime.now(UTC).date()
    listener = await Listener.open(api, "room")
    assert await listener.state() == SUBSCRIBED
    await listener.flows()

    assert partitions(db) == {
        f"realtime.messages_{today + timedelta(days):%Y_%m_%d}" for days in range(-1, 4)
    }
    assert db.value("select count(*) from realtime.messages") == 0
    send(db, "stored")
    assert (await listener.hear())["event"] == "stored"
    await listener.close()
    api.stop()


async def test_send_never_fails_its_caller(db: Db, listen: Listen) -> None:
    await joined(listen)
    db.run("select realtime.send('{}', 'nowhere', null)")
    assert db.value("select count(*) from realtime.messages where event = 'nowhere'") == 0


async def test_broadcast_changes_fails_its_caller(db: Db) -> None:
    with pytest.raises(DatabaseError, match="not for each statement"):
        db.run(
            "select realtime.broadcast_changes("
            "'room', 'e', 'INSERT', 't', 'public', row(1), row(1), 'STATEMENT')"
        )


async def test_a_rolled_back_message_is_not_sent(db: Db, listen: Listen) -> None:
    listener = await joined(listen)
    db.begin()
    send(db, "rolled back")
    db.rollback()
    db.begin()
    send(db, "committed")
    db.commit()
    assert (await listener.hear())["event"] == "committed"


async def test_there_is_no_history(db: Db, listen: Listen) -> None:
    await joined(listen)
    send(db, "before")
    late = await joined(listen)
    send(db, "after")
    assert (await late.hear())["event"] == "after"


async def test_messages_come_in_the_order_of_their_commits(db: Db, listen: Listen) -> None:
    listener = await joined(listen)
    for number in range(50):
        send(db, str(number))
    assert [(await listener.hear())["event"] for _ in range(50)] == [str(n) for n in range(50)]


async def test_no_message_is_lost_in_a_crowd(api: Api, db: Db, listen: Listen) -> None:
    await api.realtime.set(messages_per_second=100_000)
    listener = await joined(listen)
    db.run("select realtime.send('{}', n::text, 'room') from generate_series(1, 1000) as n")
    heard = {(await listener.hear())["event"] for _ in range(1000)}
    assert heard == {str(number) for number in range(1, 1001)}


async def test_tests_can_drop_double_and_delay_messages(api: Api, db: Db, listen: Listen) -> None:
    await api.realtime.break_next(drop=1, double=1, delay=1, delay_seconds=1)
    listener = await joined(listen)
    with db.transaction():
        for event in ("dropped", "doubled", "delayed", "whole"):
            send(db, event)
    heard = [(await listener.hear())["event"] for _ in range(4)]
    assert heard == ["doubled", "doubled", "whole", "delayed"]
    assert (await api.realtime.counts()).messages_dropped == 1


async def test_a_message_over_the_limit_of_size_is_dropped(
    api: Api, db: Db, listen: Listen
) -> None:
    await api.realtime.set(payload_bytes=1000)
    listener = await joined(listen)
    db.run("""select realtime.send(jsonb_build_object('t', repeat('x', 1000)), 'large', 'room')""")
    send(db, "small")
    assert (await listener.hear())["event"] == "small"


async def test_too_many_messages_per_second_end_the_channel(
    api: Api, db: Db, listen: Listen
) -> None:
    await api.realtime.set(messages_per_second=1)
    listener = await joined(listen)
    with db.transaction():
        for number in range(6):
            send(db, str(number))
    state, error = await listener.state()
    assert state == RealtimeSubscribeStates.CHANNEL_ERROR
    assert "Too many messages per second" in error
    assert (await listener.state())[0] == RealtimeSubscribeStates.CLOSED


async def test_what_commits_while_the_server_follows_nothing_is_lost(
    api: Api, db: Db, listen: Listen
) -> None:
    listener = await joined(listen)
    await api.realtime.set(follows_database=False)
    send(db, "unheard")
    await api.realtime.wait_until(messages_unheard=1)
    await api.realtime.set(follows_database=True)
    send(db, "heard")
    assert (await listener.hear())["event"] == "heard"


async def test_a_join_is_answered_before_messages_flow_and_the_client_is_told_when_they_do(
    api: Api, db: Db, listen: Listen
) -> None:
    await api.realtime.set(follows_database=False)
    listener = await listen("room")
    assert await listener.state() == SUBSCRIBED
    await api.realtime.wait_until(following=1)
    send(db, "unheard")
    await api.realtime.wait_until(messages_unheard=1)
    assert listener.told.empty()

    await api.realtime.set(follows_database=True)
    await listener.flows()
    send(db, "heard")

    assert (await listener.hear())["event"] == "heard"


async def test_a_lost_connection_to_the_database_is_made_again(
    api: Api, stack: Stack, realtime_database: Database, db: Db, listen: Listen
) -> None:
    listener = await joined(listen)
    ended = stack.psql(
        "-c",
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity "
        f"where application_name = 'realtime' and datname = '{realtime_database.name}'",
    )
    assert ended == "2"
    await api.realtime.wait_until(follows=2)

    send(db, "heard")

    assert (await listener.hear())["event"] == "heard"
    assert await (await listen("other")).state() == SUBSCRIBED
