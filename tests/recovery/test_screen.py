"""Games with thousands of components: interactions among the chosen, main effects of all."""

import numpy as np
from planted import r2

from circuitspex.recovery import decode
from circuitspex.recovery.decoders.screen import Screen
from circuitspex.recovery.samples import Samples


def wide_game(n, rng):
    """Main effects everywhere, all small but 20, and interactions among these; gradients without noise."""
    weights = 0.02 * rng.normal(size=n)
    strong = rng.choice(n, 20, replace=False)
    weights[strong] += rng.normal(size=20)
    pairs = [(strong[i], strong[i + 1], float(rng.normal())) for i in range(0, 20, 2)]

    def both(masks):
        x = np.where(masks, 1.0, -1.0)
        values, sign_gradients = x @ weights, np.tile(weights, (len(x), 1))
        for a, b, c in pairs:
            values = values + c * x[:, a] * x[:, b]
            sign_gradients[:, a] += c * x[:, b]
            sign_gradients[:, b] += c * x[:, a]
        return values, 2 * sign_gradients

    return both, {(min(a, b), max(a, b)) for a, b, _ in pairs}


def test_thousands_of_components_are_decoded_with_their_interactions():
    rng = np.random.default_rng(0)
    both, pairs = wide_game(6000, rng)
    masks, fresh = rng.random((50, 6000)) < 0.5, rng.random((200, 6000)) < 0.5
    values, gradients = both(masks)
    found = decode(masks, values, gradients=gradients)
    assert r2(both(fresh)[0], found.predict(fresh)) > 0.95
    strongest = {tuple(found.names.index(name) for name in row.components) for row in found.top(10, order=2)}
    assert len(strongest & {tuple(int(i) for i in pair) for pair in pairs}) >= 8


def test_few_components_are_left_as_they_are():
    rng = np.random.default_rng(1)
    masks = rng.random((20, 5)) < 0.5
    samples = Samples.check(masks, rng.normal(size=20), rng.normal(size=(20, 5)), 0)
    assert Screen.of(samples).samples is samples


def test_what_the_others_add_comes_from_other_folds():
    rng = np.random.default_rng(2)
    masks = rng.random((20, 3000)) < 0.5
    samples = Samples.check(masks, rng.normal(size=20), rng.normal(size=(20, 3000)), 0)
    screen = Screen.of(samples)
    others = np.setdiff1d(np.arange(3000), screen.columns)
    assert len(others) == 2000
    for row in (0, 7, 19):
        elsewhere = samples.fold != samples.fold[row]
        expected = samples.x[row, others] @ samples.sign_gradients[elsewhere][:, others].mean(0)
        assert np.isclose(screen.added[row], expected)
        assert np.isclose(screen.samples.values[row] + screen.added[row], samples.values[row])
