"""Coarse to fine on tiny models: the record, the same answer through find_circuit, and wrong calls."""

import numpy as np
import pytest

from circuitspex.circuits import Circuit, coarse_to_fine, find_circuit
from circuitspex.circuits.search._coarse_to_fine import through
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame
from circuitspex.recovery import decode

FEW = {"budget": 12, "n_heldout": 8, "n_contexts": 2, "n_random": 2, "max_nodes": 4, "max_interactions": 2}
LEVELS = ["layers", "heads+mlps", "neurons:16"]


@pytest.fixture(scope="module")
def made(tiny):
    model = tiny.bridge("llama")
    return model, tiny.task(model, lengths=(5,) * 6)


@pytest.fixture(scope="module")
def found(made):
    return coarse_to_fine(*made, LEVELS, threshold=0.2, max_expanded=1, seed=3, progress=False, **FEW)


@pytest.mark.filterwarnings("ignore:the decoded function")
def test_find_circuit_takes_levels_in_place_of_rounds(made, tmp_path):
    options = {**FEW, "seed": 3, "progress": False, "store": tmp_path / "s.sqlite"}
    one = find_circuit(*made, refine=LEVELS[:2], **options)
    two = coarse_to_fine(*made, LEVELS[:2], **options)
    np.testing.assert_array_equal(one.interactions.coefficients, two.interactions.coefficients)
    assert one.interactions.terms == two.interactions.terms
    assert [level.expanded for level in one.levels] == [level.expanded for level in two.levels]
    assert two.n_run == 0
    assert two.n_stored == one.n_stored + one.n_run


def test_the_record_says_what_was_opened(found, tmp_path):
    run = Circuit.load(found.circuit.save(tmp_path / "circuit.json")).run
    assert [level["components"] for level in run["levels"]] == LEVELS
    assert run["levels"][0]["opened"] == list(found.levels[0].expanded)
    assert run["lens"] == "groups"
    assert all(len(level.expanded) == 1 for level in found.levels[:-1])
    closed = {"L0", "L1", "L2"} - set(found.levels[0].expanded)
    assert set(run["groups"]) == closed
    assert closed < set(found.interactions.names)
    assert found.interactions is found.levels[-1].found.interactions
    assert str(found.levels[0]).startswith("layers: 3 components, R²")


def test_nothing_is_left_out_at_any_level(made, found):
    """With everything ablated, each level is the same model."""
    model, task = made
    values = []
    for level in found.levels:
        names = level.found.interactions.names
        parts = [c for name in names for c in level.found.circuit.run["groups"].get(name, name).split("+")]
        game = ComponentGame(model, task, parts)
        values.append(game(np.zeros((1, game.n_players), dtype=bool))[0])
    np.testing.assert_allclose(values, values[0], atol=1e-4)


def test_the_variance_through_a_component_counts_its_interactions():
    rng = np.random.default_rng(0)
    masks = np.array(np.meshgrid(*[[False, True]] * 4)).reshape(4, -1).T
    x = np.where(masks, 1.0, -1.0)
    values = 2 * x[:, 0] + x[:, 1] * x[:, 2] + 1e-9 * rng.normal(size=16)
    np.testing.assert_allclose(through(decode(masks, values)), [0.8, 0.2, 0.2, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"levels": ["heads", "mlps"]}, "levels must nest: L0M of 'mlps'"),
        ({"levels": ["mlps", "neurones"]}, "'neurones' is neither a selector"),
        ({"threshold": 0.0}, "threshold must lie between 0 and 1"),
        ({"max_expanded": 0}, "max_expanded must be at least 1"),
        ({"budget": 1}, "budget must be at least 2"),
        ({"n_random": 0}, "n_random must be at least 1"),
    ],
)
def test_wrong_calls_are_named_before_anything_runs(made, wrong, said):
    with pytest.raises(UserError, match=said):
        coarse_to_fine(*made, **{"levels": LEVELS, **wrong})
