"""Interactions as a table that prints in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

from circuitspex.text import escaped


@dataclass(frozen=True)
class Row:
    """One interaction in a table.

    ``coefficient`` multiplies the parity of the components' signs; ``standard_error`` is its uncertainty over masks;
    ``effect`` is in units of the value: the |S|-fold difference between kept and ablated, averaged over masks.
    """

    components: tuple[str, ...]
    coefficient: float
    standard_error: float
    effect: float


class InteractionTable(tuple[Row, ...]):
    """Rows that print as a table, in a terminal and in a notebook."""

    __slots__ = ()
    _HEAD = ("interaction", "order", "coefficient", "std. error", "effect")

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for row in self:
            numbers = (f"{row.coefficient:+z.4f}", f"{row.standard_error:z.4f}", f"{row.effect:+z.3f}")
            yield (" × ".join(map(escaped, row.components)), str(len(row.components)), *numbers)

    def __repr__(self) -> str:
        lines = [self._HEAD, *self._cells()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self._HEAD))]
        return "\n".join(
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in self._HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>" for cells in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
