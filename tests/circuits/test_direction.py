"""How much of an interaction travels from one component to another."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import Interaction
from circuitspex.circuits.evidence.direction import travelled, with_directions
from circuitspex.errors import UserError


def by_hand(game, mask, source, target):
    """The patched metric of one mask, one head at a time, written out with plain hooks."""
    model, task = game.model, game.task
    tokens = task.groups[0].tokens
    cache = {}

    def gates(keep):
        hooks = []
        for i, component in enumerate(game.components):
            if keep[i]:
                continue
            mean = means[component.layer][:, :, component.start]

            def off(z, hook, head=component.start, mean=mean):
                z = z.clone()
                z[:, :, head] = mean
                return z

            hooks.append((f"blocks.{component.layer}.attn.hook_z", off))
        return hooks

    means = {}
    reference = task.groups[0].reference_tokens
    for layer in range(model.cfg.n_layers):

        def note(z, hook, layer=layer):
            means[layer] = z.mean(0, keepdim=True)

        model.run_with_hooks(reference, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", note)])
    to = game.components[target]
    hook_name = f"blocks.{to.layer}.attn.hook_z"

    def capture(z, hook):
        cache["z"] = z[:, :, to.start].clone()

    def put(z, hook):
        z = z.clone()
        z[:, :, to.start] = cache["z"]
        return z

    without = mask.copy()
    without[source] = False
    model.run_with_hooks(tokens, fwd_hooks=[(hook_name, capture), *gates(without)])
    logits = model.run_with_hooks(tokens, fwd_hooks=[(hook_name, put), *gates(mask)])[:, -1]
    rows = np.arange(len(tokens))
    right = logits[rows, task.groups[0].answers]
    return (right - logits[rows, task.groups[0].wrong_answers]).detach().numpy()


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_patching_is_what_plain_hooks_give(tiny: SimpleNamespace, family: str) -> None:
    model = tiny.bridge(family)
    game = cx.ComponentGame(model, tiny.task(model, (5, 5, 5)))
    first, last = 0, game.n_players - 1
    masks = cx.sample_masks(game.n_players, 5, seed=4)
    masks[:, [first, last]] = True
    found = game.patched(masks, first, last, progress=False)
    for row, mask in zip(found, masks, strict=True):
        np.testing.assert_allclose(row, by_hand(game, mask, first, last), atol=1e-4)
    assert np.abs(found - game.evaluate(masks, progress=False).per_prompt).max() > 1e-6  # something did travel


class Formula(cx.FunctionGame):
    """A game of two components whose metric and patched metric are given by hand."""

    def __init__(self, metric, patched):
        scales = np.array([0.9, 1.0, 1.1])
        super().__init__(lambda masks: np.array([metric(*row) * scales for row in masks.astype(float)]), 2)
        self.value = patched

    def patched(self, masks, source, target, **options):
        return np.tile(self.value * np.array([0.9, 1.0, 1.1]), (len(masks), 1))


@pytest.mark.parametrize(
    ("metric", "patched", "share"),
    [
        (lambda s, t: t * (1 + s), 1.0, 1.0),  # the target passes on what the source feeds it
        (lambda s, t: s * t, 1.0, 0.0),  # they meet later
        (lambda s, t: t * (1 + 0.5 * s) + 0.5 * s * t, 1.5, 0.5),  # half and half
    ],
)
def test_the_share_that_travels(metric, patched, share) -> None:
    found = travelled(Formula(metric, patched), 0, 1, np.ones((4, 2), dtype=bool), progress=False)
    assert found.value == pytest.approx(share)
    assert found.low <= found.value <= found.high


def test_only_pairs_in_different_layers_get_a_direction(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    game = cx.ComponentGame(model, tiny.task(model, (5, 5, 5)))
    contexts = cx.sample_masks(game.n_players, 4, seed=1)
    edges = (
        Interaction(("L1H0", "L0H1"), 1.0),
        Interaction(("L0H0", "L0H1"), 1.0),
        Interaction(("L0H0", "L0H1", "L1H1"), 1.0),
    )
    found = with_directions(game, edges, contexts, progress=False)
    assert found[0].direction.source == "L0H1"
    assert found[0].direction.target == "L1H0"
    assert found[1:] == edges[1:]


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [(0, 1, "nothing travels from L0H0 to L0H1"), (9999, 0, "there is no component 9999")],
)
def test_wrong_ends_are_one_line(tiny: SimpleNamespace, source: int, target: int, said: str) -> None:
    model = tiny.bridge("llama")
    game = cx.ComponentGame(model, tiny.task(model, (5, 5)))
    with pytest.raises(UserError, match=said):
        game.patched(np.ones((1, game.n_players), dtype=bool), source, target)
