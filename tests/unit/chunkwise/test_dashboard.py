"""`chunkwise dashboard`: what it is served with."""

import pytest

from chunkwise.errors import SettingsError
from chunkwise.settings import PageSettings

URL = "https://abc.supabase.co"


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(str(tmp_path))
    for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_PUBLISHABLE_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_url_and_publishable_key_are_all_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", URL)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_abc")

    assert PageSettings.read() == PageSettings(URL, "sb_publishable_abc")


@pytest.mark.parametrize(
    ("key", "complaint"),
    [("", "SUPABASE_PUBLISHABLE_KEY is not set"), ("sb_secret_abc", "holds a secret key")],
)
def test_a_key_that_must_not_be_served_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str, complaint: str
) -> None:
    monkeypatch.setenv("SUPABASE_URL", URL)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", key)

    with pytest.raises(SettingsError, match=complaint):
        PageSettings.read()
