"""What is installed: the package, with the SQL that it needs, and nothing beside it."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from chunkwise import VERSION

CHECKOUT = Path(__file__).resolve().parents[2]
DIST_INFO = f"chunkwise-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by what is installed here: nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*command, str(folder)], cwd=CHECKOUT, capture_output=True, check=True)
    (path,) = folder.glob("*.whl")
    return path


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def text(wheel: Path, name: str) -> str:
    with ZipFile(wheel) as archive:
        return archive.read(name).decode()


def test_chunkwise_is_all_that_it_installs(wheel: Path) -> None:
    assert {name.partition("/")[0] for name in names(wheel)} == {"chunkwise", DIST_INFO}
    modules = {str(path.relative_to(CHECKOUT / "workers")) for path in modules_here()}
    assert {name for name in names(wheel) if name.endswith(".py")} == modules
    assert f"\nVersion: {VERSION}\n" in text(wheel, f"{DIST_INFO}/METADATA")
    assert "\nchunkwise = chunkwise.__main__:main" in text(wheel, f"{DIST_INFO}/entry_points.txt")


def modules_here() -> list[Path]:
    return sorted((CHECKOUT / "workers/chunkwise").rglob("*.py"))


@pytest.mark.parametrize("folder", ["migrations", "snippets", "upgrades", "legacy"])
def test_the_sql_travels_with_it(wheel: Path, folder: str) -> None:
    here = {path.name: path.read_text() for path in (CHECKOUT / "supabase" / folder).iterdir()}
    prefix = f"chunkwise/supabase/{folder}/"
    there = {name.removeprefix(prefix) for name in names(wheel) if name.startswith(prefix)}

    assert here
    assert there == here.keys()
    assert all(text(wheel, prefix + name) == sql for name, sql in here.items())
