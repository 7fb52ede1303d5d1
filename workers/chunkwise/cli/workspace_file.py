"""Workspaces in a file: CSV with a header, or JSON lines; read whole before anything is done."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

from chunkwise.errors import SettingsError
from chunkwise.gateway.protocol import LARGEST_INTEGER

COLUMNS: Final = ("name", "url", "source", "external_id", "max_concurrency", "key_env")
REQUIRED: Final = ("name", "url")
# In a file it would lie around; a name that only looks like one of ours is not worth a guess.
KEYS: Final = ("key", "api_key", "token", "secret")
MOST_NAMED: Final = 20
FORM: Final = (
    "It is CSV with a header, or an object of JSON per line. Fields: name and url; if you like"
    " source, external_id, max_concurrency and key_env, the environment variable that has the key."
)

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Line:
    """A workspace as a line has it. `key_env` names the variable that has its key."""

    number: int
    name: str
    url: str
    source: str | None
    external_id: str | None
    max_concurrency: int | None
    key_env: str | None


def read_lines(path: Path) -> list[Line]:
    """Raises SettingsError, which names every bad line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", FORM) from None
    lines: list[Line] = []
    faults: list[str] = []
    is_json = text.lstrip().startswith("{")
    for number, fields in _json_lines(text) if is_json else _csv_lines(text):
        try:
            lines.append(_line(number, fields))
        except ValueError as fault:
            faults.append(f"line {number}: {fault}")
    if faults:
        _refuse(path, faults)
    if not lines:
        raise SettingsError(f"{path} has no workspace", FORM)
    return lines


def refuse_repeated(path: Path, lines: Sequence[Line], first: Sequence[int]) -> None:
    """`first`: for each line the position, from 1, of the first one with the same name, as only
    the database compares them. Raises SettingsError, which names every line that repeats one."""
    faults = [
        f"line {line.number}: name {line.name!r} stands in line {same.number} already"
        for line, same in zip(lines, (lines[position - 1] for position in first), strict=True)
        if same is not line
    ]
    if faults:
        _refuse(path, faults)


def _refuse(path: Path, faults: Sequence[str]) -> Never:
    more = f"\n… and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
    told = "\n".join(faults[:MOST_NAMED]) + more
    raise SettingsError(f"nothing was added of {path}:\n{told}", FORM)


def _csv_lines(text: str) -> Iterator[tuple[int, Fields | ValueError]]:
    header, _, _ = text.partition("\n")
    separator = ";" if ";" in header and "," not in header else ","
    reader = csv.DictReader(text.splitlines(), delimiter=separator, restkey="", strict=True)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.reader.line_num, ValueError(f"is no CSV: {error}")
            return
        number = reader.line_num
        if None in fields.values():
            yield number, ValueError("has fewer fields than the header")
        elif "" in fields and fields[""] != "":
            yield number, ValueError("has more fields than the header")
        else:
            yield number, fields


def _json_lines(text: str) -> Iterator[tuple[int, Fields | ValueError]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            yield number, ValueError(f"not JSON: {error}")
        else:
            is_object = isinstance(fields, dict)
            yield number, fields if is_object else ValueError("not a JSON object")


def _line(number: int, fields: Fields | ValueError) -> Line:
    """What the database decides about values is left to it."""
    if isinstance(fields, ValueError):
        raise fields
    if found := sorted(set(KEYS) & fields.keys()):
        raise ValueError(
            f"field {found[0]}: no keys in files; let key_env name an environment variable"
        )
    if unknown := sorted(fields.keys() - set(COLUMNS)):
        raise ValueError(f"field {unknown[0]!r} is none of {', '.join(COLUMNS)}")
    values = {name: _text(name, fields.get(name)) for name in COLUMNS}
    for name in REQUIRED:
        if values[name] is None:
            raise ValueError(f"{name} is missing")
    slots, variable = values["max_concurrency"], values["key_env"]
    if slots is not None and not (
        slots.isascii() and slots.isdecimal() and 0 < int(slots[:20]) <= LARGEST_INTEGER
    ):
        raise ValueError(f"max_concurrency is {slots[:40]!r}, not a whole number above 0")
    if not str(values["url"]).lower().startswith(("https://", "http://")):
        raise ValueError(f"url is {str(values['url'])[:60]!r}, and begins with https://")
    if variable is not None and not os.environ.get(variable, "").strip():
        raise ValueError(f"key_env: {variable[:60]} is not set in the environment")
    return Line(
        number,
        str(values["name"]),
        str(values["url"]),
        values["source"],
        values["external_id"],
        int(slots) if slots else None,
        variable,
    )


def _text(name: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise ValueError(f"{name} is neither text nor a whole number")  # noqa: TRY004
    text = "" if value is None else str(value).strip()
    if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{name} has U+0000 or half a pair of surrogates, which nothing stores")
    return text or None
