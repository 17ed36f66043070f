"""From layers to neurons in planted models: what was planted is opened, what does nothing stays closed."""

import sys
from pathlib import Path

import pytest

from circuitspex.circuits import coarse_to_fine

sys.path.insert(0, str(Path(__file__).parent))
import plants

# Layers 0 and 2 hold the groups, layer 1 only a decoy, layer 3 the MLP that reads them.
PLANT = plants.Plant(
    (
        plants.Group("backup", ("L0H0", "L2H0"), 2.0),
        plants.Group("and", ("L0H1", "L2H1"), 1.5),
        plants.Group("single", ("L2H3",), 1.0),
    ),
    n_layers=4,
    decoys=("L1H4",),
)


@pytest.fixture(scope="module")
def found():
    model = plants.build(PLANT)
    return coarse_to_fine(
        model,
        plants.task(model),
        ["layers", "heads+mlps", "neurons"],
        budget=64,
        keep=0.7,
        threshold=0.01,
        n_heldout=60,
        n_contexts=48,
        seed=1,
        progress=False,
    )


@pytest.mark.long
def test_the_planted_layers_are_opened_and_the_decoy_stays_whole(found):
    layers, parts, _ = found.levels
    assert set(layers.expanded) == {"L0", "L2", "L3"}
    assert parts.expanded == ("L3M",)
    names = found.interactions.names
    assert "L1" in names
    assert not any(name.startswith("L1H") for name in names)
    assert len(names) == 1 + 6 + 6 + 5 + plants.D_MLP


@pytest.mark.long
def test_the_planted_heads_and_the_neurons_that_read_them_are_in_the_circuit(found):
    nodes = {node.name for node in found.levels[1].found.circuit.nodes}
    assert PLANT.nodes() | {"L3M"} <= nodes
    assert "L1" not in nodes
    n_units = 2 * sum(len(plants.KINKS[group.kind]) for group in PLANT.groups)
    neurons = {node.name for node in found.circuit.nodes if node.kind == "neurons"}
    assert neurons
    assert neurons <= {f"L3N{unit}" for unit in range(n_units)}


def test_neurons_interact_with_the_heads_that_they_read(found):
    strongest = {row.components for row in found.interactions.top(4, order=2)}
    assert strongest == {(head, neuron) for head in ("L0H0", "L2H0") for neuron in ("L3N0", "L3N1")}
    assert found.faithfulness.r2 > 0.8
    words = {edge.components: edge.relation.word for edge in found.circuit.interactions}
    assert words["L0H0", "L2H0"] == "backs up"
