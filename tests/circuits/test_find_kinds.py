"""A search among components of every kind ends in a circuit that is drawn, written and read, or refused in one line."""

from __future__ import annotations

import re

import pytest
import torch

from circuitspex import Circuit, Latents, find_circuit
from circuitspex.circuits import formats
from circuitspex.errors import UserError


def autoencoder() -> Latents:
    generator = torch.Generator().manual_seed(1)
    encoder, decoder = torch.randn(32, 6, generator=generator), torch.randn(6, 32, generator=generator)
    return Latents("blocks.1.hook_resid_post", encoder, decoder)


KINDS = [
    ("gpt_neox", "attns+L1.heads", {"attention", "head"}),
    ("llama", "L1.heads.q+L1.heads.k+L2.heads.v", {"query", "key", "value"}),
    ("gemma2", "layers[1:].residuals@-1+L2.heads", {"residual", "head"}),
    ("mixtral", "L1.heads+L2.experts", {"head", "expert"}),
    ("gpt2", "L0.heads+latents", {"head", "latents"}),
]


@pytest.mark.some(3)
@pytest.mark.parametrize(("family", "selector", "kinds"), KINDS)
@pytest.mark.filterwarnings("ignore")
def test_a_search_among_this_kind(tiny, family, selector, kinds, tmp_path):
    model = tiny.bridge(family)
    latents = autoencoder() if "latents" in kinds else None
    found = find_circuit(
        model,
        tiny.task(model, lengths=(5,) * 16, metric="kl"),
        selector,
        "resample",
        budget=30,
        latents=latents,
        n_heldout=12,
        n_contexts=24,
        n_random=3,
        max_interactions=6,
    )
    circuit = found.circuit
    measured = {node.kind for node in (*circuit.nodes, *circuit.dropped_nodes)}
    assert measured <= kinds
    assert measured - {"head"}
    assert found.verification is not None
    assert found.faithfulness.r2 is not None
    assert circuit.run["executor"].startswith("batched hooks")
    directed = [edge.direction for edge in (*circuit.interactions, *circuit.dropped) if edge.direction is not None]
    assert not any(re.search("[ES]", direction.target) for direction in directed)
    if latents is not None:
        assert circuit.run["latents"][0]["identity"] == latents.identity
    assert Circuit.load(circuit.save(tmp_path / "circuit.json")) == circuit
    written, refused = [], {}
    for form in formats.names():
        try:
            written.append(circuit.export(form, tmp_path / f"out.{form}"))
        except UserError as error:
            refused[form] = str(error)
    assert all(path.stat().st_size > 100 for path in written)
    assert set(refused) == {"eap"}
    assert refused["eap"].startswith("an EAP graph has whole heads and MLPs only")
    assert "\n" not in refused["eap"]
    assert set(circuit.nodes[0].name) <= set(circuit.table())
