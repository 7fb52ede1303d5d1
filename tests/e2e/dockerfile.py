"""A Dockerfile, read and run without an engine: its files in a folder, its Python in a venv."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from json import loads
from pathlib import Path
from shlex import split

from tests.e2e.world import CHECKOUT

Instruction = tuple[str, str]


def instructions(text: str) -> Iterator[Instruction]:
    """Each with its arguments on one line."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name.upper(), arguments.strip()


@dataclass(frozen=True, slots=True)
class Image:
    """What the instructions give: `root` stands for /, `venv` for the image's Python."""

    root: Path
    venv: Path
    env: dict[str, str]
    user: int
    workdir: str
    command: list[str]
    health_check: list[str]

    @classmethod
    def build(cls, folder: Path) -> "Image":
        """Runs COPY and RUN; every other instruction is remembered, and none is unknown."""
        root, venv = folder / "root", folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        env = {"PATH": f"{venv}/bin:/usr/bin:/bin"}
        last = {"WORKDIR": "/"}
        for name, arguments in instructions((CHECKOUT / "Dockerfile").read_text()):
            workdir = root / last["WORKDIR"].lstrip("/")
            match name:
                case "COPY":
                    *sources, target = arguments.split()
                    copy(sources, workdir / target)
                case "RUN":
                    run(arguments, workdir, env | of_this_machine())
                case "ENV":
                    env |= dict(word.split("=", 1) for word in split(arguments))
                case "FROM" | "WORKDIR" | "USER" | "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                    last[name] = arguments
        user = int(last["USER"].partition(":")[0])
        return cls(
            *(root, venv, env, user, last["WORKDIR"]),
            command=[*loads(last["ENTRYPOINT"]), *loads(last["CMD"])],
            health_check=loads(last["HEALTHCHECK"].partition(" CMD ")[2]),
        )

    def as_user(self, command: list[str]) -> list[str]:
        """Only root can become another user; for others it is themselves."""
        if os.geteuid() != 0:
            return command
        identity = [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return ["setpriv", *identity, "--no-new-privs", "--bounding-set=-all", *command]


def copy(sources: list[str], target: Path) -> None:
    """What .dockerignore keeps out is not there to be copied."""
    for source in sources:
        assert not ignored(source), f".dockerignore keeps {source} out"
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / source, target)


def ignored(path: str) -> bool:
    """The last pattern that fits decides."""
    verdict = False
    for line in (CHECKOUT / ".dockerignore").read_text().split():
        if fnmatch(path, line.removeprefix("!").removeprefix("**/")):
            verdict = not line.startswith("!")
    return verdict


def run(command: str, workdir: Path, env: dict[str, str]) -> None:
    workdir.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=workdir,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"RUN {command}\n{done.stdout}{done.stderr}"


def of_this_machine() -> dict[str, str]:
    """How it reaches the package index, and what it fetched before; an engine's build has its own
    way."""
    return {"PIP_NO_CACHE_DIR": "0"} | {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or name == "HOME"
    }
