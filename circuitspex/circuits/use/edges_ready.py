"""Made ready once: which edges are closed in a model's own passes, and what they carry instead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.edges.fused import EdgesFused
from circuitspex.ablation.edges.graph import edge_graph
from circuitspex.ablation.edges.live import EdgesLive
from circuitspex.ablation.executors.agreement import parts_of
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense import DenseModel, NotDenseError
from circuitspex.components import ModelStructure
from circuitspex.components._select_edges import select_edges, wants_ungrouped
from circuitspex.components.edges import EdgeGraph, EdgeSelection, EdgeSelector
from circuitspex.errors import ComponentError, TaskError, UserError
from circuitspex.models.in_float32 import is_half
from circuitspex.models.protocol import Model
from circuitspex.models.rounding import differ
from circuitspex.models.state import model_state, why_foreign

_TRIAL = 7
_PROMPTS_AT_ONCE = 8


@dataclass(frozen=True)
class EdgesReady:
    """Gates of all edges of a model, as hooks."""

    live: EdgesLive

    @contextlib.contextmanager
    def hooked(self, model: Model) -> Iterator[None]:
        """Within the block every pass of the model has these gates."""
        with model.hooks(self.live.hooks):
            yield


def edges_ready(
    names: Sequence[str],
    model: Model,
    structure: ModelStructure,
    *,
    gate: float,
    others: float,
    among: EdgeSelector,
    rows: Sequence[Sequence[int]] | None,
) -> EdgesReady:
    """These edges with this ``gate``, the ``others`` of ``among`` with that.

    Args:
        names: of the circuit's edges.
        model: the bridge.
        structure: its structure.
        gate: of the circuit's edges: 1 = open, 0 = closed.
        others: the gate of the other edges.
        among: a selector of what the others are of; edges beside these stay open.
        rows: tokens of the prompts over which sources have their mean; None for baseline 'zero'.

    Raises:
        ComponentError: edges that the model lacks, that are of one token position, or that have keys and values for
            each query head where the model has fewer.
        UserError: a model in half precision, one that is not dense, or prompts that are none.
    """
    parameter = next(model.parameters())
    if is_half(parameter.dtype):
        raise UserError("edges are sums over all sources, which half precision blurs; load the model in float32")
    graph = edge_graph(model, structure)
    if not graph.of_heads and (wants_ungrouped(list(names)) or wants_ungrouped(among)):
        raise ComponentError(
            f"in {structure.name} several query heads share keys and values, and these edges give each its own: such a "
            "circuit can be scored but not applied; find one among 'edges', with keys and values as the model has them"
        )
    own, all_of_them = _without_position(select_edges(graph, list(names))), select_edges(graph, among)
    gates = parameter.detach().new_ones(len(graph))
    gates[torch.as_tensor(all_of_them.numbers)] = others
    gates[torch.as_tensor(own.numbers)] = gate
    dense = _dense(model, structure)
    _try(model, structure, graph, dense)
    base = None if rows is None else mean_written(model, graph, dense, rows)
    return EdgesReady(EdgesLive(graph, dense, structure, gates, base))


def mean_written(
    model: Model, graph: EdgeGraph, dense: DenseModel, rows: Sequence[Sequence[int]]
) -> Float[torch.Tensor, "sources d_model"]:
    """What every source writes, on average over all tokens of these prompts.

    Raises:
        TaskError: there are none.
    """
    by_length: dict[int, list[list[int]]] = {}
    for row in rows:
        by_length.setdefault(len(row), []).append(list(row))
    by_length.pop(0, None)
    if not by_length:
        raise TaskError("there are no prompts to take the mean over; give some, or use baseline 'zero'")
    device = next(model.parameters()).device
    total = None
    for same in by_length.values():
        tokens = torch.tensor(same, device=device)

        def written(some: slice, tokens: torch.Tensor = tokens) -> torch.Tensor:
            reads = torch.zeros((len(tokens[some]), 1), dtype=torch.long)
            run = EdgesFused(graph, dense, clean_pass(model, tokens[some]), None, reads)
            return run.written().double().sum((1, 2))

        for part in in_parts(len(tokens), _PROMPTS_AT_ONCE, written):
            total = part if total is None else total + part
    assert total is not None
    n_tokens = sum(length * len(same) for length, same in by_length.items())
    return (total / n_tokens).to(next(model.parameters()).dtype)


def _without_position(selection: EdgeSelection) -> EdgeSelection:
    for name, position in zip(selection.names, selection.positions, strict=True):
        if position is not None:
            raise ComponentError(
                f"{name} acts at one token position, which other prompts need not have; allowed are edges without a "
                "position"
            )
    return selection


def _dense(model: Model, structure: ModelStructure) -> DenseModel:
    state = model_state(model)
    try:
        if state.foreign:
            raise NotDenseError(f"the model has {why_foreign(state)}")
        return parts_of(model, structure, None, state)
    except NotDenseError as error:
        raise UserError(f"circuits of edges can't be applied to {structure.name}: {error}") from error


def _try(model: Model, structure: ModelStructure, graph: EdgeGraph, dense: DenseModel) -> None:
    """With all edges open the model must be as it is."""
    generator = torch.Generator().manual_seed(0)
    parameter = next(model.parameters())
    tokens = torch.randint(int(model.cfg.d_vocab), (1, _TRIAL), generator=generator).to(parameter.device)
    live = EdgesLive(graph, dense, structure, parameter.detach().new_ones(len(graph)), None)
    with torch.no_grad():
        plain: Any = model(tokens)
        with model.hooks(live.hooks):
            found: Any = model(tokens)
    wrong = differ(found, plain)
    if wrong:
        raise UserError(
            f"circuits of edges can't be applied to {structure.name}: with all edges open a trial pass gave other "
            f"logits than the model ({wrong})"
        )
