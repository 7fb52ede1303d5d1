"""Settings: from which source, checked, secrets not shown."""

import os
from pathlib import Path

import pytest

from chunkwise.errors import EXIT_SETTINGS, SettingsError
from chunkwise.settings import Settings, found_settings

GIVEN = {"SUPABASE_URL": "http://127.0.0.1:54321/", "SUPABASE_SECRET_KEY": "sb_secret_abc"}
SOURCES = ("environment", ".env.local", ".env")
NO_KEY = "holds characters that no key has"
COPY_AGAIN = "Copy the secret key (sb_secret_…) again, without spaces or line breaks."
NO_URL = "is not a URL of a Supabase project"
LIKE_THIS = "It looks like https://<ref>.supabase.co, or http://127.0.0.1:54321 locally."
NAME_CERTIFICATE = (
    "Name the file of the root certificate that the dashboard offers under Database, SSL"
    " Configuration."
)
WRITE_HTTPS = (
    "The key would travel in plain text: write https://. Only to this machine itself, 127.0.0.1 or"
    " localhost, http will do."
)
SET_URL = (
    "Set it to the project's URL, https://<ref>.supabase.co, where its key is set; or run"
    " `make stack`, which writes both to .env.local."
)
SET_KEY = (
    "Copy the secret key (sb_secret_…) from the project's API settings to where SUPABASE_URL is"
    " set."
)
A_WHOLE_NUMBER = "Set it to a whole number from {} to 1000."
NO_TOKEN = "is no wake token"
MAKE_ONE = "It has at least 16 characters of ASCII: `openssl rand -hex 24`."


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty one, to work in; the environment has no settings."""
    for name in os.environ:
        if name.startswith(("SUPABASE_", "CHUNKWISE_", "DATABASE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(source: str, values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if source == "environment":
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    else:
        Path(source).write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def project(source: str) -> dict[str, str]:
    name = source.removeprefix(".").replace(".", "-")
    return {"SUPABASE_URL": f"https://{name}.example", "SUPABASE_SECRET_KEY": f"sb_secret_{name}"}


def test_defaults() -> None:
    settings = Settings.read(**GIVEN)

    assert settings.supabase_url == "http://127.0.0.1:54321"
    assert (settings.concurrency, settings.claim_ahead) == (16, 4)
    assert (settings.idle_seconds, settings.stop_seconds) == (5, 8)
    assert (settings.realtime, settings.realtime_renew_seconds) == (True, 82_800)
    assert settings.answer_seconds == 0.15
    assert settings.log_level == "info"
    assert settings.worker_id
    assert (settings.database_url, settings.pulse_file, settings.metrics_listen) == (None,) * 3


def test_two_workers_of_one_machine_have_two_ids() -> None:
    assert Settings.read(**GIVEN).worker_id != Settings.read(**GIVEN).worker_id


def test_everything_can_be_set(folder: Path) -> None:
    settings = Settings.read(
        **GIVEN,
        DATABASE_URL="postgresql://postgres:pw@db.example/postgres",
        CHUNKWISE_WORKER_ID=" w1 ",
        CHUNKWISE_CONCURRENCY="40",
        CHUNKWISE_CLAIM_AHEAD="0",
        CHUNKWISE_IDLE_SECONDS="0.5",
        CHUNKWISE_STOP_SECONDS="25",
        CHUNKWISE_REALTIME="Off",
        CHUNKWISE_REALTIME_RENEW_SECONDS="3600",
        CHUNKWISE_ANSWER_SECONDS="0.5",
        CHUNKWISE_LOG_LEVEL="DEBUG",
        CHUNKWISE_PULSE_FILE=str(folder / "pulse"),
        CHUNKWISE_METRICS_LISTEN="127.0.0.1:9090",
    )
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://postgres:pw@db.example/postgres"
    assert (settings.worker_id, settings.concurrency, settings.claim_ahead) == ("w1", 40, 0)
    assert (settings.idle_seconds, settings.stop_seconds) == (0.5, 25)
    assert (settings.realtime, settings.realtime_renew_seconds) == (False, 3600)
    assert settings.answer_seconds == 0.5
    assert settings.log_level == "debug"
    assert settings.pulse_file == folder / "pulse"
    assert settings.metrics_listen == "127.0.0.1:9090"


def test_a_quarter_more_is_claimed_than_is_in_flight() -> None:
    assert Settings.read(**GIVEN, CHUNKWISE_CONCURRENCY="100").claim_ahead == 25
    assert Settings.read(**GIVEN, CHUNKWISE_CONCURRENCY="2").claim_ahead == 1
    given = Settings.read(**GIVEN, CHUNKWISE_CLAIM_AHEAD="7").with_concurrency(40)
    assert (given.concurrency, given.claim_ahead) == (40, 10)


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_is_read(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, project(source) | {"CHUNKWISE_CONCURRENCY": "3"}, monkeypatch)

    settings = Settings.read()

    assert settings.supabase_url == project(source)["SUPABASE_URL"]
    assert settings.supabase_secret_key.reveal() == project(source)["SUPABASE_SECRET_KEY"]
    assert settings.concurrency == 3


def test_the_first_source_that_has_a_value_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each knows one that those before it do not, and what is empty is not there."""
    put("environment", GIVEN | {"CHUNKWISE_WORKER_ID": "environment"}, monkeypatch)
    monkeypatch.setenv("CHUNKWISE_IDLE_SECONDS", " ")
    local = {"CHUNKWISE_WORKER_ID": "local", "CHUNKWISE_IDLE_SECONDS": "2"}
    put(".env.local", local | {"CHUNKWISE_CONCURRENCY": "2"}, monkeypatch)
    shared = dict.fromkeys((*local, "CHUNKWISE_CONCURRENCY", "CHUNKWISE_STOP_SECONDS"), "1")
    put(".env", shared, monkeypatch)

    settings = Settings.read()

    assert settings.worker_id == "environment"
    assert (settings.idle_seconds, settings.concurrency, settings.stop_seconds) == (2, 2, 1)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("missing", ["SUPABASE_URL", "SUPABASE_SECRET_KEY"])
def test_no_key_goes_to_the_project_of_another_source(
    first: int, second: int, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = project(SOURCES[first])
    put(SOURCES[second], project(SOURCES[second]), monkeypatch)
    put(SOURCES[first], half, monkeypatch)
    assert Settings.read().supabase_url == half["SUPABASE_URL"]
    assert Settings.read().supabase_secret_key.reveal() == half["SUPABASE_SECRET_KEY"]

    put(SOURCES[first], half | {missing: ""}, monkeypatch)
    with pytest.raises(SettingsError) as raised:
        Settings.read()

    assert raised.value.message == f"{missing} is not set"


def test_other_variables_and_other_spellings_are_not_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put("environment", {"CHUNKWISE_SOMETHING": "1", "chunkwise_concurrency": "1"}, monkeypatch)
    put(".env", GIVEN | {"SECRET_OF_OTHERS": "2", "chunkwise_concurrency": "2"}, monkeypatch)

    assert Settings.read().concurrency == 16


def test_a_file_that_is_no_text_is_named(folder: Path) -> None:
    (folder / ".env.local").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"^\.env\.local cannot be read"):
        Settings.read(**GIVEN)


def test_secrets_are_not_shown() -> None:
    secrets = {
        "SUPABASE_SECRET_KEY": "sb_secret_abc",
        "CHUNKWISE_WAKE_TOKEN": "0123456789abcdef",
        "DATABASE_URL": "postgresql://postgres:a-password@db.example/postgres",
    }
    settings = Settings.read(**(GIVEN | secrets))

    shown = f"{settings!r} {settings} {settings.supabase_secret_key} {settings.model_dump()}"
    for secret in ("abc", "0123456789abcdef", "a-password"):
        assert secret not in shown
    assert settings.supabase_secret_key.reveal() == "sb_secret_abc"
    assert settings.required_wake_token().reveal() == "0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "value", "wrong", "way_out"),
    [
        ("SUPABASE_URL", "", "is not set", SET_URL),
        ("SUPABASE_URL", "127.0.0.1:54321", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://münchen..co", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "postgresql://postgres@db.example/postgres", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://user:password@project.example", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "http://[::1", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "http://127.0.0.1:port", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "HTTP://", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "abc.supabase.co", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://abc.supabase.co:0", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://abc.supabase .co", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://abc.supabase.co?key=1", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://abc.supabase.co#", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "https://abc.supa\u200bbase.co", NO_URL, LIKE_THIS),
        ("SUPABASE_URL", "http://abc.supabase.co", "is not https", WRITE_HTTPS),
        ("SUPABASE_URL", "HTTP://ABC.supabase.co", "is not https", WRITE_HTTPS),
        ("SUPABASE_URL", "http://10.0.0.1:54321", "is not https", WRITE_HTTPS),
        ("SUPABASE_URL", "http://localhost.example", "is not https", WRITE_HTTPS),
        ("SUPABASE_URL", "http://kong:8000", "is not https", WRITE_HTTPS),
        ("SUPABASE_SECRET_KEY", "", "is not set", SET_KEY),
        (
            *("SUPABASE_SECRET_KEY", "sb_publishable_abc", "holds a publishable key"),
            "A worker needs the secret key (sb_secret_…) from the project's API settings.",
        ),
        ("SUPABASE_SECRET_KEY", "sb_secret_a\nb", NO_KEY, COPY_AGAIN),
        ("SUPABASE_SECRET_KEY", "sb_secret_a b", NO_KEY, COPY_AGAIN),
        ("SUPABASE_SECRET_KEY", "sb_secret_ä", NO_KEY, COPY_AGAIN),
        ("CHUNKWISE_CONCURRENCY", "0", "is '0'", A_WHOLE_NUMBER.format(1)),
        ("CHUNKWISE_CONCURRENCY", "1001", "is '1001'", A_WHOLE_NUMBER.format(1)),
        ("CHUNKWISE_CONCURRENCY", "1.5", "is '1.5'", A_WHOLE_NUMBER.format(1)),
        ("CHUNKWISE_CONCURRENCY", "many", "is 'many'", A_WHOLE_NUMBER.format(1)),
        ("CHUNKWISE_CLAIM_AHEAD", "-1", "is '-1'", A_WHOLE_NUMBER.format(0)),
        ("CHUNKWISE_IDLE_SECONDS", "60", "is '60'", "Set it to seconds from 0.05 to 5."),
        ("CHUNKWISE_IDLE_SECONDS", "nan", "is 'nan'", "Set it to seconds from 0.05 to 5."),
        ("CHUNKWISE_STOP_SECONDS", "-1", "is '-1'", "Set it to seconds from 0 to 600."),
        ("CHUNKWISE_REALTIME", "maybe", "is 'maybe'", "Set it to on or off."),
        (
            *("CHUNKWISE_REALTIME_RENEW_SECONDS", "90000", "is '90000'"),
            "Set it to seconds from 1 to 86000.",
        ),
        ("CHUNKWISE_ANSWER_SECONDS", "2", "is '2'", "Set it to seconds from 0.01 to 1.5."),
        (
            *("CHUNKWISE_LOG_LEVEL", "Loud", "is 'loud'"),
            "Set it to debug, info, warning or error.",
        ),
        ("CHUNKWISE_WAKE_TOKEN", "fifteen-letters", NO_TOKEN, MAKE_ONE),
        ("CHUNKWISE_WAKE_TOKEN", "wörter-mit-umlauten", NO_TOKEN, MAKE_ONE),
        ("CHUNKWISE_WAKE_TOKEN", "a\nb" * 9, NO_TOKEN, MAKE_ONE),
        (
            *("CHUNKWISE_WAKE_TOKEN", "sb_secret_0123456789", "holds a secret key"),
            "Make a token of its own: every login of the database can read it in pg_net's tables.",
        ),
        (
            *("CHUNKWISE_DATABASE_CERTIFICATE", "/nowhere/root.crt", "is '/nowhere/root.crt'"),
            NAME_CERTIFICATE,
        ),
        (
            *("CHUNKWISE_PULSE_FILE", "/nowhere/pulse", "is '/nowhere/pulse'"),
            "Name a file in a folder that the worker may write to.",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(
    name: str, value: str, wrong: str, way_out: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read(**(GIVEN | {name: value}))

    assert (raised.value.message, raised.value.hint) == (f"{name} {wrong}", way_out)
    assert raised.value.exit_code == EXIT_SETTINGS


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (" https://abc.supabase.co/ ", "https://abc.supabase.co"),
        ("HTTPS://ABC.Supabase.CO", "https://abc.supabase.co"),
        ("https://api.example:8443/supabase/", "https://api.example:8443/supabase"),
        ("HTTP://LocalHost:54321", "http://localhost:54321"),
        ("http://127.1.2.3:54321", "http://127.1.2.3:54321"),
        ("http://[::1]:54321", "http://[::1]:54321"),
    ],
)
def test_a_url_is_read_in_one_spelling(written: str, read: str) -> None:
    assert Settings.read(**(GIVEN | {"SUPABASE_URL": written})).supabase_url == read


def test_the_wake_token_is_asked_for_only_by_a_receiver() -> None:
    settings = Settings.read(**GIVEN)
    assert settings.wake_token is None
    with pytest.raises(SettingsError, match="CHUNKWISE_WAKE_TOKEN is not set"):
        settings.required_wake_token()


def test_what_is_set_is_listed_with_where_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    put(".env", project(".env") | {"CHUNKWISE_CONCURRENCY": "4"}, monkeypatch)
    put("environment", {"CHUNKWISE_LOG_LEVEL": "debug"}, monkeypatch)
    assert found_settings() == [
        ("CHUNKWISE_CONCURRENCY", "4", ".env", False),
        ("CHUNKWISE_LOG_LEVEL", "debug", "environment", False),
        ("SUPABASE_SECRET_KEY", "sb_secret_env", ".env", True),
        ("SUPABASE_URL", "https://env.example", ".env", False),
    ]
