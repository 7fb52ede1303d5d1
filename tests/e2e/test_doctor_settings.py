"""`chunkwise doctor` with settings that cannot be: one sentence, no traceback."""

import errno
import socket

import pytest

from chunkwise.doctor.database import Database as Doctor
from chunkwise.errors import SettingsError
from chunkwise.secret import Secret
from local.stack import Database
from tests.e2e.world import World, run_chunkwise


async def test_wrong_settings_are_one_sentence(world: World, database: Database) -> None:
    env = world.env | {"DATABASE_URL": database.dsn}
    wrong_password = database.dsn.replace("postgres:", "nobody:", 1)
    cases = [
        (env | {"DATABASE_URL": ""}, 2, "DATABASE_URL is not set"),
        (env | {"DATABASE_URL": "acme"}, 2, "DATABASE_URL is not the URL of a database"),
        (
            env | {"DATABASE_URL": "postgresql://postgres:pw@db..supabase.co:5432/postgres"},
            2,
            "DATABASE_URL is not the URL of a database",
        ),
        (
            env | {"SUPABASE_URL": "https://münchen..co"},
            2,
            "SUPABASE_URL is not a URL of a Supabase project",
        ),
        (env | {"DATABASE_URL": wrong_password}, 2, "the database of DATABASE_URL cannot be"),
        (env | {"SUPABASE_SECRET_KEY": ""}, 2, "SUPABASE_SECRET_KEY is not set"),
    ]
    for settings, code, sentence in cases:
        ended = await run_chunkwise(("doctor",), settings)
        assert (ended.code, ended.out) == (code, "")
        assert ended.err.startswith(f"chunkwise: {sentence}")
        assert len(ended.err.splitlines()) <= 2


def test_a_host_of_ipv6_alone_that_cannot_be_reached_asks_for_the_session_pooler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2600:1f16::1", 5432, 0, 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])
    asked: list[object] = []

    def refuse(_: socket.socket, where: object) -> None:
        asked.append(where)
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(SettingsError) as raised:
        Doctor.connect(Secret("postgresql://postgres:pw@db.abc.supabase.co/postgres"))
    assert asked == [("2600:1f16::1", 5432, 0, 0)]
    assert "Session pooler" in str(raised.value.hint)
    assert "IPv6" in str(raised.value.hint)
