"""The few shapes that every report is made of: labelled lines, wrapped text, rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

from flask_safemigrate.report.wording import clean, one_line, wrap

#: Cells that the labels on the left take.
LABEL = 10

_LEAST = 8  # cells of a column whose text is broken


def hanging(
    head: str, text: str, width: int, indent: int, *, bold: str = "bold", style: str = ""
) -> list[Text]:
    """Return a head and wrapped text after it, with the other lines behind blanks.

    :param bold: style of the head.
    :param style: style of the text.
    """
    first, *rest = wrap(text, width - indent, first=max(cell_len(head) - indent, 0))
    lines = [Text.assemble((head, bold), (first, style))]
    lines.extend(Text.assemble(" " * indent, (line, style)) for line in rest)
    return lines


def labelled(label: str, text: str, width: int, style: str = "") -> list[Text]:
    """Return ``Label     text`` with the text wrapped beside its label."""
    return hanging(f"{label:<{LABEL}}", text, width, LABEL, style=style)


def indented(text: str, width: int, indent: int, style: str = "") -> list[Text]:
    """Return wrapped text behind so many blanks."""
    return hanging(" " * indent, text, width, indent, style=style)


def hint(text: str, width: int, indent: int = 0) -> list[Text]:
    """Return ``Hint: ...``; a command that does not fit gets a line of its own."""
    return hanging(" " * indent + "Hint: ", text, width, indent, bold="bold cyan")


def rows(
    cells: Iterable[Sequence[str]],
    width: int,
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
    styles: Sequence[str] = (),
    indent: int = 2,
) -> Grid:
    """Return cells in columns that fit the width; long ones continue on the next line.

    :param right: numbers of the columns that are aligned to the right.
    :param whole: numbers of the columns whose cells stay in one piece where there is room.
    """
    cells = [[one_line(cell) for cell in row] for row in cells]
    columns = max((len(row) for row in cells), default=0)
    used = [c for c in range(columns) if any(c < len(r) and r[c] for r in cells)]
    grid = Grid(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), highlight=False)
    if indent:
        grid.add_column("", width=indent - 2)
    kept = {c: max(cell_len(row[c]) for row in cells) for c in used if c in whole}
    # A column without room would vanish.
    room = width - indent - sum(kept.values()) - 2 * len(used)
    if room < _LEAST * (len(used) - len(kept)):
        kept = {}
    for column in used:
        grid.add_column(
            justify="right" if column in right else "left",
            style=styles[column] if column < len(styles) else "",
            width=kept.get(column),
            overflow="fold",
        )
    for row in cells:
        grid.add_row(*([""] if indent else []), *(Text(row[c]) for c in used))
    return grid


def more(hidden: int, noun: str) -> list[Text]:
    """Return the line for rows that were left out."""
    return [Text(clean(f"  ... and {hidden:,} more {noun}"), style="dim")] if hidden > 0 else []
