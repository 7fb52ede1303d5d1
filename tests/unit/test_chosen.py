"""`make test T=…` runs what T names, and says so if that is nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.chosen import Chosen

CHECKOUT = Path(__file__).resolve().parents[2]
ROUNDS = "supabase/tests/claim/claims_go_round_robin.sql"
SLOTS = "supabase/tests/claim/slots_are_kept.sql"
PAUSE = "supabase/tests/steer/a_pause_holds.sql"
CLAIM = "tests/races/test_double_claim.py"
STEER = "tests/e2e/test_steer.py"
CANCEL = "async def test_a_cancel_waits() -> None: ...\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    texts = {
        ROUNDS: "",
        SLOTS: "",
        PAUSE: "",
        CLAIM: "def test_one_wins() -> None: ...\n",
        STEER: f"def test_a_pause_holds_a_claim() -> None: ...\n{CANCEL}",
        "tests/support/claims.py": "",
        "supabase/tests/support/claims.psql": "",
        "supabase/schemas/claim.sql": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "sql", "python"),
    [
        pytest.param("supabase/tests/claim", (ROUNDS, SLOTS), (), id="SQL folder"),
        pytest.param("supabase/tests/claim/", (ROUNDS, SLOTS), (), id="slash at its end"),
        pytest.param("./" + PAUSE, (PAUSE,), (), id="SQL file"),
        pytest.param("tests/races", (), (CLAIM,), id="Python folder"),
        pytest.param(CLAIM, (), (CLAIM,), id="Python file"),
        pytest.param(f"{CLAIM}::test_x[1]", (), (f"{CLAIM}::test_x[1]",), id="Python test"),
        pytest.param("slots", (SLOTS,), (), id="word in the name of an SQL file"),
        pytest.param("Round Robin", (ROUNDS,), (), id="words apart"),
        pytest.param("cancel", (), (f"{STEER}::test_a_cancel_waits",), id="word in a test's name"),
        pytest.param("races", (), (CLAIM,), id="word that is a folder"),
        pytest.param(
            "claim",
            (ROUNDS, SLOTS),
            (STEER + "::test_a_pause_holds_a_claim", CLAIM),
            id="word in both",
        ),
    ],
)
def test_tests_are_named_by_path_or_word(
    checkout: Path, text: str, sql: tuple[str, ...], python: tuple[str, ...]
) -> None:
    assert Chosen.by(text, checkout) == Chosen(sql, python)


def test_an_absolute_path_is_a_path(checkout: Path) -> None:
    assert Chosen.by(f"{checkout / PAUSE}", checkout) == Chosen((PAUSE,), ())


@pytest.mark.parametrize(
    "text", ["nonsense", "tests/support", "supabase/tests/gone", "supabase/schemas/claim.sql"]
)
def test_what_names_no_test_is_an_error(checkout: Path, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Chosen.by(text, checkout)


def test_the_command_fails_and_names_what_it_looked_for() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "local.chosen", "nonsense"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "nonsense" in ended.stderr, ended.stdout) == (1, True, "")
