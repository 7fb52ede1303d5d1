"""Where the server has an original, the stand-in steps aside; elsewhere it is as strict."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pg8000.exceptions import DatabaseError

from local.cluster import SQL_FOLDER, binaries, provided_extensions
from local.project import fingerprint
from local.stack import Stack
from tests.conftest import Connect
from tests.support.db import Db
from tests.support.setup import register_workspaces
from tests.support.stand_ins import require_stand_in

# What the original makes, in few lines: enough for a push and a registration.
NET = """
create schema net;
create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
  headers jsonb default '{}', timeout_milliseconds integer default 5000)
returns bigint language sql as $$ select 1::bigint $$;
create function net.http_get(url text, params jsonb default '{}', headers jsonb default '{}',
  timeout_milliseconds integer default 5000)
returns bigint language sql as $$ select 1::bigint $$;
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a copy of PostgreSQL that has both originals, as far as CREATE EXTENSION sees.

    The server finds its share and its libraries from where its program is.
    """
    if not debian_share().exists():
        pytest.skip("made of PostgreSQL in the folders that Debian gives it")
    # Not in pytest's own folder, which nobody but its owner may read.
    with TemporaryDirectory(dir="/var/tmp") as root:
        Path(root).chmod(0o755)
        copy = copy_of_the_server(Path(root) / "usr")
        monkeypatch.setenv("CHUNKWISE_PG_BIN", str(copy / "bin"))
        yield copy


def debian_share() -> Path:
    return binaries().parents[3] / "share/postgresql" / binaries().parent.name


def copy_of_the_server(usr: Path) -> Path:
    version = binaries().parent.name
    original = str(binaries())
    copy = usr / "lib/postgresql" / version
    shutil.copytree(binaries(), copy / "bin")
    shutil.copytree(binaries().parent / "lib", copy / "lib", symlinks=True)
    share = usr / "share/postgresql" / version
    shutil.copytree(debian_share(), share)
    for program in (copy / "bin").iterdir():
        # 17's programs are started by scripts, which say where the program is that was called.
        if program.read_bytes().startswith(b"#!/bin/sh"):
            program.write_text(program.read_text().replace(original, str(copy / "bin")))
    for name in ("pg_net", "supabase_vault"):
        # A library that does nothing when it is preloaded.
        shutil.copy(copy / "lib/tsm_system_rows.so", copy / f"lib/{name}.so")
    extension = share / "extension"
    (extension / "pg_net.control").write_text("default_version = '0.20.4'\nsuperuser = true\n")
    (extension / "pg_net--0.20.4.sql").write_text(NET)
    (extension / "supabase_vault.control").write_text(
        "default_version = '0.3.1'\nsuperuser = true\nschema = 'vault'\nrelocatable = false\n"
    )
    (extension / "supabase_vault--0.3.1.sql").write_text(vault())
    return copy


def vault() -> str:
    """The stand-in's own objects, between its conditions."""
    made = (SQL_FOLDER / "vault.sql").read_text().split("\\else\n")[1].split("\\endif")[0]
    return made.replace("create schema vault;", "")


def test_with_the_originals_a_stack_is_built_of_them(server: Path) -> None:
    assert provided_extensions() == ["pg_net", "supabase_vault"]
    with Stack.start_free("originals") as stack:
        db = Db.connect(stack.dsn())
        made = db.column("select extname from pg_extension where extname in ('pg_net',"
                         " 'supabase_vault') order by 1")  # fmt: skip
        loaded = db.value("select current_setting('shared_preload_libraries')")
        script = Path(db.value("select current_setting('vault.getkey_script')"))
        key = script.read_text().split("'")[1]
        register_workspaces(db, "acme")
        db.close()
        assert made == ["pg_net", "supabase_vault"]
        assert loaded == "pg_cron,pg_net,supabase_vault"
        assert os.access(script, os.X_OK)
        assert len(Path(key).read_text()) == 64
    shutil.rmtree(stack.folder.root)
    with_both = fingerprint("new")
    (server.parents[2] / "share/postgresql" / server.name / "extension/pg_net.control").unlink()
    assert fingerprint("new") != with_both, "a stack is built anew when an original comes"


def test_what_only_the_stand_in_can_do_is_not_tried_on_the_original(server: Path) -> None:
    with pytest.raises(pytest.skip.Exception):
        require_stand_in("pg_net")
    (server.parents[2] / "share/postgresql" / server.name / "extension/pg_net.control").unlink()
    require_stand_in("pg_net")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://one.example", "https://one.example/"),
        ("HTTPS://one.example/a/../b/./c", "https://one.example/b/c"),
        ("https://one.example?x=1", "https://one.example/?x=1"),
        ("https://one.example/a/..", "https://one.example/"),
    ],
)
def test_urls_are_kept_as_the_original_keeps_them(db: Db, given: str, kept: str) -> None:
    db.run("select net.http_post(:url)", url=given)
    assert db.column("select url from net.http_request_queue") == [kept]


def test_nulls_are_taken_as_the_original_takes_them(db: Db) -> None:
    db.run("select net.http_get('https://one.example', headers => null)")
    db.run("select net.http_post('https://one.example', body => null)")
    assert db.column("select body from net.http_request_queue order by id") == [None, None]


def test_a_secret_of_another_root_key_cannot_be_read(db: Db) -> None:
    db.run("select vault.create_secret('one'), vault.create_secret('two')")
    assert db.column("select decrypted_secret from vault.decrypted_secrets order by 1") == [
        "one",
        "two",
    ]
    with pytest.raises(DatabaseError, match="invalid ciphertext"):
        db.run(
            "select convert_from(vault._crypto_aead_det_decrypt(decode(secret, 'base64'),"
            " 'other', 0, nonce => nonce), 'utf8') from vault.secrets"
        )


def test_the_service_role_reads_and_deletes_secrets_as_on_a_hosted_project(
    connect: Connect,
) -> None:
    service = connect("service_role")
    service.run("select vault.create_secret('one', 'mine')")
    assert service.column("select decrypted_secret from vault.decrypted_secrets") == ["one"]
    service.run("delete from vault.secrets where name = 'mine'")
