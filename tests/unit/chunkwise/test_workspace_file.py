"""A file of workspaces is read whole; every bad line is named, with its number."""

import json
from pathlib import Path

import pytest

from chunkwise.cli.workspace_file import Line, read_lines, refuse_repeated
from chunkwise.errors import EXIT_SETTINGS, SettingsError

URL = "https://bison.example"
JSON_LINES = (
    f'{{"name": "acme", "url": "{URL}", "max_concurrency": 3, "key_env": "PATH"}}\n\n'
    f'{{"name": "zen", "url": "{URL}", "external_id": null}}\n'
)


def read(text: str, folder: Path) -> list[Line]:
    path = folder / "workspaces"
    path.write_text(text, encoding="utf-8")
    return read_lines(path)


def faults_of(text: str, folder: Path) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(text, folder)
    assert raised.value.exit_code == EXIT_SETTINGS
    return raised.value.message.splitlines()[1:]


@pytest.mark.parametrize(
    "text",
    [
        f"name,url,max_concurrency,key_env\nacme,{URL},3,PATH\nzen,{URL},,\n",
        f"\ufeffName;URL;Max_Concurrency;Key_Env\r\nacme;{URL};3;PATH\r\n\r\nzen;{URL};;\r\n",
        JSON_LINES,
    ],
)
def test_csv_and_json_lines_are_read_alike(text: str, tmp_path: Path) -> None:
    acme, zen = read(text, tmp_path)
    assert (acme.name, acme.url, acme.max_concurrency, acme.key_env) == ("acme", URL, 3, "PATH")
    assert (zen.name, zen.url, zen.max_concurrency, zen.key_env) == ("zen", URL, None, None)
    assert (acme.source, zen.external_id) == (None, None)


def test_an_id_may_be_a_number_and_a_name_may_have_commas(tmp_path: Path) -> None:
    (of_json,) = read(json.dumps({"name": "a", "url": URL, "external_id": 12}), tmp_path)
    (of_csv,) = read(f'name,url,external_id\n"Acme, Inc.",{URL},012\n', tmp_path)
    assert of_json.external_id == "12"
    assert (of_csv.name, of_csv.external_id) == ("Acme, Inc.", "012")


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "name,url,max_concurrency,key_env",
            f",{URL},,",
            f"acme,{URL},many,",
            f"acme,{URL},0,",
            "zen,bison.example,,",
            f"good,{URL},,",
            f"keyless,{URL},,NO_SUCH_VARIABLE",
            f"short,{URL}",
            f"long,{URL},,,,more",
            f"wide,{URL},{'9' * 6000},",
        ]
    )
    assert faults_of(text, tmp_path) == [
        "line 2: name is missing",
        "line 3: max_concurrency is 'many', not a whole number above 0",
        "line 4: max_concurrency is '0', not a whole number above 0",
        "line 5: url is 'bison.example', and begins with https://",
        "line 7: key_env: NO_SUCH_VARIABLE is not set in the environment",
        "line 8: has fewer fields than the header",
        "line 9: has more fields than the header",
        f"line 10: max_concurrency is '{'9' * 40}', not a whole number above 0",
    ]


def test_lines_that_repeat_a_name_are_named_with_the_first(tmp_path: Path) -> None:
    lines = read(f"name,url\nzen,{URL}\nacme,{URL}\nZen,{URL}\n", tmp_path)
    refuse_repeated(tmp_path, lines, [1, 2, 3])
    with pytest.raises(SettingsError, match="line 4: name 'Zen' stands in line 2 already"):
        refuse_repeated(tmp_path, lines, [1, 2, 1])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"name": "a"', "line 1: not JSON: "),
        ('{"name": ["a"], "url": "x"}', "line 1: name is neither text nor a whole number"),
        ('{"name": true, "url": "x"}', "line 1: name is neither text nor a whole number"),
        ('{"name": "a\\u0000", "url": "x"}', "line 1: name has U+0000"),
        ('{"name": "a\\ud800", "url": "x"}', "line 1: name has U+0000"),
        (f'{{"name": "a", "url": "{URL}", "colour": "red"}}', "line 1: field 'colour' is none of"),
        (f'{{"name": "a", "url": "{URL}", "api_key": "1|planted"}}', "line 1: field api_key: no"),
        (f"name,url,key\na,{URL},1|planted\n", "line 2: field key: no keys in files"),
        ('name,url\n"a,b\n', "line 2: is no CSV: "),
    ],
)
def test_what_a_line_cannot_be_is_said_without_its_keys(
    line: str, fault: str, tmp_path: Path
) -> None:
    (told,) = faults_of(line, tmp_path)
    assert told.startswith(fault)
    assert "planted" not in told


def test_a_file_without_workspaces_and_one_that_is_not_there_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no workspace"):
        read("name,url\n", tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_lines(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_lines(tmp_path / "binary")
