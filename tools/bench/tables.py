"""Markdown tables of cells, and the sentences that sum them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from cells import Cell, Mean, rows_of
from columns import COLUMNS, Column

SAME = 0.01  # R² this close counts as equal
PEERS = ("shapiq", "shapiq-search")
_KEYS = ("game", "n", "noise", "ablations")


def shown(cells: Iterable[Cell]) -> list[Column]:
    """The columns that occur, in their fixed order."""
    present = {cell.column for cell in cells}
    return [column for key, column in COLUMNS.items() if key in present]


def full_table(cells: Sequence[Cell], *, keys: Sequence[str] = _KEYS) -> str:
    """R² (processor seconds) of every column at every game and budget, with the reasons where there is none."""
    columns = shown(cells)
    failures: dict[str, int] = {}
    lines = [_line([*keys, *(column.label for column in columns)]), _line(["---"] * (len(keys) + len(columns)))]
    for row, means in rows_of(cells).items():
        named = dict(zip(("suite", *_KEYS), row, strict=True))
        entries = [_entry(means.get(column.key), failures) for column in columns]
        lines.append(_line([*(str(named[key]) for key in keys), *entries]))
    for place, note in enumerate(failures, 1):
        lines.append(f"{'' if place > 1 else chr(10)}[{place}] {note}  ")
    return "\n".join(lines)


def _line(entries: Iterable[str]) -> str:
    return "| " + " | ".join(entries) + " |"


def _entry(mean: Mean | None, failures: dict[str, int]) -> str:
    if mean is None:
        return "–"
    if mean.r2 is not None:
        return f"{mean.r2:.3f} ({mean.cpu:.1f} s)"
    # That time ran out is said in its place; other reasons are numbered below the table.
    return ", ".join(
        note if note.startswith(("over ", "not run")) else f"failed [{failures.setdefault(note, len(failures) + 1)}]"
        for note in mean.notes
    )


def mean_table(cells: Sequence[Cell]) -> str:
    """Mean R² by family and noise, over the rows in which every column has a fit."""
    columns = [column for column in shown(cells) if column.key != "shapiq-search"]
    grouped: dict[tuple[str, str], list[dict[str, Mean]]] = {}
    for (_, game, _, noise, _), means in rows_of(cells).items():
        grouped.setdefault((game, noise), []).append(means)
    lines = [
        _line(["game", "noise", "rows", *(column.label for column in columns)]),
        _line(["---"] * (3 + len(columns))),
    ]
    for (game, noise), every in grouped.items():
        whole = [m for m in every if all(c.key in m and m[c.key].r2 is not None for c in columns)]
        entries = [f"{np.mean([m[c.key].r2 for m in whole]):.3f}" if whole else "–" for c in columns]
        lines.append(_line([game, noise, f"{len(whole)} of {len(every)}", *entries]))
    return "\n".join(lines)


def against_peers(cells: Sequence[Cell], ours: str = "auto") -> list[str]:
    """In which share of the rows a column of ours is as good as a peer's ProxySPEX or better."""
    out = []
    rows = rows_of(cells)
    for peer in PEERS:
        both = [m for m in rows.values() if ours in m and peer in m]
        pairs = [(m[ours].r2, m[peer].r2) for m in both if m[ours].r2 is not None and m[peer].r2 is not None]
        if not both:
            continue
        no_peer = sum(m[peer].r2 is None for m in both)
        no_ours = sum(m[ours].r2 is None and m[peer].r2 is not None for m in both)
        total = len(pairs) + no_ours  # a row in which only ours has no fit counts as lost
        if not total:
            out.append(f"{COLUMNS[peer].label} has no fit in any row.")
            continue
        equal = sum(mine >= theirs - SAME for mine, theirs in pairs)
        better = sum(mine > theirs + SAME for mine, theirs in pairs)
        out.append(
            f"`{ours}` against {COLUMNS[peer].label} in {total} rows: better or equal (±{SAME}) in "
            f"{100 * equal / total:.0f} %, better (> +{SAME}) in {100 * better / total:.0f} %"
            + (f"; in {no_peer} more rows the peer has no fit" if no_peer else "")
            + (f"; lost as ours has no fit: {no_ours}" if no_ours else "")
            + "."
        )
        losses = sorted(
            (m[ours].r2 - m[peer].r2, row)
            for row, m in rows.items()
            if m in both and m[ours].r2 is not None and m[peer].r2 is not None and m[ours].r2 < m[peer].r2 - SAME
        )
        if losses:
            worst = ", ".join(f"{row[1]} n={row[2]} {row[3]} at {row[4]} ({gap:+.3f})" for gap, row in losses[:5])
            out.append(f"Lost by most: {worst}.")
    return out


def gain_of_gradients(cells: Sequence[Cell]) -> list[str]:
    """How often gradients leave a result worse, by more than 0.02, than the better of LASSO and trees without them."""
    out = []
    for key in ("gradspex", "auto+gradients"):
        differences = [
            m[key].r2 - max(m["linear"].r2, m["proxyspex"].r2)
            for m in rows_of(cells).values()
            if all(k in m and m[k].r2 is not None for k in (key, "linear", "proxyspex"))
        ]
        if differences:
            worse = sum(difference < -0.02 for difference in differences)
            out.append(
                f"`{COLUMNS[key].label}` is more than 0.02 below the better of `linear` and `proxyspex` without "
                f"gradients in {worse} of {len(differences)} rows (least gain {min(differences):+.3f}, median "
                f"{np.median(differences):+.3f})."
            )
    return out


def estimate_table(cells: Sequence[Cell]) -> str:
    """The estimates that decoders give of their own R², beside the truth."""
    lines = [_line(["game", "ablations", "decoder", "R²", "its estimate", "inside"]), _line(["---"] * 6)]
    for cell in cells:
        if cell.r2 is not None and cell.estimate is not None:
            interval = f"{cell.estimate:.3f} [{cell.low:.3f}, {cell.high:.3f}]"
            inside = "yes" if _inside(cell) else "**no**"
            lines.append(_line([cell.game, str(cell.ablations), cell.column, f"{cell.r2:.3f}", interval, inside]))
    return "\n".join(lines)


def coverage(cells: Iterable[Cell]) -> list[str]:
    """How often the truth lies in the interval, by decoder and by budget; noise-free games only."""
    told = [c for c in cells if c.r2 is not None and c.estimate is not None and c.noise == "none"]
    out = []
    for key in COLUMNS:
        mine = [cell for cell in told if cell.column == key]
        if mine:
            by_budget = ", ".join(
                f"{sum(map(_inside, at))} of {len(at)} at {budget}"
                for budget in sorted({cell.ablations for cell in mine})
                if (at := [cell for cell in mine if cell.ablations == budget])
            )
            bias = float(np.mean([cell.estimate - cell.r2 for cell in mine]))
            out.append(
                f"`{COLUMNS[key].label}`: R² lies in its interval in {sum(map(_inside, mine))} of {len(mine)} fits "
                f"({by_budget}); its estimate minus R² is {bias:+.3f} on average."
            )
    return out


def _inside(cell: Cell) -> bool:
    return cell.low <= cell.r2 <= cell.high
