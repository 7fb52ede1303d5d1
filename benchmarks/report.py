"""Figures on a terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from rich import box
from rich.console import Console
from rich.table import Table

FILE_COLUMNS = 120


@dataclass(frozen=True, slots=True)
class Report:
    console: Console

    @classmethod
    def on_stdout(cls) -> Self:
        console = Console(highlight=False)
        return cls(console if console.is_terminal else Console(highlight=False, width=FILE_COLUMNS))

    def section(self, title: str, *remarks: str) -> None:
        self.console.print()
        self.console.print(title, style="bold")
        for remark in remarks:
            self.console.print(f"  {remark}")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """The first column is text, the others are figures."""
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, heading in enumerate(headings):
            shown.add_column(heading, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            shown.add_row(*row)
        self.console.print(shown)


def against(value: float, aim: float) -> str:
    """Whether a figure, of which less is better, keeps its aim."""
    return "kept" if value <= aim else "missed"
