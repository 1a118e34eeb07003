"""Tables of figures and long lists on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

LISTED_AT_MOST = 10


def figures_table(first: str, *figures: str, title: str | None = None) -> Table:
    """Return an empty table with a left-aligned column, and a right-aligned one for each figure."""
    return Table(first, *(Column(heading, justify="right") for heading in figures), title=title)


def decimal(value: float | None) -> str:
    """Return a figure with three decimals, "-" for None."""
    return "-" if value is None else f"{value:.3f}"


def print_first(console: Console, lines: Sequence[str], hint: str = "") -> None:
    """Print the first lines, and how many more there are; `hint` ends that sentence."""
    for line in lines[:LISTED_AT_MOST]:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if len(lines) > LISTED_AT_MOST:
        console.print(f"  and {len(lines) - LISTED_AT_MOST} more{hint}")
