"""Secrets that do not show themselves, and texts from which they are taken out."""

import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
# Shorter ones would be found in ordinary words.
SHORTEST_TOKEN = 8


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


def mask(text: str, secrets: Iterable[Secret]) -> str:
    """The text with every secret replaced, as it stands and as URLs and JSON spell it.

    Of a value in several words ("Bearer 7|abc") the last word is a secret too, and of that what
    stands behind its number: APIs echo either alone.
    """
    for spelling in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(spelling, MASK)
    return text


def _spellings(secrets: Iterable[Secret]) -> set[str]:
    spellings: set[str] = set()
    for secret in secrets:
        value = secret.reveal()
        words = value.split()
        tokens = {word.rpartition("|")[2] for word in words[-1:]}
        tokens = {token for token in tokens if len(token) >= SHORTEST_TOKEN}
        for part in {value, *words[-1:], *tokens}:
            in_json = json.dumps(part)[1:-1]
            spellings |= {part, quote(part), quote(part, safe=""), quote_plus(part)}
            spellings |= {in_json, in_json.replace("/", "\\/")}
    return spellings - {""}
