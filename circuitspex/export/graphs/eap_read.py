"""Graph JSON of EAP-IG and MIB, read: the kept nodes become components, with estimates; nothing is measured.

A score is an estimate of an effect whose sign the format does not state: EAP-IG takes gradients of whatever function
it is given, a loss or the metric, and has no word for which in the file. So a score is read as a size, unless the
caller says what it is (or the file does: this package's own files do):

- 'ablation': how much the metric falls when the part is ablated, as all effects of this package (and as EAP-IG's
  scores of a loss that is minus the metric);
- 'attribution': patched minus clean activation, times the gradient of the metric: how much the metric *rises* when the
  part is patched, the opposite sign;
- 'unknown': the size alone; such components are drawn and listed without a sign.

In a graph that scores edges only, a node's effect is the sum of the scores of all edges that leave it, in the graph or
not, as attribution patching adds them up. Where a file has only some of these edges, a warning says so, and the record
of the circuit (``run["effects"]``) too.
"""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any, Literal, get_args

from circuitspex import strict_json
from circuitspex.circuits.circuit import Circuit, Faithfulness, Node
from circuitspex.components import Component
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.graphs.eap_nodes import Blocks, components_of, n_outgoing
from circuitspex.strict_json import short

MAX_HEADS = 1_000_000
"""Graphs of more heads are taken for damaged."""

Sign = Literal["unknown", "ablation", "attribution"]


def read(path: Path | str, sign: Sign = "unknown") -> Circuit:
    """Read the circuit of a graph: its kept nodes, with estimates; nothing is measured.

    Args:
        path: the file.
        sign: what a score is: 'ablation', 'attribution' or 'unknown' (see the module's text).

    Raises:
        FileFormatError: the file is missing, damaged or not such a graph; keeps only some neurons of a node; has no
            head or MLP in the graph; or has one there whose effect no score says.
        UserError: another ``sign``.

    Warns:
        where effects are sums over edges of which the file has only some.
    """
    if sign not in get_args(Sign):
        raise UserError(f"sign must be one of {', '.join(get_args(Sign))}, not {sign!r}")
    try:
        circuit, lacking = _circuit(strict_json.read(path, nan=True), sign)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    if lacking:
        warnings.warn(f"{path}: {lacking}", stacklevel=2)
    return circuit


def _circuit(data: Any, sign: Sign) -> tuple[Circuit, str]:
    """The circuit, and a sentence about edges that the file lacks."""
    if not isinstance(data, dict) or not all(isinstance(data.get(key), dict) for key in ("cfg", "nodes", "edges")):
        raise FileFormatError("not an EAP graph: it needs the objects 'cfg', 'nodes' and 'edges'")
    cfg = _config(data["cfg"])
    stated = data.get("circuitspex")
    ours = stated if isinstance(stated, dict) else {}
    blocks = _blocks(ours, cfg)
    if sign == "unknown" and ours.get("sign") == "ablation":
        sign = "ablation"
    known = components_of(blocks or Blocks.uniform(cfg["n_layers"], cfg["n_heads"]))
    given = {name: _node(name, node, known) for name, node in data["nodes"].items()}
    outgoing = _outgoing(data["edges"], known)
    parts = {name: component for name, component in known.items() if component is not None}
    by_edges = all(given.get(name, (False, None))[1] is None for name in parts)
    kept = {name for name in parts if given.get(name, (False, None))[0]}
    if not kept and not ours:
        raise FileFormatError(
            "no head or MLP is in the graph, so that there is no circuit; choose what to keep with EAP-IG's apply_topn "
            "or apply_threshold, and save the graph again"
        )
    nodes, searched = [], []
    for name, component in parts.items():
        in_graph, score = given.get(name, (False, None))
        if score is None and not by_edges:
            continue  # the format's word for 'always kept': it was not searched
        searched.append(component)
        if in_graph:
            if score is None and name not in outgoing:
                raise FileFormatError(
                    f"nodes.{name} is in the graph, but neither it nor an edge that leaves it has a score, so that its "
                    "effect is not known"
                )
            nodes.append(_component(component, outgoing[name][0] if score is None else score, sign))
    lacking = (
        _lacking(kept, outgoing, blocks or Blocks.uniform(cfg["n_layers"], cfg["n_heads"]), cfg) if by_edges else ""
    )
    how = f"sums of the scores of outgoing edges{f' ({lacking})' if lacking else ''}" if by_edges else "scores of nodes"
    model: dict[str, Any] = {
        key: cfg[key] for key in ("n_layers", "n_heads", "d_model", "parallel_attn_mlp") if key in cfg
    }
    if blocks is not None:
        model |= {"heads": list(blocks.heads), "mlps": list(blocks.mlps)}
    run = {
        "components": "+".join(map(str, searched)),
        "n_components": len(searched),
        "effects": f"read from an EAP graph: {how}; sign: {sign}",
    }
    return Circuit(tuple(nodes), (), Faithfulness(None, None, None, 0), model=model, run=run), lacking


def _component(component: Component, score: float, sign: Sign) -> Node:
    effect = {"unknown": abs(score), "ablation": score, "attribution": -score}[sign]
    return Node(str(component), component.layer, component.kind, effect + 0.0, signed=sign != "unknown")


def _config(cfg: dict[str, Any]) -> dict[str, Any]:
    for key in ("n_layers", "n_heads"):
        if not isinstance(cfg.get(key), int) or isinstance(cfg[key], bool) or not 1 <= cfg[key] <= 10_000:
            raise FileFormatError(f"cfg.{key} must be a whole number of at least 1, not {str(cfg.get(key))[:40]!r}")
    if cfg["n_layers"] * cfg["n_heads"] > MAX_HEADS:
        raise FileFormatError(
            f"cfg names {cfg['n_layers']} layers of {cfg['n_heads']} heads; at most {MAX_HEADS:,} heads are read"
        )
    return cfg


def _blocks(ours: dict[str, Any], cfg: dict[str, Any]) -> Blocks | None:
    """What each layer has, where the file is ours and says it."""
    heads, mlps = ours.get("heads"), ours.get("mlps")
    if heads is None and mlps is None:
        return None
    if (
        not isinstance(heads, list)
        or not isinstance(mlps, list)
        or not len(heads) == len(mlps) == cfg["n_layers"]
        or not all(type(n) is int and 0 <= n <= cfg["n_heads"] for n in heads)
        or not all(type(has) is bool for has in mlps)
    ):
        raise FileFormatError(
            "circuitspex.heads and circuitspex.mlps must say for each layer how many heads, true or false"
        )
    return Blocks(tuple(heads), tuple(mlps))


def _node(name: str, node: Any, known: dict[str, Component | None]) -> tuple[bool, float | None]:
    """Whether a node is in the graph, and its score; None is 'not scored', which files write as NaN or leave out."""
    if name not in known:
        raise FileFormatError(f"nodes names {name[:40]!r}, which the model of 'cfg' does not have")
    if isinstance(node, bool):
        return node, None
    if not isinstance(node, dict) or not isinstance(node.get("in_graph"), bool):
        raise FileFormatError(f"nodes.{name} must have 'in_graph', true or false")
    neurons = node.get("neurons")
    if node["in_graph"] and isinstance(neurons, list) and not all(neurons):
        raise FileFormatError(f"nodes.{name} keeps only some of its neurons; whole nodes can be read")
    return node["in_graph"], _score(node.get("score"), f"nodes.{name}")


def _outgoing(given: dict[str, Any], known: dict[str, Component | None]) -> dict[str, tuple[float, int]]:
    """The sum of the scores of all edges that leave each node, in the graph or not, and how many they are."""
    total: dict[str, tuple[float, int]] = {}
    for name, edge in given.items():
        source, arrow, target = name.partition("->")
        if not arrow or not _is_edge(source, target, known):
            raise FileFormatError(f"edges names {short(name)}, which the model of 'cfg' does not have")
        if not isinstance(edge, dict) or not isinstance(edge.get("in_graph"), bool):
            raise FileFormatError(f"edges.{name} must have 'in_graph', true or false")
        score = _score(edge.get("score"), f"edges.{name}")
        if score is not None:
            before, count = total.get(source, (0.0, 0))
            total[source] = before + score, count + 1
    return total


def _is_edge(source: str, target: str, known: dict[str, Component | None]) -> bool:
    """Whether the one is computed before the other, which reads it."""
    into, _, slot = target.partition("<")
    if source not in known or into not in known or source == "logits" or into == "input":
        return False
    one, other = known[source], known[into]
    if slot not in (("q>", "k>", "v>") if other is not None and other.kind == "head" else ("",)):
        return False
    if one is None or other is None:  # from the input, or to the logits
        return True
    return one.layer < other.layer or (one.layer == other.layer and (one.kind, other.kind) == ("head", "mlp"))


def _lacking(kept: set[str], outgoing: dict[str, tuple[float, int]], blocks: Blocks, cfg: dict[str, Any]) -> str:
    wanted = n_outgoing(blocks, cfg.get("parallel_attn_mlp") is True)
    few = sorted((name for name in kept if outgoing[name][1] < wanted[name]), key=lambda name: outgoing[name][1])
    if not few:
        return ""
    there, all_ = outgoing[few[0]][1], wanted[few[0]]
    return (
        f"the file has not all edges that leave {len(few)} of the {len(kept)} nodes in the graph (of {few[0]} {there} "
        f"of {all_}): their effects add up those that it has"
    )


def _score(value: Any, where: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise FileFormatError(f"{where}.score must be a finite number, not {str(value)[:40]!r}")
    return float(value)
