"""Edges of compiled programs and of planted circuits: the truth is what closing each edge alone changes."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from circuitspex.circuits import find_circuit, find_edges
from circuitspex.games import EdgeGame

sys.path.insert(0, str(Path(__file__).parent))
import compiled
import plants


def truth(model, task, baseline="resample", closed=()):
    """The edges whose closing changes the metric of a prompt, while these are closed."""
    game = EdgeGame(model, task, "edges", baseline)
    whole = np.array([name not in closed for name in game.names])
    masks = np.concatenate([whole[None], whole & ~np.eye(game.n_players, dtype=bool)])
    values = game.evaluate(masks, progress=False).per_prompt
    changes = np.abs(values[1:] - values[0]).max(1)
    return {name for name, change in zip(game.names, changes, strict=True) if change > 0.01}


@pytest.mark.long
def test_edges_of_compiled_programs_are_found():
    """Over all programs precision and recall are at least .95, of the smallest circuits and of the largest slopes."""
    right = {"circuit": [0, 0, 0], "slopes": [0, 0, 0]}  # found, true, both
    for name in sorted(compiled.PROGRAMS):
        model = compiled.build(name)
        task = compiled.task(name, model)
        known = truth(model, task)
        edges = find_edges(model, task, budget=60, sizes=range(1, 24), executor="fused", progress=False)
        sizes = edges.sizes_of_slopes
        circuit = next(set(each.names) for each in edges.highest if edges.share(each) >= 0.99)
        large = {edges.names[i] for i in np.flatnonzero(sizes > 0.05 * sizes.max())}
        for way, found in (("circuit", circuit), ("slopes", large)):
            right[way] = [a + b for a, b in zip(right[way], (len(found), len(known), len(found & known)), strict=True)]
    for found, true, both in right.values():
        assert both / found >= 0.95
        assert both / true >= 0.95


def test_edges_of_a_planted_circuit_and_their_interactions_are_found():
    model = plants.build(plants.USUAL)
    task = plants.task(model)
    known = truth(model, task, "mean")
    for backup in ("L0H0->L1M", "L1H0->L1M"):  # either of two is enough, so that alone neither changes anything
        known |= truth(model, task, "mean", (backup,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = find_circuit(
            model,
            task,
            "heads->mlps+emb->heads.v",
            "mean",
            budget=96,
            keep=0.8,  # an edge of the triple shows only where its five companions are open
            n_heldout=40,
            n_contexts=32,
            max_nodes=20,
            max_interactions=40,
            heldout=plants.heldout(model),
            progress=False,
        )
    known = {name for name in known if name in found.edges.names}
    nodes = {node.name for node in found.circuit.nodes}
    assert len(nodes & known) / len(nodes) >= 0.95
    assert len(nodes & known) / len(known) >= 0.95
    signs = {frozenset(one.components): np.sign(one.effect) for one in found.circuit.interactions}
    assert signs[frozenset(("L0H0->L1M", "L1H0->L1M"))] == -1
    assert signs[frozenset(("L0H1->L1M", "L1H1->L1M"))] == 1
    assert all(name in known for pair in signs for name in pair)
