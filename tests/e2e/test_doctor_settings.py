"""`chunkwise doctor` with settings that cannot be: one sentence, no traceback."""

from local.stack import Database
from tests.e2e.world import World, run_chunkwise


async def test_wrong_settings_are_one_sentence(world: World, database: Database) -> None:
    env = world.env | {"DATABASE_URL": database.dsn}
    wrong_password = database.dsn.replace("postgres:", "nobody:", 1)
    cases = [
        (env | {"DATABASE_URL": ""}, 2, "DATABASE_URL is not set"),
        (env | {"DATABASE_URL": "acme"}, 2, "DATABASE_URL is not the URL of a database"),
        (
            env | {"DATABASE_URL": "postgresql://postgres:pw@db..supabase.co:5432/postgres"},
            2,
            "DATABASE_URL is not the URL of a database",
        ),
        (
            env | {"SUPABASE_URL": "https://münchen..co"},
            2,
            "SUPABASE_URL is not a URL of a Supabase project",
        ),
        (env | {"DATABASE_URL": wrong_password}, 2, "the database of DATABASE_URL cannot be"),
        (env | {"SUPABASE_SECRET_KEY": ""}, 2, "SUPABASE_SECRET_KEY is not set"),
    ]
    for settings, code, sentence in cases:
        ended = await run_chunkwise(("doctor",), settings)
        assert (ended.code, ended.out) == (code, "")
        assert ended.err.startswith(f"chunkwise: {sentence}")
        assert len(ended.err.splitlines()) <= 2
