"""Whether the fast way to ablate edges may be used for a model: tried beside plain hooks before anything is run.

Closing all edges from a head or an MLP is ablating it; closing all edges into a query, key, value or MLP gives it what
it has in the baseline's run. So random sets of sources and destinations that are closed as a whole are compared with
TransformerLens hooks that put in what the same parts gave on another prompt. That single edges are mixed as they should
be does not depend on the model; tests compare it with the plain way for edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from circuitspex.ablation.edges.fused import EdgesFused
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense import DenseModel
from circuitspex.ablation.executors.hooks import HooksForward
from circuitspex.ablation.given import given_of
from circuitspex.components import Component, ModelStructure, head, mlp, one
from circuitspex.components.edges import EdgeGraph
from circuitspex.models.float32_products import exact_products
from circuitspex.models.protocol import Model
from circuitspex.models.remembered_of_model import unless_passed
from circuitspex.models.rounding import differ
from circuitspex.models.state import ModelState
from circuitspex.tasks import TaskGroup

_KINDS = {"q": "query", "k": "key", "v": "value"}


def edges_disagree(
    model: Model,
    structure: ModelStructure,
    graph: EdgeGraph,
    dense: DenseModel,
    group: TaskGroup,
    state: ModelState | None = None,
) -> str | None:
    """None if closing whole sources and destinations gives what plain hooks give, else a reason.

    With the ``state`` that the model is in, what an earlier process has tried on these weights, with prompts of this
    length, is not tried again.
    """
    if state is not None:
        about = {"edges": len(graph), "length": group.n_prompt_tokens}
        return unless_passed(
            model, state, "edges", about, lambda: edges_disagree(model, structure, graph, dense, group)
        )
    grouped = replace(graph, ungrouped=False)
    try:
        with torch.no_grad(), exact_products():
            found, plain = _both(model, structure, grouped, dense, _first_of(group))
            wrong = differ(found, plain)
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return f"a trial pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    return f"a trial pass gave other logits than plain hooks ({wrong})" if wrong else None


def _both(
    model: Model, structure: ModelStructure, graph: EdgeGraph, dense: DenseModel, group: TaskGroup
) -> tuple[torch.Tensor, torch.Tensor]:
    device = next(model.parameters()).device
    # Beside the counterfactual the tokens in another order, which every position sees.
    tokens = group.tokens.to(device)
    other = tokens.flip(1)
    group = replace(group, counterfactual_tokens=other.cpu())
    written: Callable[..., torch.Tensor] = EdgesFused(graph, dense, clean_pass(model, other), None, group.reads).written
    fused = EdgesFused(graph, dense, clean_pass(model, tokens), written(), group.reads)
    # Where a norm follows attention, a head that is ablated changes the norm's scale, and closing its edges does not.
    components, of_edges = _players(graph, heads=all(layer.post_1 is None for layer in dense.layers))
    given = given_of(model, structure, tuple(components), "resample", group)
    hooks = HooksForward(model, *given.arguments)
    rng = np.random.default_rng(0)
    masks = np.ones((2, len(components)))
    masks[1] = rng.random(len(components)) < 0.9
    gates = np.ones((2, len(graph)), dtype=bool)
    for row, mask in enumerate(masks):
        for column in np.flatnonzero(mask == 0):
            gates[row] &= ~of_edges[column]
    like = next(model.parameters())
    found = fused(torch.tensor(gates, device=device).to(like.dtype), slice(None))
    padded = torch.tensor(np.pad(masks, ((0, 0), (0, 1)), constant_values=1), device=device, dtype=like.dtype)
    plain = torch.cat([hooks(padded[row : row + 1], slice(None), 0) for row in range(2)])
    return found, plain


def _first_of(group: TaskGroup) -> TaskGroup:
    """The first prompt alone, without answers that would follow."""
    return replace(
        group,
        indices=group.indices[:1],
        tokens=group.tokens[:1],
        counterfactual_tokens=group.counterfactual_tokens[:1],
        answers=group.answers[:1],
        wrong_answers=group.wrong_answers[:1],
        reads=group.reads[:1],
        answer_lengths=None,
        wrong_answer_lengths=None,
        n_sequences=1,
    )


def _players(graph: EdgeGraph, *, heads: bool) -> tuple[list[Component], list[np.ndarray]]:
    """Components, and for each which edges are closed where it is ablated."""
    components: list[Component] = []
    of_edges: list[np.ndarray] = []
    for place, name in enumerate(graph.sources[1:], start=1):
        layer, index = int(name[1:].rstrip("M").split("H")[0]), name.split("H")[1:]
        if index and not heads:
            continue
        components.append(head(layer, int(index[0])) if index else mlp(layer))
        of_edges.append(graph.source == place)
    for place, name in enumerate(graph.targets):
        if name[-2:] in (".q", ".k", ".v"):
            of_layer, _, unit = name[1:-2].replace("KV", "H").partition("H")
            components.append(one(int(of_layer), _KINDS[name[-1]], int(unit)))
            of_edges.append(graph.target == place)
    return components, of_edges
