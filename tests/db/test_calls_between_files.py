"""The schema's files call upward only, say truly what they stand on, and name no customer.

A file stands on those before it: no function or view of it calls one of a later file, and no files
need each other in a circle. The one exception are the dispatchers in `stream_kinds`: earlier files
call them, they call the kinds. Calls are read from the catalog, so what runs counts, not what a
file says. A name in a text that dynamic SQL runs is a call; a function that a stream's row names is
not: rows are how the engine calls what it does not know.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.db import Db

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMAS = CHECKOUT / "supabase" / "schemas"
DISPATCHERS = "stream_kinds"
# A kind of stream, and the name of one.
KINDS = {"connection"}
# Every file may call these; a header does not list them.
GROUND = frozenset({"foundation", "access", "settings"})

CREATED = re.compile(
    r"(?im)^(?:create (?:or replace )?(?:function|view) |select sync\.write_upsert\(')"
    r"((?:sync|public)\.\w+)"
)
NAMED = re.compile(r"(?im)^create (?:table|view|type|function) ((?:sync|public)\.\w+)")
DECLARED = re.compile(r'"(?:source|stream)_name": "(\w+)"')
CUSTOMERS_WORDS = re.compile(
    r"(?i)\b\w*(?:bison|sender_?email|mailbox)\w*\b|\b(?:reply|replies|conversations?|threads?)\b"
)
COMMENT_OR_TEXT = re.compile(r"(?s)--[^\n]*|/\*.*?\*/|'((?:[^']|'')*)'")
WHOLE_NAME = re.compile(r"(?:sync|public)\.\w+")
NAME = re.compile(r"\b((?:sync|public)\.\w+)(\s*\()?")
STANDS_ON = re.compile(r"(?m)^-- Stands on: ((?:[^\n]|\n--   )*)\.$")

# An extension's own functions are nobody's here.
BODIES = """
    select n.nspname || '.' || o.name as name, o.is_view, o.body
    from (
      select oid, pronamespace as namespace, proname as name, false as is_view,
        pg_get_functiondef(oid) as body
      from pg_proc where prokind in ('f', 'p')
      union all
      select oid, relnamespace, relname, true, pg_get_viewdef(oid)
      from pg_class where relkind in ('v', 'm')
    ) as o
    join pg_namespace as n on n.oid = o.namespace
    where n.nspname in ('sync', 'public')
      and not exists (select from pg_depend where objid = o.oid and deptype = 'e')
"""


@dataclass(frozen=True, slots=True)
class Call:
    """By the function or view of one file, to one of another."""

    file: str
    caller: str
    to_file: str
    called: str

    def __str__(self) -> str:
        return f"{self.file}: {self.caller} -> {self.to_file}: {self.called}"


def test_no_call_is_forward_but_to_a_dispatcher_and_no_circle_exists(db: Db) -> None:
    files = files_in_reading_order(SCHEMAS)
    order = {name: position for position, name in enumerate(files)}
    found = [call for call in calls(db, homes(files)) if call.to_file != DISPATCHERS]
    forward = sorted(str(call) for call in found if order[call.file] < order[call.to_file])
    assert not forward, "\n".join(forward)
    assert not (round_ways := circles(found, order)), "\n".join(round_ways)


def test_every_file_says_what_it_stands_on(db: Db) -> None:
    files = files_in_reading_order(SCHEMAS)
    order = {name: position for position, name in enumerate(files)}
    called = defaultdict(set)
    for call in calls(db, homes(files)):
        if order[call.to_file] < order[call.file] and call.to_file not in GROUND:
            called[call.file].add(call.to_file)
    said = {file: stands_on(text) for file, text in files.items()}
    true = {file: sorted(called[file], key=order.__getitem__) for file in files}
    assert said == true


def test_the_engine_names_nothing_of_its_customers() -> None:
    files = files_in_reading_order(SCHEMAS)
    theirs = {file: text for file, text in files.items() if file.startswith("email_bison_")}
    assert theirs
    names = {
        name.rpartition(".")[2]
        for text in theirs.values()
        for name in [*NAMED.findall(text), *DECLARED.findall(text)]
    } - KINDS
    found = [
        f"{file}: {word}"
        for file, text in files.items()
        if file not in theirs
        for word in [*re.findall(r"\w+", text), *CUSTOMERS_WORDS.findall(text)]
        if word in names or CUSTOMERS_WORDS.fullmatch(word)
    ]
    assert not found, "\n".join(found)


def test_a_name_in_a_text_is_a_call_and_in_a_comment_is_none() -> None:
    body = """
        select '-- ', sync.a(1); -- sync.b(), isn't called
        /* sync.c() */ execute 'select sync.d ()'; perform 'sync.e'::regproc;
        insert into sync.f values (1);
    """
    found = NAME.findall(without_comments(body))
    assert [name for name, opens in found if opens] == ["sync.a", "sync.d", "sync.e"]


def test_circles_are_found() -> None:
    found = [Call("a", "f", "b", "g"), Call("b", "g", "c", "h"), Call("c", "h", "a", "f")]
    assert circles(found, {"a": 0, "b": 1, "c": 2, "d": 3}) == ["circle: a, b, c"]


def files_in_reading_order(folder: Path) -> dict[str, str]:
    """Each file's text by its name without number, so that renumbering changes nothing here."""
    paths = sorted(folder.glob("*.sql"))
    files = {path.stem.partition("_")[2]: path.read_text() for path in paths}
    assert len(files) == len(paths), "two files of one name"
    return files


def stands_on(text: str) -> list[str]:
    """The files that the header names, in its order."""
    header = STANDS_ON.search(text)
    return re.findall(r"\w+", header[1]) if header else []


def homes(files: Mapping[str, str]) -> dict[str, str]:
    """The file that creates each function and view; overloads stand in one."""
    found: dict[str, str] = {}
    for file, text in files.items():
        for name in CREATED.findall(text):
            assert found.setdefault(name, file) == file, f"{name}: in {found[name]} and in {file}"
    return found


def calls(db: Db, home: Mapping[str, str]) -> set[Call]:
    """Every call between two files, as the catalog has it."""
    db.run("set search_path = ''")  # pg_get_viewdef() then qualifies every name
    rows = db.run(BODIES)
    homeless = sorted({row["name"] for row in rows} ^ home.keys())
    assert not homeless, f"in the catalog or in a file, but not in both: {homeless}"
    is_view = {row["name"]: row["is_view"] for row in rows}
    return {
        Call(home[row["name"]], row["name"], home[called], called)
        for row in rows
        for called, opens in NAME.findall(without_comments(row["body"]))
        # A function's name without arguments is a table's or a type's of that name.
        if called in home and (opens or is_view[called]) and home[called] != home[row["name"]]
    }


def without_comments(body: str) -> str:
    """A text stays, since it may be SQL that is run; one that is a name, as regproc, calls it."""

    def kept(match: re.Match[str]) -> str:
        text = match[1] or ""
        return f" {text}() " if WHOLE_NAME.fullmatch(text) else f" {text} "

    return COMMENT_OR_TEXT.sub(kept, body)


def circles(found: Iterable[Call], order: Mapping[str, int]) -> list[str]:
    """Files of which each reaches every other: one line for each such group."""
    reached: dict[str, set[str]] = defaultdict(set)
    for call in found:
        reached[call.file].add(call.to_file)
    grows = True
    while grows:
        grows = False
        for file in list(reached):
            further = set().union(*(reached.get(next_file, set()) for next_file in reached[file]))
            if not further <= reached[file]:
                reached[file] |= further
                grows = True
    groups = {
        frozenset(other for other in reached[file] if file in reached.get(other, set()))
        for file in reached
        if file in reached[file]
    }
    return [f"circle: {', '.join(sorted(group, key=order.__getitem__))}" for group in groups]
