"""What is kept of a text that others wrote never shows eight characters in a row of a key."""

import base64
import html
import json
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkwise.secret import (
    FOREIGN_CHARACTERS,
    MASK,
    TELLTALE,
    WITHHELD,
    Secret,
    foreign,
    mask,
    repeats,
)
from chunkwise.texts import UNPRINTABLE, as_json, one_line, printable

CHARACTERS = string.ascii_letters + string.digits + "|+/=_-.:%&\\\"'<>;#$"
KEYS = st.text(CHARACTERS, min_size=8, max_size=60).filter(lambda key: not key.startswith("sb_"))
# What may stand around it, and be encoded with it.
AROUND = st.text(string.ascii_letters + " ,.{}\n", max_size=40)


def lower_percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def percent(text: str) -> str:
    return lower_percent(text).upper()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "upper-case hex": lambda text: text.encode().hex().upper(),
    "\\u00xx": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "\\u00XX": lambda text: "".join(f"\\u{ord(each):04X}" for each in text),
    "a JSON string": json.dumps,
    "a JSON string in a JSON string": lambda text: json.dumps(json.dumps(text)),
    "percent-encoded": percent,
    "percent-encoded where it must": lambda text: quote(text, safe=""),
    "a parameter": quote_plus,
    "lower-case percent-encoded": lower_percent,
    "percent-encoded twice": lambda text: quote(percent(text), safe=""),
    "lower-case percent-encoded twice": lambda text: lower_percent(lower_percent(text)),
    "HTML-escaped": html.escape,
    "decimal entities": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "hex entities": lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    "upper-case hex entities": lambda text: "".join(f"&#X{ord(each):04X};" for each in text),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=30)
@given(key=KEYS, before=AROUND, after=AROUND, data=st.data())
def test_a_text_with_eight_characters_of_a_key_is_not_kept(
    spelling: str, key: str, before: str, after: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(key) - TELLTALE))
    part = key[start : data.draw(st.integers(start + TELLTALE, len(key)))]
    said = SPELLINGS[spelling](before + part + after)

    if len(one_line(said)) <= FOREIGN_CHARACTERS:
        assert foreign(said, [Secret(key)]) == WITHHELD
        assert foreign(said, [Secret(f"Bearer {key}")]) == WITHHELD
    else:
        assert not repeats(foreign(said, [Secret(key)]), [Secret(key)])


@given(key=KEYS, said=st.text(string.ascii_letters + " ", max_size=400))
def test_of_any_other_text_200_printable_characters_are_kept(key: str, said: str) -> None:
    key = f"0{key}0|1234567"
    kept = foreign(said, [Secret(key)])
    if not repeats(said, [Secret(key)]):
        assert kept == " ".join(said.split())[:FOREIGN_CHARACTERS].rstrip()


@given(st.text())
def test_what_is_kept_is_printable(said: str) -> None:
    kept = foreign(said, [])
    assert len(kept) <= FOREIGN_CHARACTERS
    assert not UNPRINTABLE.search(kept)
    assert kept == "".join(each for each in kept if each.isprintable() or each not in "\n\t")


@pytest.mark.parametrize("key", ['0000"%00', "00\\0&amp0", "%250000\\"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_that_looks_like_escapes_is_found_below_others(spelling: str, key: str) -> None:
    assert foreign(SPELLINGS[spelling](key), [Secret(key)]) == WITHHELD


def test_characters_that_are_not_seen_hide_no_key() -> None:
    hidden = "\u200b".join("planted-key")
    assert foreign(f"you sent {hidden}", [Secret("planted-key")]) == WITHHELD


def test_a_key_of_less_than_eight_characters_is_looked_for_whole() -> None:
    assert foreign("no s3cr3t here", [Secret("s3cr3t")]) == WITHHELD
    assert foreign("no s3cr3 here", [Secret("s3cr3t")]) == "no s3cr3 here"
    assert foreign("anything", [Secret("")]) == "anything"


def test_of_basic_authentication_the_user_and_password_are_secret_too() -> None:
    secret = Secret("Basic " + base64.b64encode(b"operator:correct horse").decode())
    assert foreign("no user operator:correct horse", [secret]) == WITHHELD
    assert foreign("correct+horse", [secret]) == WITHHELD


def test_our_own_words_around_a_foreign_one_stay() -> None:
    secret = Secret("planted-key")
    said = mask("params.key is 'planted-key', which is no number", [secret])
    assert said == f"params.key is {MASK} which is no number"


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u202e", "\u2066", "\u200f", "\ud800"])
def test_no_text_commands_a_terminal(character: str) -> None:
    assert printable(f"a{character}b\tc\nd") == "ab\tc\nd"
    assert one_line(f"a{character}b\tc\nd") == "ab c d"
    shown = as_json({"name": f"a{character}b"}, indent=2)
    assert character not in shown
    assert json.loads(shown) == {"name": f"a{character}b"}


GRANT = json.dumps({"client_id": "app-1", "client_secret": "pass", "refresh_token": "1//planted"})


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("planted-user:word", "no planted-user here"),
        ("planted-user:word", "its password is word"),
        ("Basic " + base64.b64encode(b"planted-user:word").decode(), "its password is word"),
        (GRANT, "of client app-1"),
        (GRANT, f"secret={quote('pass')}"),
        (GRANT, base64.b64encode(b"1//planted").decode()),
    ],
)
def test_user_password_and_the_strings_of_json_are_secrets_too(secret: str, text: str) -> None:
    assert foreign(text, [Secret(secret)]) == WITHHELD


def test_a_part_of_three_characters_stands_in_too_many_words() -> None:
    assert foreign("xxx", [Secret("planted-user:xxx")]) == "xxx"
    assert foreign("planted-user:xxx", [Secret("planted-user:xxx")]) == WITHHELD
