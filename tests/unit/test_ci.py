"""What CI runs starts on a bare machine, for root and for others."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / ".ci" / "run"
MAKE = '#!/bin/sh\necho "make $*"\n'
APT_GET = '#!/bin/sh\necho "apt-get $1"\n[ "$1" = update ] || cp "$BARE/make.deb" "$BARE/make"\n'
SUDO = '#!/bin/sh\necho -n "sudo "\nexec "$@"\n'


@pytest.mark.parametrize(("user_id", "by"), [(0, ""), (1000, "sudo ")])
def test_make_is_installed_by_whoever_may(tmp_path: Path, user_id: int, by: str) -> None:
    programs = {
        "make.deb": MAKE,
        "apt-get": APT_GET,
        "sudo": SUDO,
        "id": f"#!/bin/sh\necho {user_id}",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "cp", "dirname", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    ended = subprocess.run(
        [CI],
        env={**os.environ, "PATH": str(tmp_path), "BARE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == [
        f"{by}apt-get update",
        f"{by}apt-get install",
        "make check",
        "make test",
        "make test PG=17 T=supabase/tests",
    ]


def test_chaos_repeats_tests_that_are_there() -> None:
    printed = subprocess.run(
        ["make", "--dry-run", "chaos"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = [word for word in printed.split() if word.startswith("tests/")]
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_workflow_runs_what_runs_here_on_the_system_that_sets_itself_up() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["container"] == "debian:12"
    assert job["steps"][-1]["run"] == ".ci/run"
    assert job["timeout-minutes"] <= 40


def test_hooks_before_a_commit_run_tools_that_the_lock_file_pins() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    tools = {hook["entry"].split()[0] for hook in hooks} - {".venv/bin/python"}
    of_python = re.findall(r"(?m)^([\w-]+)==", (ROOT / "requirements.lock").read_text())
    of_npm = json.loads((ROOT / "package-lock.json").read_text())["packages"].values()
    pinned = {f".venv/bin/{name}" for name in of_python} | {
        f"node_modules/.bin/{name}" for package in of_npm for name in package.get("bin", {})
    }
    assert tools <= pinned


def test_set_up_on_a_mac_is_a_sentence(tmp_path: Path) -> None:
    """Before anything that its old bash does not know."""
    (tmp_path / "uname").write_text("#!/bin/sh\necho Darwin arm64\n")
    (tmp_path / "uname").chmod(0o755)
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    ended = subprocess.run(
        [ROOT / "local/setup.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("The local stack runs on Linux on x86-64")
    assert "not found" not in ended.stderr
