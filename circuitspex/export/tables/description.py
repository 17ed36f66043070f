"""What the components of a circuit do, as text for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

from circuitspex.circuits.about import About, At, Description, Feed, Looks, Patterns, Share, Writes
from circuitspex.circuits.circuit import Estimate
from circuitspex.export.drawing.style import decimals_of
from circuitspex.export.tables.columns import in_columns, joined, wrapped
from circuitspex.files import file_writer
from circuitspex.text import printable

MOST = 4
"""How many of each kind of thing a component's lines name."""
SMALL = 0.03
"""A share of attention below which a position is not named."""


def render(found: Description) -> str:
    """The description as text: the words for roles first, then each component, then the sum of what all write."""
    count = f"{found.n_prompts} prompt{'' if found.n_prompts == 1 else 's'}"
    lines = [f"What {len(found)} component{'' if len(found) == 1 else 's'} do, on {count}", ""]
    rows = [("component", "role", "straight into the logit difference")]
    for each in found.components:
        direct = "" if each.writes is None else _interval(each.writes.direct, _places(each))
        rows.append((each.name, each.role.word, direct))
    lines += in_columns(rows, right=())
    for about in found.components:
        lines += ["", *_component(about)]
    if found.breakdown is not None:
        lines += ["", *_breakdown(found)]
    return joined(lines)


write = file_writer(render)


def _component(about: About) -> list[str]:
    places = _places(about)
    lines = [f"{about.name}: {about.role.word}", *_row("evidence", "; ".join(about.role.evidence))]
    if about.looks is not None:
        lines += _row("looks at", _looks(about.looks))
    if about.writes is not None:
        lines += _row("writes", _writes(about.writes, places))
    measured = [at for at in about.where if at.effect is not None] or about.where
    lines += _row("matters", _list(measured, lambda at: f"{printable(at.name)} {_at(at, places)}"))
    for title, feeds, end in (("reads", about.reads, "source"), ("feeds", about.feeds, "target")):
        strongest = sorted(feeds, key=lambda feed: -abs(feed.total.value))
        lines += _row(title, _list(strongest, functools.partial(_feed, end=end, places=places)))
    if about.patterns is not None:
        lines += _row("random", _patterns(about.patterns))
    if about.fires:
        shown = [f"{each.unit} at {_quoted(each.token)} ({each.activation:z.2f})" for each in about.fires]
        lines += _row("fires", ", ".join(shown[:MOST]))
    for lack in about.lacks:
        lines += _row("not known", lack)
    return lines


def _row(title: str, text: str) -> list[str]:
    lines = wrapped(f"  {title:10} {text}") if text else []
    return [lines[0], *(f"{' ' * 11}{line}" for line in lines[1:])] if lines else []


def _list(items: Sequence[At] | Sequence[Feed] | Sequence[Share], said: Callable[..., str]) -> str:
    more = f", and {len(items) - MOST} more" if len(items) > MOST else ""
    return ", ".join(said(each) for each in items[:MOST]) + more


def _looks(looks: Looks) -> str:
    named = [each for each in looks.positions if each.value.value >= SMALL]
    said = _shares(sorted(named, key=lambda each: -each.value.value))
    tokens = _shares([each for each in looks.tokens if each.value.value >= SMALL], quoted=True)
    start = " and ".join(printable(each.name) for each in looks.where[:MOST])
    parts = [said or tokens or "nothing in particular", f"the first token {looks.first.value:.2f}"]
    return "; ".join(parts) + (f" (from {start})" if start else "")


def _shares(shares: Iterable[Share], quoted: bool = False) -> str:
    said = _quoted if quoted else printable
    return ", ".join(f"{said(each.name)} {_interval(each.value, 2, '')}" for each in [*shares][:MOST])


def _quoted(token: str) -> str:
    """A token with the space that it begins with."""
    return f"'{' ' if token.startswith(' ') else ''}{printable(token)}'"


def _writes(writes: Writes, places: int) -> str:
    said = [f"{_interval(writes.direct, places)} straight into the logit difference"]
    for word, scored in (("raises", writes.promotes), ("lowers", writes.suppresses)):
        if scored:
            said.append(f"{word} " + " ".join(_quoted(each.token) for each in scored[:MOST]))
    if writes.copying is not None:
        said.append(f"copying {_interval(writes.copying, 1)}")
    return "; ".join(said)


def _at(at: At, places: int) -> str:
    return f"(slope {at.slope.value:+z.{places}f})" if at.effect is None else _interval(at.effect, places)


def _feed(feed: Feed, end: str, places: int) -> str:
    through = "" if feed.query is None else f" by its {feed.through}"
    return f"{getattr(feed, end)} {_interval(feed.total, places)}{through}"


def _patterns(found: Patterns) -> str:
    named = (("previous", found.previous_token), ("duplicate", found.duplicate_token), ("induction", found.induction))
    said = ", ".join(f"{name} {value.value:.2f}" for name, value in named)
    return f"{said}, first token {found.first.value:.2f} (chance {found.chance:.2f})"


def _breakdown(found: Description) -> list[str]:
    assert found.breakdown is not None
    rows = [*found.breakdown.parts, Share("remainder", found.breakdown.remainder)]
    places = decimals_of([found.breakdown.total.value, *(row.value.value for row in rows)])
    table = [("the logit difference is the sum of", "", "interval")]
    for row in sorted(rows[:-1], key=lambda row: -abs(row.value.value)) + rows[-1:]:
        value, _, between = f"{row.value:z.{places}f}".partition(" ")
        table.append((printable(row.name), value, between))
    value, _, between = f"{found.breakdown.total:z.{places}f}".partition(" ")
    return in_columns([*table, ("total", value, between)], right=(1, 2))


def _places(about: About) -> int:
    values = [at.slope.value if at.effect is None else at.effect.value for at in about.where]
    values += [feed.total.value for feed in (*about.reads, *about.feeds)]
    values += [about.writes.direct.value] if about.writes is not None else []
    return decimals_of(values) if values else 2


def _interval(found: Estimate, places: int, sign: str = "+") -> str:
    low, high = (f"{end:{sign}z.{places}f}" for end in (found.low, found.high))
    return f"{found.value:{sign}z.{places}f} [{low}, {high}]"
