"""Secrets that do not show themselves, and texts of others out of which they are kept."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote, quote_plus

from chunkwise.texts import one_line

MASK = "***"
WITHHELD: Final = "(not shown: it repeats the key)"
# All that is kept of a foreign text, and how much of it is looked at: what is written in escapes
# may begin before the one end and end before the other.
FOREIGN_CHARACTERS: Final = 200
LOOKED_AT_CHARACTERS: Final = 600
# As many bytes in a row of a secret are the secret. A shorter secret is looked for as a whole.
TELLTALE: Final = 8
# Fewer characters of base64 stand in ordinary words.
SHORTEST_BASE64: Final = 4
# What stands in a secret and is shorter stands in too many words.
SHORTEST_PART: Final = 4
# Not secret, and common in texts about keys.
PREFIX: Final = "sb_secret_"

_ESCAPE: Final = {
    "url": r"%(?P<percent>[0-9A-Fa-f]{2})",
    "json": r"\\u(?P<u>[0-9A-Fa-f]{4})|\\x(?P<x>[0-9A-Fa-f]{2})|\\(?P<slash>.)",
    "html": r"(?P<html>&#[0-9]{1,7};?|&#[xX][0-9A-Fa-f]{1,6};?|&[A-Za-z]{2,24};)",
}
_ESCAPES: Final = {
    **{name: re.compile(escape, re.DOTALL) for name, escape in _ESCAPE.items()},
    "any": re.compile("|".join(_ESCAPE.values()), re.DOTALL),
}
_SHORT_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
# Base64 of n bytes behind 0, 1 or 2 others: how many of its first characters tell of the others.
_MIXED: Final = (0, 2, 3)
_BASE64_OF_URLS: Final = str.maketrans("-_", "+/")


class Secret:
    """A value that only `reveal()` shows; repr, str and format print the mask. No dataclass: what
    writes those out field by field would show it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"


def foreign(text: str, secrets: Iterable[Secret]) -> str:
    """What is kept of a text that others wrote: its printable beginning, and nothing if that
    repeats a secret. The same as sync.foreign_text()."""
    kept = one_line(text)[:LOOKED_AT_CHARACTERS]
    return WITHHELD if repeats(kept, secrets) else kept[:FOREIGN_CHARACTERS].rstrip()


def mask(text: str, secrets: Iterable[Secret]) -> str:
    """A text of our own in which others' words stand: without the words that repeat a secret."""
    known = list(secrets)
    if not repeats(text, known):
        return text
    words = [MASK if repeats(word, known) else word for word in re.split(r"(\s+)", text)]
    masked = "".join(words)
    return WITHHELD if repeats(masked, known) else masked


def without(text: str, secrets: Iterable[Secret]) -> str:
    """A longer text of others, to be looked at once and kept nowhere: with the secrets in it masked
    as they stand and in the usual spellings. `foreign` and `mask` find any, and take too long."""
    for secret in secrets:
        for value in filter(None, _values_of(secret)):
            in_json = json.dumps(value)[1:-1]
            encoded = base64.b64encode(value.encode()).decode()
            spellings = {value, in_json, in_json.replace("/", "\\/"), encoded}
            spellings |= {quote(value, safe=""), quote_plus(value), html.escape(value)}
            for spelling in sorted(spellings, key=len, reverse=True):
                text = text.replace(spelling, MASK)
    return text


def repeats(text: str, secrets: Iterable[Secret]) -> bool:
    """Whether the text holds a part of a secret, as it stands or as URLs, HTML, JSON, base64 or
    hexadecimal digits spell it."""
    values = {_as_bytes(value) for secret in secrets for value in _values_of(secret) if value}
    if not values:
        return False
    forms = _forms(_as_bytes(text))
    return any(_is_in(value, forms) for value in values)


def _values_of(secret: Secret) -> Iterator[str]:
    """What of a header's value is secret: not the scheme before it, nor a known prefix; of basic
    authentication also what it encodes; each with its parts."""
    value = secret.reveal()
    scheme, _, rest = value.partition(" ")
    bare = (rest.strip() if rest and scheme.isalpha() else value).removeprefix(PREFIX)
    yield from _strings_of(bare)
    if scheme.lower() == "basic":
        with suppress(ValueError):
            yield from _strings_of(base64.b64decode(rest).decode())


def _strings_of(value: str) -> Iterator[str]:
    """A secret, and its parts: the strings of JSON, or user and password. The same as
    sync.strings_of()."""
    yield value
    parts: Iterable[str] = ()
    if value.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            parts = list(_strings_in(json.loads(value)))
    elif ":" in value:
        parts = value.split(":", 1)
    yield from (part for part in parts if len(part) >= SHORTEST_PART)


def _strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings_in(inner)


def _as_bytes(text: str) -> str:
    """A character for each byte of UTF-8: parts of it may be spelled by themselves."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _forms(text: str) -> set[str]:
    """The text, and as it reads once what may be escapes in it are resolved."""
    forms = {text}
    for kind in _ESCAPES:
        once = _resolved(text, kind)
        forms |= {once, _resolved(once, kind)}
    return {*forms, _resolved(_resolved(_resolved(text, "any"), "any"), "any")}


def _resolved(text: str, kind: str) -> str:
    return _ESCAPES[kind].sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    groups = escape.groupdict()
    code = groups.get("percent") or groups.get("u") or groups.get("x")
    if code:
        return chr(int(code, 16)) if len(code) == len("41") else _as_bytes(chr(int(code, 16)))
    if groups.get("slash") is not None:
        return _SHORT_ESCAPES.get(groups["slash"], groups["slash"])
    return _as_bytes(html.unescape(escape[0]))


def _is_in(value: str, forms: set[str]) -> bool:
    size = min(TELLTALE, len(value))
    parts = _pieces(value, size)
    hexadecimal = {part.encode("latin-1").hex() for part in parts}
    in_base64 = {piece for part in parts for piece in _in_base64(part)}
    lengths = {len(piece) for piece in in_base64}
    return any(
        parts & (_pieces(form, size) | _pieces(form.replace("+", " "), size))
        or hexadecimal & _pieces(form.lower(), 2 * size)
        or any(in_base64 & _pieces(_joined(form), length) for length in lengths)
        for form in forms
    )


def _joined(form: str) -> str:
    """Base64 comes in lines, and in an alphabet for URLs."""
    return re.sub(r"\s", "", form).translate(_BASE64_OF_URLS)


def _pieces(text: str, size: int) -> set[str]:
    return {text[at : at + size] for at in range(len(text) - size + 1)}


def _in_base64(part: str) -> Iterator[str]:
    """What base64 of a text that holds the part has for it, wherever in the text it stands."""
    for before, mixed in enumerate(_MIXED):
        data = b"x" * before + part.encode("latin-1")
        piece = base64.b64encode(data).decode()[mixed : len(data) * 8 // 6]
        if len(piece) >= SHORTEST_BASE64:
            yield piece
