"""Graph JSON of EAP-IG and of the circuit track of the Mechanistic Interpretability Benchmark (MIB), written.

Its graph is the whole computation of the model: nodes ``input``, ``a{layer}.h{head}``, ``m{layer}`` and ``logits``, and
an edge from every node to each that can read it (for heads one each into ``<q>``, ``<k>`` and ``<v>``). A part is in
the circuit or not, and has a score. ``read`` is in ``eap_read``.

A component's score is its effect, which says how much the metric falls without it: measured, or decoded (also of what a
search ablated and did not keep; see ``eap_scores``). A part that the search never ablated (MLPs in a search among
heads) is in the graph without a score, which the format reads as 'always kept'. Heads and MLPs that the model does not
have are not written; where an old circuit does not say what its model has, only what it names is. Every edge between
two kept nodes is kept, scored by the weaker of its ends, so that a ranking of edges keeps to the ranking of components.
Interactions and intervals have no place in the format.

Of a circuit of edges exactly its edges are in the graph; nodes have no score.

The object ``circuitspex`` beside ``cfg`` says these things in the file: the sign of the scores, what was not measured,
and which layers have how many heads and an MLP. The format's own readers pass it over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.components import Component, LayerStructure, ModelStructure, Part, select
from circuitspex.components.component import parse_component
from circuitspex.errors import ComponentError, UserError
from circuitspex.export.graphs.eap_graph import NodeGraph, WholeGraph, edges_of, write_graph
from circuitspex.export.graphs.eap_nodes import Blocks, components_of, edge_count, edges
from circuitspex.export.graphs.eap_read import MAX_HEADS, read
from circuitspex.export.graphs.eap_scores import Function, scores_of
from circuitspex.export.graphs.parts import parts_of

__all__ = ["edge_count", "edges", "read", "write"]

# Selectors of other components than heads and MLPs.
_OTHER_KINDS = re.compile(r"neurons|heads\.[qkv]|attns|residuals|experts|latents|L\d+(?:H\d+\.|[ARNES])")
PARALLEL = frozenset(
    {"GPTNeoXForCausalLM", "GPTJForCausalLM", "CodeGenForCausalLM", "PhiForCausalLM", "CohereForCausalLM"}
)
"""Architectures whose MLP does not read the attention of its own layer, for circuits that don't say it."""


def write(circuit: Circuit, path: Path, function: Function | None = None) -> Path:
    """Write the graph.

    Args:
        circuit: what is in the graph.
        path: the file.
        function: what was decoded (``found.interactions``, or ``found.edges``), from which parts outside of the circuit
            have their scores; by default the main effects in the circuit's record.

    Raises:
        UserError: the circuit does not say how many layers and heads its model has, or has components that the
            format can't say (neurons, single positions), or the path can't be written.
    """
    graph = graph_of(circuit, function)
    return write_graph(graph, graph.kept, path, sign="ablation" if all(n.signed for n in circuit.nodes) else "unknown")


def graph_of(circuit: Circuit, function: Function | None = None) -> WholeGraph:
    """The graph of a circuit's model, with what the circuit keeps.

    Raises:
        UserError: what ``write`` raises of the circuit.
    """
    lens = circuit.run.get("lens", "components")
    if lens not in ("components", "edges"):
        raise UserError(f"an EAP graph has parts of a model only; this circuit is of another lens ({lens})")
    cfg = _config(circuit)
    recorded = _recorded(circuit, cfg["n_layers"], cfg["n_heads"])
    if lens == "edges":
        return edges_of(circuit, cfg, recorded or Blocks.uniform(cfg["n_layers"], cfg["n_heads"]), function)
    inside = {_name(_component(part.node.name), part.node.name) for part in parts_of(circuit).components}
    blocks = recorded or Blocks.uniform(cfg["n_layers"], cfg["n_heads"])
    known = components_of(blocks)
    beyond = [name for name in inside if name not in known]
    if beyond:
        has = f"{cfg['n_layers']} layers of {cfg['n_heads']} heads" if recorded is None else "no such component"
        raise UserError(f"this circuit's model has {has}, so that {sorted(beyond)[0]} can't be in it")
    searched = _searched(circuit, blocks) | inside
    if recorded is None and not _is_counted(circuit, searched):
        # Some layers may have fewer heads, or none: what was ablated is known of the circuit's own components alone.
        known = {name: part for name, part in known.items() if name in inside or name not in searched}
    parts = {str(part): name for name, part in known.items() if name in searched}
    scores = scores_of(circuit, parts, function)
    return NodeGraph(
        cfg,
        blocks,
        recorded is not None,
        inside,
        scores,
        known=tuple(known),
        names={name: own for own, name in parts.items()},
    )


def _config(circuit: Circuit) -> dict[str, Any]:
    model = circuit.model
    sizes = {}
    for key in ("n_layers", "n_heads"):
        value = model.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(
                f"an EAP graph needs the model's {key}, which this circuit does not have (it says {value!r})"
            )
        sizes[key] = value
    if sizes["n_layers"] * sizes["n_heads"] > MAX_HEADS:
        raise UserError(f"an EAP graph has at most {MAX_HEADS:,} heads; this circuit's model has more")
    width, parallel = model.get("d_model"), model.get("parallel_attn_mlp")
    return {
        **sizes,
        "parallel_attn_mlp": parallel if isinstance(parallel, bool) else model.get("architecture") in PARALLEL,
        "d_model": width if isinstance(width, int) and not isinstance(width, bool) else 0,
    }


def _recorded(circuit: Circuit, n_layers: int, n_heads: int) -> Blocks | None:
    """What each layer has, where the circuit says it."""
    heads, mlps = circuit.model.get("heads"), circuit.model.get("mlps")
    if not isinstance(heads, list | tuple) or not isinstance(mlps, list | tuple):
        return None
    sizes = [n for n in heads if isinstance(n, int) and 0 <= n <= n_heads]
    if not len(sizes) == len(heads) == len(mlps) == n_layers:
        raise UserError(f"the circuit's model.heads and model.mlps must say what each of its {n_layers} layers has")
    return Blocks(tuple(int(n) for n in sizes), tuple(bool(has) for has in mlps))


def check_held(selector: str) -> None:
    """Nothing if circuits that are searched among these components fit into an EAP graph.

    Raises:
        UserError: they don't: it has whole heads and MLPs only, at all positions.
    """
    if "@" in selector:
        raise UserError(f"an EAP graph has no token positions, so that it can't hold {selector[:60]!r}")
    if _OTHER_KINDS.search(selector):
        raise UserError(
            f"an EAP graph has whole heads and MLPs only; this circuit was searched among {selector[:60]!r}"
        )


def _is_counted(circuit: Circuit, searched: set[str]) -> bool:
    """Whether these are what was searched: so many can only be there if all layers are alike, or each is named."""
    selector = circuit.run.get("components")
    named = isinstance(selector, str) and all(map(_is_component, selector.split("+")))
    return named or circuit.run.get("n_components") == len(searched)


def _is_component(text: str) -> bool:
    try:
        parse_component(text)
    except ComponentError:
        return False
    return True


def _searched(circuit: Circuit, blocks: Blocks) -> set[str]:
    """The nodes that the search could ablate; all where the circuit does not say it."""
    everything = {name for name, component in components_of(blocks).items() if component is not None}
    selector = circuit.run.get("components")
    if not isinstance(selector, str) or not selector:
        return everything
    check_held(selector)
    layers = (
        LayerStructure(({"head": Part(n, "")} if n else {}) | ({"mlp": Part(1, "")} if has_mlp else {}))
        for n, has_mlp in zip(blocks.heads, blocks.mlps, strict=True)
    )
    try:
        found = select(ModelStructure("the circuit's model", tuple(layers)), selector)
    except ComponentError as error:
        raise UserError(f"the components that this circuit was searched among can't be read: {error}") from None
    return {_name(component, str(component)) for component in found}


def _component(name: str) -> Component:
    try:
        return parse_component(name)
    except ComponentError as error:
        raise UserError(f"an EAP graph can't hold this circuit: {error}") from None


def _name(component: Component, written: str) -> str:
    if component.kind not in ("head", "mlp"):
        raise UserError(
            f"an EAP graph has whole heads and MLPs only, so that it can't hold {written} ({component.kind})"
        )
    if component.position is not None:
        raise UserError(f"an EAP graph has no token positions, so that it can't hold {written}")
    return f"a{component.layer}.h{component.start}" if component.kind == "head" else f"m{component.layer}"
