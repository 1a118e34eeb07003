"""Tables of figures on a terminal."""

from rich.table import Column, Table


def figures_table(first: str, *figures: str, title: str | None = None) -> Table:
    """Return an empty table with a left-aligned column, and a right-aligned one for each figure."""
    return Table(first, *(Column(heading, justify="right") for heading in figures), title=title)


def decimal(value: float | None) -> str:
    """Return a figure with three decimals, "-" for None."""
    return "-" if value is None else f"{value:.3f}"
