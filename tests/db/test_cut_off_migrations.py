"""A migration that is cut off between any two statements leaves nothing behind, and is repeated.

The CLI sends the statements of a file in one transaction (tests/e2e/test_cut_off_pushes.py), as it
has split them in its own table. What a transaction writes, nobody sees before its end: so no
statement may end it, or have another process write.
"""

from contextlib import closing

import pytest
from pg8000.exceptions import InterfaceError

from local.catalog import Catalog, apply_sql
from local.migration import EMAIL_BISON, ENGINE, MIGRATIONS
from local.stack import Database, Stack
from tests.support.db import Db

STATEMENTS = "select statements from supabase_migrations.schema_migrations where version = :version"
# For others, at so many places of each file at least, beside its first and its last statement.
LOOKS = 30
TABLES = (
    *("pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_policy", "pg_rewrite"),
    *("pg_proc", "pg_type", "pg_description", "pg_namespace", "pg_extension", "pg_default_acl"),
    *("pg_authid", "pg_db_role_setting", "cron.job", "vault.secrets", "net.http_request_queue"),
)
SEEN = f"select array[{', '.join(f'(select count(*) from {name})' for name in TABLES)}]"


def test_nothing_is_seen_of_a_migration_before_its_end(
    stack: Stack, database: Database, bare: Database
) -> None:
    with closing(Db.connect(stack.dsn("supabase_admin", bare.name))) as others:
        for name in (ENGINE, EMAIL_BISON):
            is_cut_off_at_its_end(bare, others, statements_of(name, database))
            apply_sql(bare.dsn, (MIGRATIONS / name).read_text())
    assert Catalog.of(bare.dsn).difference(Catalog.of(database.dsn)) == []


def statements_of(name: str, database: Database) -> list[str]:
    with closing(Db.connect(database.dsn)) as db:
        found = db.value(STATEMENTS, version=name.partition("_")[0])
    assert len(found) > LOOKS
    return list(found)


def is_cut_off_at_its_end(bare: Database, others: Db, statements: list[str]) -> None:
    """Its connection is killed after the last statement."""
    seen = others.value(SEEN)
    looks = {*range(0, len(statements), len(statements) // LOOKS), len(statements) - 1}
    push = Db.connect(bare.dsn)
    push.begin()
    transaction = push.value("select pg_current_xact_id()::text")
    for number, statement in enumerate(statements):
        push.run(statement)
        assert push.value("select pg_current_xact_id()::text") == transaction, statement
        if number in looks:
            assert others.value(SEEN) == seen, statement
    others.run("select pg_terminate_backend(:pid, 60000)", pid=push.pid)
    with closing(push), pytest.raises(InterfaceError):
        push.commit()
    assert others.value(SEEN) == seen
