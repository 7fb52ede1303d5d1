"""Settings: read once, checked, secrets not shown."""

import pytest

from chunkwise.errors import EXIT_SETTINGS, SettingsError
from chunkwise.settings import Settings

ENV = {"SUPABASE_URL": "http://127.0.0.1:54321/", "SUPABASE_SECRET_KEY": "sb_secret_abc"}


def test_defaults() -> None:
    settings = Settings.from_env(ENV)

    assert settings.supabase_url == "http://127.0.0.1:54321"
    assert (settings.concurrency, settings.claim_ahead) == (16, 4)
    assert (settings.idle_seconds, settings.stop_seconds) == (5, 8)
    assert (settings.realtime, settings.realtime_renew_seconds) == (True, 82_800)
    assert settings.answer_seconds == 0.15
    assert settings.worker_id


def test_two_workers_of_one_machine_have_two_ids() -> None:
    assert Settings.from_env(ENV).worker_id != Settings.from_env(ENV).worker_id


def test_everything_can_be_set() -> None:
    settings = Settings.from_env(
        ENV
        | {
            "CHUNKWISE_WORKER_ID": "w1",
            "CHUNKWISE_CONCURRENCY": "40",
            "CHUNKWISE_CLAIM_AHEAD": "0",
            "CHUNKWISE_IDLE_SECONDS": "0.5",
            "CHUNKWISE_STOP_SECONDS": "25",
            "CHUNKWISE_REALTIME": "Off",
            "CHUNKWISE_REALTIME_RENEW_SECONDS": "3600",
            "CHUNKWISE_ANSWER_SECONDS": "0.5",
            "CHUNKWISE_LOG_LEVEL": "DEBUG",
        }
    )
    assert (settings.worker_id, settings.concurrency, settings.claim_ahead) == ("w1", 40, 0)
    assert (settings.idle_seconds, settings.stop_seconds) == (0.5, 25)
    assert (settings.realtime, settings.realtime_renew_seconds) == (False, 3600)
    assert settings.answer_seconds == 0.5
    assert settings.log_level == "debug"


def test_the_key_is_not_shown() -> None:
    settings = Settings.from_env(ENV)

    assert "sb_secret_abc" not in f"{settings!r} {settings} {settings.supabase_secret_key}"
    assert settings.supabase_secret_key.reveal() == "sb_secret_abc"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", ""),
        ("SUPABASE_URL", "127.0.0.1:54321"),
        ("SUPABASE_URL", "https://münchen..co"),
        ("SUPABASE_URL", "postgresql://postgres@db.example/postgres"),
        ("SUPABASE_URL", "https://user:password@project.example"),
        ("SUPABASE_URL", "http://[::1"),
        ("SUPABASE_URL", "http://127.0.0.1:port"),
        ("SUPABASE_SECRET_KEY", ""),
        ("SUPABASE_SECRET_KEY", "sb_publishable_abc"),
        ("SUPABASE_SECRET_KEY", "sb_secret_a\nb"),
        ("SUPABASE_SECRET_KEY", "sb_secret_ä"),
        ("CHUNKWISE_CONCURRENCY", "0"),
        ("CHUNKWISE_CONCURRENCY", "1.5"),
        ("CHUNKWISE_CONCURRENCY", "many"),
        ("CHUNKWISE_CLAIM_AHEAD", "-1"),
        ("CHUNKWISE_IDLE_SECONDS", "60"),
        ("CHUNKWISE_IDLE_SECONDS", "nan"),
        ("CHUNKWISE_STOP_SECONDS", "-1"),
        ("CHUNKWISE_REALTIME", "maybe"),
        ("CHUNKWISE_REALTIME_RENEW_SECONDS", "90000"),
        ("CHUNKWISE_ANSWER_SECONDS", "2"),
        ("CHUNKWISE_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(ENV | {name: value})

    assert name in raised.value.message
    assert raised.value.hint
    assert raised.value.exit_code == EXIT_SETTINGS
    assert "password" not in raised.value.message


def test_the_wake_token_is_asked_for_only_by_a_receiver() -> None:
    settings = Settings.from_env(ENV)
    assert settings.wake_token is None
    with pytest.raises(SettingsError, match="CHUNKWISE_WAKE_TOKEN is not set"):
        settings.required_wake_token()

    settings = Settings.from_env(ENV | {"CHUNKWISE_WAKE_TOKEN": "0123456789abcdef"})
    assert settings.required_wake_token().reveal() == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)


@pytest.mark.parametrize(
    "token", ["short", "fifteen-letters", "sb_secret_0123456789", "wörter-mit-umlauten", "a\nb" * 9]
)
def test_what_is_no_wake_token_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="CHUNKWISE_WAKE_TOKEN"):
        Settings.from_env(ENV | {"CHUNKWISE_WAKE_TOKEN": token})
