"""A declaration in a file: JSON or YAML, a source with its streams; what its fields may say the
database knows."""

import json
import re
from math import isfinite
from pathlib import Path
from typing import Any, Final

import yaml

from chunkwise.cli.output import counted
from chunkwise.errors import SettingsError
from chunkwise.gateway.protocol import Json

YAML_ENDINGS: Final = (".yaml", ".yml")
MOST_BYTES: Final = 1_000_000
FORM: Final = (
    'It is JSON, or YAML if its name ends in .yaml: {"source": {"source_name": …}, "streams":'
    ' [{"stream_name": …}, …]}. The folder sources has examples.'
)
MOST_VALUES: Final = 100_000
DEEPEST: Final = 50
LONGEST_NUMBER: Final = 100
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_declaration(path: Path) -> Json:
    """Raises SettingsError, which names the line if there is one."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(f"{path} is longer than {counted(MOST_BYTES, 'byte')}", FORM)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", FORM) from None
    try:
        declaration = _parsed(text, is_yaml=path.suffix.lower() in YAML_ENDINGS)
        _require_sendable(declaration)
    except RecursionError:
        raise SettingsError(f"{path}: nested too deeply", FORM) from None
    except ValueError as fault:
        raise SettingsError(f"{path}{fault}", FORM) from None
    if not isinstance(declaration, dict):
        raise SettingsError(f"{path} is not an object with a source and its streams", FORM)
    return declaration


def _require_sendable(value: object, depth: int = 0) -> None:
    """Raises ValueError where JSON or Postgres has no such value."""
    if depth > DEEPEST:
        raise ValueError(": nested too deeply")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(": a number is too large")
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise ValueError(f": {value!r} has a character that no database stores")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_sendable(key, depth + 1)
            _require_sendable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_sendable(item, depth + 1)


def _number(text: str) -> float | int:
    """Raises ValueError where a number is one that no field takes."""
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f": a number has more than {LONGEST_NUMBER} digits")
    return float(text) if set(text) & set(".eE") else int(text)


def _parsed(text: str, *, is_yaml: bool) -> object:
    """Raises ValueError, to be read behind the file's name."""
    if not is_yaml:
        try:
            return json.loads(
                text,
                object_pairs_hook=_once,
                parse_constant=_refuse,
                parse_int=_number,
                parse_float=_number,
            )
        except json.JSONDecodeError as error:
            raise ValueError(f", line {error.lineno}: not JSON: {error.msg}") from None
    try:
        return _Values().of(yaml.compose(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{line}: not YAML that can be read: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f": not YAML: {error}") from None


class _Values:
    """What a file of YAML says, with the texts, numbers and truths of JSON only: `no`, `12:30` and
    `2026-01-01` are texts. An alias is what it stands for, within bounds."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def of(self, node: yaml.Node | None, depth: int = 0) -> object:
        self._left -= 1
        if node is None:
            return None
        if self._left < 0 or depth > DEEPEST:
            raise _fault(node, "too many values, or nested too deeply")
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._object(node, depth)
        text = str(node.value)
        if node.style is not None:
            return text
        return _number(text) if NUMBER.fullmatch(text) else WORDS.get(text, text)

    def _object(self, node: yaml.MappingNode, depth: int) -> dict[str, object]:
        fields: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, "a key is not a text")
            if key.value in fields:
                raise _fault(key, f"{key.value!r} appears twice")
            fields[str(key.value)] = self.of(value, depth + 1)
        return fields


def _fault(node: yaml.Node, what: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f": field {twice!r} appears twice in one object")
    return fields


def _refuse(constant: str) -> object:
    raise ValueError(f": {constant} is not JSON")
