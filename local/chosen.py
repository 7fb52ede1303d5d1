"""`make test T=…`: the tests of a file or folder, or those whose path or name holds a word.

Nothing runs between two calls: a stack's data folder is kept, and its server starts in 0.05 s. If
the schema changed, a new one is built in 3 s.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local import migration
from local.folders import CHECKOUT, StackError
from local.prove import prove

SQL_TESTS = Path("supabase", "tests")
PYTHON_TESTS = Path("tests")
TEST_FUNCTION = re.compile(r"(?m)^(?:async )?def (test_\w+)")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Test files, named from the checkout; one of Python may be followed by `::` and a test."""

    sql: tuple[str, ...]
    python: tuple[str, ...]

    @classmethod
    def by(cls, text: str, checkout: Path = CHECKOUT) -> "Chosen":
        """What T names. Raises ValueError if that is no test."""
        sql = tuple(_below(checkout, SQL_TESTS, "*.sql"))
        python = tuple(_below(checkout, PYTHON_TESTS, "test_*.py"))
        name, separator, test = text.partition("::")
        named = (checkout / name).resolve()
        if any(named.is_relative_to(checkout / tests) for tests in (SQL_TESTS, PYTHON_TESTS)):
            chosen = cls(
                tuple(f"{path}" for path in sql if (checkout / path).is_relative_to(named)),
                tuple(
                    f"{path}{separator}{test}"
                    for path in python
                    if (checkout / path).is_relative_to(named)
                ),
            )
        else:
            word = "_".join(text.lower().split())
            chosen = cls(
                tuple(f"{path}" for path in sql if word in f"{path.relative_to(SQL_TESTS)}"),
                tuple(_with_word(word, checkout, python)),
            )
        if not (chosen.sql or chosen.python):
            raise ValueError(
                f"There is no test {text!r}: no file or folder of that name in {SQL_TESTS} or "
                f"{PYTHON_TESTS} holds one, and none has it in its path or name."
            )
        return chosen

    def run(self) -> bool:
        """Whether every test passed."""
        outcomes = []
        if self.sql:
            outcomes.append(prove(self.sql))
        if self.python:
            outcomes.append(self._run_pytest())
        return not any(outcomes)

    def _run_pytest(self) -> int:
        command = [sys.executable, "-m", "pytest", "-q", *self.python]
        # Starting processes costs what they save in one file.
        if len({name.partition("::")[0] for name in self.python}) > 1:
            command += ["-n", "auto"]
        return subprocess.run(command, cwd=CHECKOUT, check=False).returncode


def _below(checkout: Path, folder: Path, pattern: str) -> Iterator[Path]:
    for path in sorted((checkout / folder).rglob(pattern)):
        yield path.relative_to(checkout)


def _with_word(word: str, checkout: Path, files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        inside = f"{path.relative_to(PYTHON_TESTS)}"
        if word in inside.lower():
            yield f"{path}"
            continue
        for test in TEST_FUNCTION.findall((checkout / path).read_text()):
            if word in f"{inside}::{test}".lower():
                yield f"{path}::{test}"


def main() -> None:
    try:
        chosen = Chosen.by(sys.argv[1])
        migration.write()
        passed = chosen.run()
    except (ValueError, StackError) as error:
        sys.exit(f"{error}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
