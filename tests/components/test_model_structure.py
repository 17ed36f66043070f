"""What a model has is found by looking at it."""

from __future__ import annotations

import pytest

from circuitspex.components import model_structure, select
from circuitspex.errors import ComponentError


def test_every_family_shows_its_heads_mlps_and_neurons(tiny, family, model, hooks_left):
    structure = model_structure(model)
    assert structure.name == f"tiny-{family}"
    assert structure.n_layers == tiny.n_layers
    assert hooks_left(model) == {}
    for layer in structure.layers:
        assert (layer.n_heads, layer.part("head").width) == (tiny.n_heads, 8)
        for part in layer.parts.values():
            assert (part.hook is None) == bool(part.why)
            # Experts are at their router, which is no hook of TransformerLens.
            assert part.hook is None or part.hook in model.hook_dict or part.source is not None
        if family == "mixtral":
            assert layer.part("neurons").hook is None
        else:
            assert layer.n_neurons == tiny.n_neurons
    assert len(select(structure, "heads+mlps")) == tiny.n_layers * (tiny.n_heads + 1)


@pytest.mark.parametrize("selector", ["neurons", "neurons:8", "L1.neurons", "L1N0", "heads+L0N0:4"])
def test_neurons_of_a_mixture_of_experts_are_refused_with_the_reason(tiny, selector):
    with pytest.raises(ComponentError) as caught:
        select(model_structure(tiny.bridge("mixtral")), selector)
    assert "of tiny-mixtral is a mixture of experts" in str(caught.value)
    assert "ablate the whole block" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
