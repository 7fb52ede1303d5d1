"""What a text may show on a terminal, in a log and in the database."""

import json
import re
from typing import Final

# Controls, what turns the direction of a line around, other ends of lines, marks that are not seen,
# and halves of surrogate pairs, which no terminal can be sent.
UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_BLANKS: Final = re.compile(r"[ \t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def printable(text: str) -> str:
    """The text without what a terminal would obey; tab and line feed stay."""
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] in "\t\n" else "", text)


def one_line(text: str) -> str:
    """As `printable`, with one space for what parts lines or words."""
    return UNPRINTABLE.sub("", _BLANKS.sub(" ", text)).strip()


def as_json(value: object, indent: int | None = None) -> str:
    """JSON that a terminal may be sent: what is not printable is escaped. Outside of strings JSON
    has no such character but the line feeds of `indent`."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] == "\n" else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"
