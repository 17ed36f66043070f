"""Graph JSON of EAP-IG and MIB, read: what is in the graph becomes a circuit, with estimates; nothing is measured.

A graph whose nodes are scored, with all edges between those that are in it, is a circuit of components. Any other is a
circuit of edges: its edges in the graph, each under its own name. ``level`` says which to read.

A file straight from attribution has scores and nothing in the graph. ``top`` keeps the parts of the largest scores, and
of edges those that are on a way from the input to the logits, as EAP-IG's ``apply_topn`` does.

A score is an estimate of an effect whose sign the format does not state: EAP-IG takes gradients of whatever function
it is given, a loss or the metric, and has no word for which in the file. So a score is read as a size, unless the
caller says what it is (or the file does: this package's own files do):

- 'ablation': how much the metric falls when the part is ablated, as all effects of this package (and as EAP-IG's
  scores of a loss that is minus the metric);
- 'attribution': patched minus clean activation, times the gradient of the metric: how much the metric *rises* when the
  part is patched, the opposite sign;
- 'unknown': the size alone; such components are drawn and listed without a sign.

Where nodes are read of a graph that scores edges only, a node's effect is the sum of the scores of all edges that leave
it, in the graph or not, as attribution patching adds them up. Where a file has only some of these edges, a warning says
so, and the record of the circuit (``run["effects"]``) too.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from circuitspex import strict_json
from circuitspex.circuits.circuit import Circuit, Faithfulness, Node
from circuitspex.circuits.record import MOST_RECORDED
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.graphs.eap_edges import EdgeNames, Ends, connected, key_value_heads
from circuitspex.export.graphs.eap_file import MAX_HEADS as MAX_HEADS
from circuitspex.export.graphs.eap_file import GraphFile
from circuitspex.scale import whole
from circuitspex.strict_json import short

Sign = Literal["unknown", "ablation", "attribution"]
Level = Literal["auto", "nodes", "edges"]

_T = TypeVar("_T")


def read(
    path: Path | str, sign: Sign = "unknown", *, top: int | None = None, level: Level = "auto", absolute: bool = True
) -> Circuit:
    """Read the circuit of a graph: what it keeps, with estimates; nothing is measured.

    Args:
        path: the file.
        sign: what a score is: 'ablation', 'attribution' or 'unknown' (see the module's text).
        top: keep so many nodes or edges of the largest scores, whatever is in the graph.
        level: 'nodes' or 'edges'; 'auto' reads what the graph is made of, and with ``top`` nodes where these have
            scores.
        absolute: whether ``top`` ranks by the size of the scores, or by the scores as they are in the file.

    Raises:
        FileFormatError: the file is missing, damaged or not such a graph; keeps only some neurons of a node; has
            nothing in the graph; or has a part there whose effect no score says.
        UserError: another ``sign`` or ``level``; a ``top`` that is no number of scored parts.

    Warns:
        UserWarning: where effects are sums over edges of which the file has only some.
    """
    for name, value, allowed in (("sign", sign, get_args(Sign)), ("level", level, get_args(Level))):
        if value not in allowed:
            raise UserError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if top is not None:
        top = whole(top, "top", 1)
    try:
        file = GraphFile.of(strict_json.read(path, nan=True))
        if sign == "unknown" and file.ours.get("sign") == "ablation":
            sign = "ablation"
        of_nodes = level == "nodes" or (
            level == "auto" and (file.is_of_nodes() if top is None else _scores_nodes(file))
        )
        circuit, lacking = (_of_nodes if of_nodes else _of_edges)(file, sign, top, absolute)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    if lacking:
        warnings.warn(f"{path}: {lacking}", stacklevel=2)
    return circuit


def _scores_nodes(file: GraphFile) -> bool:
    if file.ours.get("level") == "edges":
        return False
    return file.nodes_are_scored


def _of_nodes(file: GraphFile, sign: Sign, top: int | None, absolute: bool) -> tuple[Circuit, str]:
    """The circuit of the nodes, and a sentence about edges that the file lacks."""
    by_edges = not file.nodes_are_scored
    outgoing = file.outgoing() if by_edges else {}
    score = {
        name: value
        for name in file.parts
        for value in [outgoing.get(name, (None,))[0] if by_edges else file.nodes.get(name, (False, None))[1]]
        if value is not None
    }
    kept, how = file.kept, ""
    if top is not None:
        kept = set(_largest(score, top, absolute, "nodes"))
        how = f"; the {top} of the largest {'sizes' if absolute else 'scores'}"
    elif not kept and not file.ours:
        raise FileFormatError(f"no head or MLP is in the graph, so that there is no circuit; {_STRAIGHT}")
    if by_edges:
        searched = dict(file.parts)
        silent = next((name for name in file.parts if name in kept and name not in score), None)
        if silent is not None:
            raise FileFormatError(
                f"nodes.{silent} is in the graph, but neither it nor an edge that leaves it has a score, so that its "
                "effect is not known"
            )
    else:  # a node without a score is the format's word for 'always kept': it was not searched
        searched = {name: component for name, component in file.parts.items() if name in score}
    nodes = [
        _node(str(part), part.layer, part.kind, score[name], sign) for name, part in searched.items() if name in kept
    ]
    lacking = file.lacking(kept, outgoing) if by_edges else ""
    what = (
        f"sums of the scores of outgoing edges{f' ({lacking})' if lacking else ''}" if by_edges else "scores of nodes"
    )
    run = {
        "components": "+".join(map(str, searched.values())),
        "n_components": len(searched),
        "effects": f"read from an EAP graph: {what}{how}; sign: {sign}",
        **_others({str(part): score[name] for name, part in searched.items() if name in score}, file, sign),
    }
    return Circuit(tuple(nodes), (), Faithfulness(None, None, None, 0), model=file.model(), run=run), lacking


def _of_edges(file: GraphFile, sign: Sign, top: int | None, absolute: bool) -> tuple[Circuit, str]:
    """The circuit of the edges."""
    blocks, ours = file.whole, file.ours
    groups = key_value_heads(ours.get("key_value_heads"), blocks, "circuitspex.key_value_heads")
    ungrouped = groups is None or ours.get("ungrouped") is True
    names = EdgeNames.of(blocks, groups, parallel=file.parallel, ungrouped=ungrouped)
    other = next((ends for ends in file.edges if ends not in names.by_ends), None)
    if other is not None:
        raise FileFormatError(f"edges names {short('->'.join(other))}, which the model of 'cfg' does not have")
    scored = {ends: score for ends, (_, score) in file.edges.items() if score is not None}
    kept, how = set(file.kept_edges), ""
    if top is not None:
        largest = _largest(scored, top, absolute, "edges")
        kept = connected(largest)
        if not kept:
            raise FileFormatError(
                f"none of the {top:,} edges of the largest scores is on a way from the input to the logits among them; "
                "take more"
            )
        left = "" if len(kept) == top else f", of which {len(kept)} are on a way from the input to the logits"
        how = f"; the {top} of the largest {'sizes' if absolute else 'scores'}{left}"
    elif not kept and not ours:
        raise FileFormatError(f"no edge is in the graph, so that there is no circuit; {_STRAIGHT}")
    score = _summed(scored, names)
    silent = next((ends for ends in names.by_ends if ends in kept and ends not in scored), None)
    if silent is not None:
        raise FileFormatError(
            f"edges.{'->'.join(silent)} is in the graph and has no score, so that its effect is not known"
        )
    inside = dict.fromkeys(name for ends, name in names.by_ends.items() if ends in kept)
    said = ours.get("n_components")
    model = {**file.model(), "heads": list(blocks.heads), "mlps": list(blocks.mlps)}
    model["key_value_heads"] = list(blocks.heads if groups is None else groups)
    run = {
        "lens": "edges",
        "components": str(ours.get("components") or ("edges:ungrouped" if ungrouped else "edges")),
        "ungrouped": ungrouped,
        "n_components": said if isinstance(said, int) and not isinstance(said, bool) else len(names.graph),
        "n_edges_of_model": len(names.graph),
        "effects": f"read from an EAP graph: scores of edges{how}; sign: {sign}",
        **_others(score, file, sign),
    }
    nodes = tuple(_node(name, names.layer(name), "edge", score[name], sign) for name in inside)
    return Circuit(nodes, (), Faithfulness(None, None, None, 0), model=model, run=run), ""


_STRAIGHT = (
    "a file straight from attribution has only scores: say how many to keep (eap.read(path, top=200), or "
    "circuitspex export --from eap --top 200), or choose with EAP-IG's apply_topn and save the graph again"
)


def _largest(score: dict[_T, float], top: int, absolute: bool, what: str) -> list[_T]:
    """The keys of the largest values; of equal ones those that come first in the model."""
    if not score:
        raise FileFormatError(f"none of its {what} has a score, so that there is no order to take the first {top} of")
    if top > len(score):
        raise FileFormatError(f"it scores {len(score):,} {what}, fewer than the {top:,} to keep")
    if not any(score.values()):
        raise FileFormatError(f"the scores of all its {what} are 0, so that their order says nothing")
    return sorted(score, key=lambda key: -abs(score[key]) if absolute else -score[key])[:top]


def _summed(scored: dict[Ends, float], names: EdgeNames) -> dict[str, float]:
    """The score of each of our edges: the sum over those that it is in the file."""
    parts: dict[str, list[float]] = {}
    for ends, value in scored.items():
        parts.setdefault(names.by_ends[ends], []).append(value)
    return {name: math.fsum(values) for name, values in parts.items()}


def _others(score: dict[str, float], file: GraphFile, sign: Sign) -> dict[str, Any]:
    """The record of all effects with their signs, where these are known, so that a ranking is not lost."""
    if sign == "unknown" or len(score) > MOST_RECORDED:
        return {}
    placed = file.ours.get("placed")
    places = set(placed) if isinstance(placed, list) else set()  # scores that are only a place among those of 0
    factor = -1.0 if sign == "attribution" else 1.0
    return {"main_effects": {name: factor * value for name, value in score.items() if value and name not in places}}


def _node(name: str, layer: int, kind: str, score: float, sign: Sign) -> Node:
    effect = {"unknown": abs(score), "ablation": score, "attribution": -score}[sign]
    return Node(name, layer, kind, effect + 0.0, signed=sign != "unknown")
