"""Who may do what with `net`: as on hosted, everybody everything, and nobody can take it away."""

import pytest

from tests.conftest import Connect
from tests.support.db import Db


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_everybody_may_send_and_read_the_headers_of_others(connect: Connect, role: str) -> None:
    db = connect(role)
    db.run(
        "select net.http_post('http://127.0.0.1:1',"
        ' headers => \'{"Authorization": "Bearer abc", "Content-Type": "application/json"}\')'
    )
    headers = db.value("select headers from net.http_request_queue")
    assert headers["Authorization"] == "Bearer abc"


def test_postgres_cannot_revoke_it(db: Db) -> None:
    db.run("revoke all on all tables in schema net from public")
    db.run("revoke execute on all functions in schema net from public")
    db.run("revoke usage on schema net from public")

    assert db.one(
        "select has_schema_privilege('anon', 'net', 'usage') as schema,"
        " has_table_privilege('anon', 'net.http_request_queue', 'select') as queue,"
        " has_function_privilege("
        "  'anon', 'net.http_post(text, jsonb, jsonb, jsonb, integer)', 'execute') as post"
    ) == {"schema": True, "queue": True, "post": True}


def test_its_tables_are_unlogged_and_have_no_key(db: Db) -> None:
    tables = db.run(
        "select c.relname, c.relpersistence, c.relowner::regrole::text as owner,"
        " array(select indexdef from pg_indexes where tablename = c.relname) as indices"
        " from pg_class as c where c.relnamespace = 'net'::regnamespace and c.relkind = 'r'"
        " order by 1"
    )
    assert [table["relname"] for table in tables] == ["_http_response", "http_request_queue"]
    assert {table["relpersistence"] for table in tables} == {"u"}
    assert {table["owner"] for table in tables} == {"supabase_admin"}
    responses, queue = (table["indices"] for table in tables)
    assert queue == []
    assert len(responses) == 1
    assert responses[0].endswith("(created)")
