"""The planted model does what was intended, and decoding finds it."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import planted
import pytest

import circuitspex as cx

BUDGET = 96


@pytest.fixture(scope="module", params=["zero", "mean"])
def game(request):
    model = planted.build()
    return cx.ComponentGame(model, planted.task(model), components="heads", baseline=request.param)


def test_the_enumerated_game_is_the_plant(game):
    masks = np.array(list(product([False, True], repeat=game.n_players)))
    run = game.evaluate(masks, progress=False)
    found = planted.truth(masks, run.values, game.names)
    assert found == pytest.approx(planted.intended(), abs=1e-5)


def test_the_decoy_has_the_largest_output():
    model = planted.build()
    _, cache = model.run_with_cache(planted.task(model).tokens)
    z = {
        f"L{layer}H{h}": float(cache[f"blocks.{layer}.attn.hook_z"][:, :, h].norm())
        for layer in (0, 1)
        for h in range(4)
    }
    assert z[planted.DECOY] > 10 * max(norm for name, norm in z.items() if name != planted.DECOY)


def test_auto_finds_every_planted_interaction_with_its_sign(game):
    masks = cx.sample_masks(game.n_players, BUDGET, seed=1)
    run = game.evaluate(masks, progress=False)
    found = cx.decode(masks, run.values, names=game.names, seed=0)
    sets = [s for k in range(1, 4) for s in combinations(game.names, k)]
    effects = {s: found.effect(*s) for s in sets}
    largest = max(map(abs, effects.values()))
    reported = {s: np.sign(e) for s, e in effects.items() if abs(e) > 0.05 * largest}
    wanted = {s: np.sign(e) for s, e in planted.intended().items()}
    assert {s: reported.get(s) for s in wanted} == wanted
    assert not any(planted.DECOY in s for s in reported)
