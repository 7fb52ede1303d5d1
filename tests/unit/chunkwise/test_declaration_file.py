from pathlib import Path

import pytest

from chunkwise.cli.declaration_file import read_declaration
from chunkwise.errors import SettingsError

DECLARATION = {
    "source": {"source_name": "crm", "requests_per_second": None, "auth_prefix": ""},
    "streams": [
        {"stream_name": "on", "path": "/a:b", "page_size": 50, "params": {"since": "2026-01-01"}},
        {"stream_name": "no", "more_is": False, "records_path": []},
    ],
}
JSON = """
{"source": {"source_name": "crm", "requests_per_second": null, "auth_prefix": ""},
 "streams": [
  {"stream_name": "on", "path": "/a:b", "page_size": 50, "params": {"since": "2026-01-01"}},
  {"stream_name": "no", "more_is": false, "records_path": []}]}
"""
YAML = """
source:
  source_name: crm
  requests_per_second:   # none
  auth_prefix: ""
streams:
  - stream_name: on
    path: /a:b
    page_size: 50
    params: {since: 2026-01-01}
  - stream_name: no
    more_is: false
    records_path: []
"""


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "crm.json").write_text(JSON)
    (tmp_path / "crm.YAML").write_text(YAML)

    assert read_declaration(tmp_path / "crm.json") == DECLARATION
    assert read_declaration(tmp_path / "crm.YAML") == DECLARATION


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, one in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"source": {},\n "streams": [,]}', ", line 2: "),
        ("a.json", '{"source": {"a": 1, "a": 2}}', "'a' appears twice"),
        ("a.json", '{"source": NaN}', "NaN"),
        ("a.json", "[]", "is not an object"),
        ("a.yaml", "source:\n  a: 1\n  a: 2\n", ", line 3: not YAML that can be read: 'a' appears"),
        ("a.yaml", "source:\n\t- x\n", ", line 2: "),
        ("a.yaml", "source: &x\n  y: *x\n", "too many values"),
        ("a.yml", BOMB, "too many values"),
        ("a.yml", "? [a]\n: 1\n", "a key is not a text"),
        ("a.yml", "\0", "not YAML"),
        ("a.json", '{"a":' * 5000 + "1" + "}" * 5000, "nested too deeply"),
        ("a.json", "[" * 60 + "]" * 60, "nested too deeply"),
        ("a.yml", "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a.json", '{"a": 1e999}', "too large"),
        ("a.yml", "a: -1e999", "too large"),
        ("a.json", f'{{"a": {"9" * 5000}}}', "more than 100 digits"),
        ("a.yml", f"a: 0.{'9' * 5000}", "more than 100 digits"),
        ("a.json", r'{"a": "\ud800"}', "no database stores"),
        ("a.json", r'{"\u0000": 1}', "no database stores"),
        ("a.yml", r'a: "\0"', "no database stores"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(SettingsError) as refused:
        read_declaration(tmp_path / name)
    assert f"{tmp_path / name}" in refused.value.message
    assert said in refused.value.message


def test_a_tag_of_yaml_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")

    assert read_declaration(tmp_path / "a.yaml") == {"a": []}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_declaration(tmp_path / "no.json")
