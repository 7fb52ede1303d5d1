"""The command line's errors: a sentence and a way out, no traceback."""

import os
import subprocess
import sys

import pytest

SECRETS = {"SUPABASE_SECRET_KEY": "sb_secret_abc", "CHUNKWISE_WORKSPACE_KEY": "17|tenant-key"}
COMMANDS = [
    ["worker"],
    ["sync"],
    ["sync", "--watch"],
    ["status"],
    ["keys", "check"],
    ["workspaces", "list"],
    ["workspaces", "add", "acme", "--base-url", "https://bison.example/api"],
]


def chunkwise(arguments: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if "SUPABASE" not in name}
    return subprocess.run(
        [sys.executable, "-m", "chunkwise", *arguments],
        env=others | env,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_missing_setting_is_named(arguments: list[str]) -> None:
    done = chunkwise(arguments, **SECRETS)

    assert done.returncode == 2
    assert done.stderr.startswith("chunkwise: SUPABASE_URL is not set\n")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("arguments", COMMANDS)
def test_an_unreachable_project_is_named(arguments: list[str]) -> None:
    done = chunkwise(arguments, SUPABASE_URL="http://127.0.0.1:9", **SECRETS)

    assert done.returncode == 2
    assert done.stderr.startswith("chunkwise: SUPABASE_URL=http://127.0.0.1:9 cannot be reached")
    assert len(done.stderr.splitlines()) == 2
    assert "abc" not in done.stdout + done.stderr
    assert "tenant-key" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--requests-per-second", "nan"),
        ("--requests-per-second", "-inf"),
        ("--requests-per-second", "1e400"),
        ("--requests-per-second", "5/s"),
        ("--in-flight", "99999999999"),
        ("--in-flight", "9" * 5000),
        ("--in-flight", "1.5"),
    ],
)
def test_a_number_that_is_none_is_named_before_any_call(option: str, value: str) -> None:
    given = {"--requests-per-second": "5", "--in-flight": "5"} | {option: value}
    done = chunkwise(
        ["budgets", "set", "crm", *(f"{name}={text}" for name, text in given.items())],
        SUPABASE_URL="http://127.0.0.1:9",
        **SECRETS,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"chunkwise: {option} is {value[:40]!r}")
    assert len(done.stderr.splitlines()) == 2


def test_a_workspace_without_a_key_is_refused_before_any_call() -> None:
    done = chunkwise(
        COMMANDS[-1], SUPABASE_URL="http://127.0.0.1:9", SUPABASE_SECRET_KEY="sb_secret_abc"
    )
    assert done.returncode == 2
    assert "CHUNKWISE_WORKSPACE_KEY" in done.stderr


def test_the_help_tells_the_exit_codes() -> None:
    done = chunkwise(["--help"])
    assert done.returncode == 0
    assert "Exit codes" in done.stdout
