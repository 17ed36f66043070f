"""Results as pandas data frames, with the columns of the CSV files, and what CSV leaves out.

``low`` and ``high`` are the ends of the interval of what was measured, ``adjusted_low`` and ``adjusted_high`` of the
one that is widened for selection. What does not apply is missing (None or NaN).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from circuitspex.circuits.about import About, Description
from circuitspex.circuits.circuit import Circuit, Estimate, Interaction, Node
from circuitspex.circuits.comparison import Comparison, Series
from circuitspex.errors import UserError
from circuitspex.export.graphs.csv import CONDITIONAL, EVIDENCE, NUMBERS, SIGNED
from circuitspex.export.graphs.parts import evidence_of, numbers_of, parts_of
from circuitspex.frames import frame

_ADJUSTED = ("adjusted_low", "adjusted_high")
_SIDES = ("before", "after", "difference")
Row = dict[str, Any]


def of_circuit(circuit: Circuit, of: str) -> Any:
    """The components ('nodes'), the interactions, or the effects on each prompt ('prompts') of a circuit.

    Raises:
        UserError: another table, pandas is not installed, or what ``parts_of`` refuses.
    """
    tables = {"nodes": _nodes, "interactions": _interactions, "edges": _interactions, "prompts": _prompts}
    if of not in tables:
        raise UserError(f"a circuit has no table '{of}'; there are nodes, interactions and prompts")
    return tables[of](circuit)


def of_comparison(comparison: Comparison) -> Any:
    """A row for each component and interaction that was tested, with its change."""
    ends = [name for side in _SIDES for name in _ends(side)]
    rows = (
        {
            "components": change.components,
            "order": change.order,
            "kind": change.kind,
            **_three("before", change.before),
            **_three("after", change.after),
            **_three("difference", change.difference),
            "decoded": change.decoded,
            "q": change.q,
        }
        for change in comparison.changes
    )
    return frame(rows, ["components", "order", "kind", *ends, "decoded", "q"])


def of_series(series: Series) -> Any:
    """In long form: for each checkpoint a row with the metric (no components), and a row for each set."""

    def rows() -> Iterator[Row]:
        for point in series.points:
            about = {"checkpoint": point.name, "identity": point.identity, "same_as": series.same_as.get(point.name)}
            yield {**about, "what": "metric", "components": (), "order": 0, **_three("value", point.metric)}
            for members, effect in zip(series.sets, point.effects, strict=True):
                order = len(members)
                yield {**about, "what": "effect", "components": members, "order": order, **_three("value", effect)}

    return frame(
        rows(), ["checkpoint", "identity", "same_as", "what", "components", "order", "value", "value_low", "value_high"]
    )


def of_description(description: Description) -> Any:
    """A row for each component; its attention and its effect by named position have a column for each of these."""
    looks, where = _named(description)
    columns = ["component", "kind", "role", "margin", *_ends("direct"), *_ends("copying"), *_ends("first")]
    columns += [name for position in looks for name in _ends(f"looks_{position}")]
    columns += [name for pattern in _PATTERNS for name in _ends(pattern)]
    columns += [name for at in where for what in ("slope", "effect") for name in _ends(f"{what}_{at}")]
    columns += ["promotes", "suppresses", "feeds", "feeds_through", *_ends("feeds_total")]
    return frame(map(_about, description.components), columns)


_PATTERNS = ("previous_token", "duplicate_token", "induction")


def _named(description: Description) -> tuple[list[str], list[str]]:
    """The positions that any component looks at, and those at which effects are known."""
    looks: dict[str, None] = {}
    where: dict[str, None] = {}
    for about in description.components:
        looks |= dict.fromkeys(share.name for share in (about.looks.positions if about.looks else ()))
        where |= dict.fromkeys(at.name for at in about.where)
    return list(looks), list(where)


def _about(about: About) -> Row:
    row: Row = {"component": about.name, "kind": about.kind, "role": about.role.word, "margin": about.role.margin}
    if about.writes is not None:
        row |= _three("direct", about.writes.direct) | _three("copying", about.writes.copying)
        for name, tokens in (("promotes", about.writes.promotes), ("suppresses", about.writes.suppresses)):
            row[name] = tuple(each.token for each in tokens)
    if about.looks is not None:
        row |= _three("first", about.looks.first)
        for share in about.looks.positions:
            row |= _three(f"looks_{share.name}", share.value)
    if about.patterns is not None:
        for pattern in _PATTERNS:
            row |= _three(pattern, getattr(about.patterns, pattern))
    for at in about.where:
        row |= _three(f"slope_{at.name}", at.slope) | _three(f"effect_{at.name}", at.effect)
    if about.feeds:
        most = max(about.feeds, key=lambda feed: abs(feed.total.value))
        row |= {"feeds": most.target, "feeds_through": most.through, **_three("feeds_total", most.total)}
    return row


def _nodes(circuit: Circuit) -> Any:
    nodes = sorted(
        (part.node for part in parts_of(circuit).components), key=lambda node: (-abs(node.effect), node.name)
    )
    signed = () if all(node.signed for node in nodes) else (SIGNED,)
    columns = ["component", "layer", "kind", *NUMBERS, *_ADJUSTED, "q", *signed]
    roles = circuit.description
    rows = [
        {
            "component": node.name,
            "layer": int(node.layer) if circuit.has_layers else None,
            "kind": node.kind,
            **numbers_of(node),
            **_more(node),
            "role": roles[node.name].role.word if roles is not None and node.name in roles else None,
            SIGNED: node.signed,
        }
        for node in nodes
    ]
    return frame(rows, [*columns, *(() if roles is None else ("role",))])


def _interactions(circuit: Circuit) -> Any:
    rows = []
    for part in parts_of(circuit).interactions:
        edge = part.edge
        members = tuple(member.node.name for member in part.members)
        words = {"label": edge.relation.short, "relation": edge.relation.word}
        more = {**numbers_of(edge), **_more(edge), **evidence_of(edge)}
        rows.append({"components": members, "order": edge.order, **words, **more})
    columns = ["components", "order", "label", *NUMBERS, *_ADJUSTED, "relation", *EVIDENCE, *CONDITIONAL]
    return frame(rows, columns)


def _prompts(circuit: Circuit) -> Any:
    """In long form: the measured effect of each component and each interaction on each prompt."""
    records = circuit.task.get("prompts")
    texts = [str(each.get("prompt", "")) for each in records] if isinstance(records, list) else []

    def rows() -> Iterator[Row]:
        parts: Sequence[tuple[tuple[str, ...], Node | Interaction]] = [
            *(((node.name,), node) for node in circuit.nodes),
            *((edge.components, edge) for edge in circuit.interactions),
        ]
        for members, part in parts:
            for index, effect in enumerate(part.per_prompt):
                text = texts[index] if len(texts) == len(part.per_prompt) else None
                yield {"components": members, "order": len(members), "prompt": index, "text": text, "effect": effect}

    return frame(rows(), ["components", "order", "prompt", "text", "effect"])


def _more(part: Node | Interaction) -> Row:
    """What the CSV tables of components leave out."""
    found: Row = {} if part.q is None else {"q": part.q}
    if part.adjusted is not None:
        found |= dict(zip(_ADJUSTED, (part.adjusted.low, part.adjusted.high), strict=True))
    return found


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _three(name: str, found: Estimate | None) -> Row:
    """A measured number in its three columns."""
    return {} if found is None else dict(zip(_ends(name), (found.value, found.low, found.high), strict=True))
