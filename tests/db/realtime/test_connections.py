"""How sockets and channels end, and which of the ends the official client comes back from."""

import json
import time

import jwt
import pytest
from realtime import RealtimeSubscribeStates
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from local.api import Api
from tests.db.realtime.conftest import Listen
from tests.db.realtime.listener import Listener
from tests.support.background import wait_until
from tests.support.db import Db

SUBSCRIBED = RealtimeSubscribeStates.SUBSCRIBED
SERVERS_BACKENDS = """
select pid from pg_stat_activity
where application_name = 'realtime' and datname = current_database()
"""
ERROR = RealtimeSubscribeStates.CHANNEL_ERROR
CLOSED = RealtimeSubscribeStates.CLOSED

# The client reads them when a socket breaks; as errors they would end the client's reading.
pytestmark = pytest.mark.filterwarnings(r"ignore:ConnectionClosed\.\w+ is deprecated")


def socket_url(api: Api, key: str) -> str:
    return f"{api.url.replace('http', 'ws')}/realtime/v1/websocket?apikey={key}"


async def joined(listen: Listen, token: str | None = None, *, private: bool = True) -> Listener:
    listener = await listen("room", token=token, private=private)
    assert await listener.state() == (SUBSCRIBED, "")
    return listener


async def test_after_a_closed_socket_the_client_comes_back(
    api: Api, db: Db, listen: Listen
) -> None:
    listener = await joined(listen)
    await listener.flows()
    await api.realtime.close_sockets(1001)
    assert [(await listener.state())[0] for _ in range(2)] == [ERROR, SUBSCRIBED]
    await listener.flows()
    db.run("select realtime.send('{}', 'back', 'room')")
    assert (await listener.hear())["event"] == "back"


async def test_after_a_crashed_channel_the_client_comes_back(api: Api, listen: Listen) -> None:
    listener = await joined(listen)
    await api.realtime.crash_channels()
    assert [(await listener.state())[0] for _ in range(2)] == [ERROR, SUBSCRIBED]


async def test_after_an_expired_token_the_client_never_comes_back(api: Api, listen: Listen) -> None:
    listener = await joined(listen)
    await api.realtime.expire_tokens()
    state, error = await listener.state()
    assert state == ERROR
    assert "Token has expired" in error
    assert (await listener.state())[0] == CLOSED
    assert listener.client.realtime.is_connected
    counts = await api.realtime.counts()
    assert (counts.joins, counts.channels, counts.channels_shut) == (1, 0, 1)


async def test_a_token_ends_its_channel_when_it_expires(api: Api, listen: Listen) -> None:
    claims = {"role": "authenticated", "sub": "somebody", "exp": int(time.time()) + 6}
    token = jwt.encode(claims, api.keys.jwt_secret, "HS256")
    listener = await joined(listen, token, private=False)
    assert "Token has expired" in (await listener.state())[1]
    assert (await listener.state())[0] == CLOSED


async def test_a_channel_is_shut_when_messages_do_not_come_to_flow(
    api: Api, listen: Listen
) -> None:
    """If it asked for word of them; and once it has it, it is told nothing of their end."""
    told = await joined(listen)
    await told.flows()
    await api.realtime.set(follows_database=False, replication_ready_seconds=0.2)
    listener = await joined(listen)

    state, error = await listener.state()

    assert state == ERROR
    assert "Replication connection was not established in time" in error
    assert (await listener.state())[0] == CLOSED
    assert listener.client.realtime.is_connected
    assert told.states.empty()
    counts = await api.realtime.counts()
    assert (counts.channels, counts.channels_ready, counts.channels_shut) == (1, 1, 1)


async def test_a_refused_token_is_named(api: Api, listen: Listen) -> None:
    expired = {"role": "authenticated", "exp": int(time.time()) - 60}
    for token, reason in (
        (jwt.encode(expired, api.keys.jwt_secret, "HS256"), "InvalidJWTToken: Token has expired"),
        (jwt.encode(expired, "x" * 32, "HS256"), "JwtSignatureError"),
        ("nonsense", "MalformedJWT: The token provided is not a valid JWT"),
    ):
        state, error = await (await listen("room", token=token)).state()
        assert state == ERROR
        assert reason in error


async def test_a_socket_with_a_key_only_is_closed_at_its_age(api: Api, listen: Listen) -> None:
    await api.realtime.set(keyed_socket_seconds=3)
    user = await joined(listen, api.user_token(), private=False)
    # Where the machine stalls, before it has joined.
    worker = await listen("room")
    while (await worker.state())[0] != ERROR:
        continue
    assert user.states.empty()


@pytest.mark.parametrize("kill", [False, True])
async def test_a_stopped_server_answers_503_and_a_new_one_is_joined(
    api: Api, listen: Listen, *, kill: bool
) -> None:
    listener = await joined(listen)
    api.stop_realtime(kill=kill)
    assert (await listener.state())[0] == ERROR
    with pytest.raises(InvalidStatus, match="503"):
        await connect(socket_url(api, api.secret_key))
    api.start_realtime()
    assert (await listener.state())[0] == SUBSCRIBED


async def test_a_caller_without_a_key_opens_no_socket(api: Api) -> None:
    for key in ("", "sb_secret_of_another_project"):
        with pytest.raises(InvalidStatus, match="401"):
            await connect(socket_url(api, key))
    assert (await api.realtime.counts()).sockets_opened == 0


async def test_too_many_joins_a_second_end_the_socket(api: Api, listen: Listen) -> None:
    other = await joined(listen)
    await api.realtime.set(joins_per_second=0)
    join = {"topic": "realtime:room", "event": "phx_join", "ref": "1", "payload": {}}
    async with connect(socket_url(api, api.secret_key)) as socket:
        await socket.send(json.dumps(join))
        answer = json.loads(await socket.recv())
        await socket.wait_closed()

    assert answer["payload"]["response"] == {
        "reason": "ClientJoinRateLimitReached: Too many joins per second"
    }
    assert socket.close_code == 1000
    assert other.states.empty()


async def test_tests_can_refuse_joins_and_sockets(api: Api, listen: Listen) -> None:
    await api.realtime.set(join_refusal="Unauthorized")
    state, error = await (await listen("room")).state()
    assert state == ERROR
    assert "Unauthorized" in error
    await api.realtime.set(sockets_accepted=False)
    with pytest.raises(InvalidStatus, match="503"):
        await connect(socket_url(api, api.secret_key))


async def test_when_the_last_socket_closes_the_database_is_left_alone(
    api: Api, db: Db, listen: Listen
) -> None:
    listener = await joined(listen)
    await listener.close()
    await api.realtime.wait_until(rests=1)
    wait_until(lambda: not db.column(SERVERS_BACKENDS), "the server has no connection left")
