"""Text in columns for a terminal: at most 100 of them, no colours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from circuitspex.text import printable, signs

WIDTH = 100
MAX_ROWS = 20


def wrapped(text: str) -> list[str]:
    """The text in lines that fit."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ") or [""]


def joined(lines: Iterable[str]) -> str:
    """Lines as one text, without white space at their ends; here nothing passes that a terminal takes for a command."""
    return "\n".join(signs(line.rstrip()) for line in lines) + "\n"


def shortened(text: str, width: int) -> str:
    """The text on one line, cut with an ellipsis where it is longer."""
    line = printable(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def in_columns(rows: Sequence[Sequence[str]], right: Iterable[int]) -> list[str]:
    """Rows, the first of which are the heads; the first column gives way, those in ``right`` are set to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[0] = max(1, min(widths[0], WIDTH - 2 * len(widths) - sum(widths[1:])))
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else shortened(cell, width).ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(cells))[:WIDTH])
    rules = ["-" * width if head or not i else "" for i, (head, width) in enumerate(zip(rows[0], widths, strict=True))]
    return [lines[0], ("  " + "  ".join(rules))[:WIDTH], *lines[1:]]


def left_out(count: int, what: str) -> list[str]:
    """The line that says how many rows are beyond ``MAX_ROWS``, where there are any."""
    return [f"  … and {count - MAX_ROWS} {what}"] if count > MAX_ROWS else []
