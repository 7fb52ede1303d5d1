"""Databases in the state that a benchmark starts from."""

from pathlib import Path

from local.stack import Database, Stack

SQL = Path(__file__).with_name("sql")


def run_sql(database: Database, *statements: str, user: str = "postgres") -> str:
    """What psql prints. One statement after the other. Raises DatabaseError."""
    arguments = [argument for statement in statements for argument in ("-c", statement)]
    prefix = ("-c", "set statement_timeout = 0", "-c", f"set session authorization {user}")
    return database.stack.psql(*prefix, *arguments, database=database.name)


def run_file(database: Database, name: str, user: str = "postgres", **variables: object) -> None:
    """A file of `sql/` with psql variables. Raises DatabaseError."""
    settings = [part for key, value in variables.items() for part in ("-v", f"{key}={value}")]
    database.stack.psql(
        *settings, "-c", "set statement_timeout = 0", "-c", f"set session authorization {user}",
        "-f", str(SQL / name), database=database.name,
    )  # fmt: skip


def bench_database(stack: Stack, name: str) -> Database:
    """Every migration, the helpers of `bench.sql`, no chunk."""
    database = stack.create_database(name)
    run_file(database, "bench.sql")
    return database


def stocked(stack: Stack, name: str, *, runs: int, pages: int, slots: int) -> Database:
    """A job of so many runs of so many pages each, of which `slots` per run are ready."""
    database = bench_database(stack, name)
    add_stock(database, runs=runs, pages=pages, slots=slots)
    return database


def add_stock(database: Database, *, runs: int, pages: int, slots: int) -> None:
    run_sql(database, f"select bench.stock('bench', 'bench', 'items', {runs}, {pages}, {slots})")
    run_sql(database, "vacuum analyze", user="supabase_admin")
    run_sql(database, "checkpoint", user="supabase_admin")
