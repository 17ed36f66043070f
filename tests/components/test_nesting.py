"""Coarse parts are opened into what lies within them, and levels that don't nest are named."""

import pytest

from circuitspex.components import model_structure, parse_component, select
from circuitspex.components.nesting import can_be_opened, check_levels, opened, parts_of, written
from circuitspex.errors import ComponentError, UserError


@pytest.fixture(scope="module")
def structure(tiny):
    return model_structure(tiny.bridge("llama"))


def atoms(structure, parts):
    """Everything that the parts gate: heads, and neurons one by one."""
    found = []
    for part in parts:
        for c in part.components:
            stop = structure.layers[c.layer].n_neurons if c.kind == "mlp" else c.stop
            kind = "head" if c.kind == "head" else "neurons"
            found += [(c.layer, kind, i) for i in range(c.start, stop)]
    return found


def test_layers_hold_all_heads_and_the_mlp(structure):
    parts = parts_of(structure, "layers")
    assert [part.name for part in parts] == ["L0", "L1", "L2"]
    assert [str(c) for c in parts[1].components] == ["L1H0", "L1H1", "L1H2", "L1H3", "L1M"]
    assert [part.name for part in parts_of(structure, "layers[1:]")] == ["L1", "L2"]


@pytest.mark.parametrize(
    ("levels", "chosen"),
    [
        (("layers", "heads+mlps", "neurons"), [{1}, {5}]),
        (("layers", "heads", "neurons:16", "neurons"), [{0, 2}, {4, 10}, {6, 13}]),
        (("mlps", "neurons:7", "neurons"), [{0}, {3, 6}]),
        (("heads+mlps", "neurons"), [{12, 14}]),
    ],
)
def test_whatever_is_opened_the_parts_gate_the_same(structure, levels, chosen):
    parts = parts_of(structure, levels[0])
    everything = sorted(atoms(structure, parts))
    for level, places in zip(levels[1:], chosen, strict=True):
        before = parts
        parts = opened(structure, parts, level, places)
        found = atoms(structure, parts)
        assert len(set(found)) == len(found)
        assert sorted(found) == everything
        names = [part.name for part in parts]
        assert len(set(names)) == len(names)
        assert [p for i, p in enumerate(before) if i not in places] == [p for p in parts if p in before]


def test_a_part_without_anything_smaller_stays(structure):
    parts = parts_of(structure, "heads+mlps")
    assert can_be_opened(structure, parts, "neurons") == {12, 13, 14}
    assert can_be_opened(structure, parts, "heads+neurons") == {12, 13, 14}
    assert opened(structure, parts, "neurons", {0, 1}) == parts


def test_parts_are_written_as_a_selector_of_the_same_components(structure):
    parts = opened(structure, parts_of(structure, "heads+mlps"), "neurons", {13})
    text = written(structure, parts)
    assert text == "L0.heads+L1.heads+L2.heads+L0M+L1.neurons+L2M"
    assert set(select(structure, text)) == {c for part in parts for c in part.components}
    few = opened(structure, parts_of(structure, "layers"), "heads+mlps", {1})
    assert written(structure, few) == "L0+L1.heads+L1M+L2"


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (["mlps", "heads"], "L0H0 of 'heads' is within no component of the level before, 'mlps'"),
        (["neurons:16", "mlps"], "L0M of 'mlps' is within no component of the level before, 'neurons:16'"),
        (["neurons:16", "neurons:10"], "L0N10:20 of 'neurons:10' is within no component"),
        (["mlps", "heads+neurons"], "L0H0 of 'heads' is within no component"),
        (["heads", "heads"], "'heads' has nothing smaller than the level before, 'heads'"),
        (["mlps", "L1N0:8"], "'L1N0:8' opens only 8 of the 48 neurons of L1M"),
        (["heads+mlps", "layers"], "'layers' can only be the first level"),
        (["layers"], "two or more levels"),
        ("layers", "two or more levels"),
        (["layers", "experts"], "layer 0 of tiny-llama has no experts"),
        (["layers", "expert"], "'expert' is neither a selector"),
        (["layers[7:]", "heads"], "selects no layers"),
    ],
)
def test_levels_that_do_not_nest_are_named_in_one_line(structure, levels, said):
    with pytest.raises(ComponentError) as error:
        check_levels(structure, levels)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, UserError)


def test_levels_that_nest_are_let_through(structure):
    for levels in (["layers", "heads+mlps", "neurons"], ["layers[1:]", "neurons"], ["mlps", "neurons:16", "neurons"]):
        check_levels(structure, levels)


def test_neurons_of_a_mixture_of_experts_are_refused(tiny):
    moe = model_structure(tiny.bridge("mixtral"))
    with pytest.raises(ComponentError, match="mixture of experts"):
        check_levels(moe, ["layers", "heads+mlps", "neurons"])


def test_names_of_single_components_can_be_read_back(structure):
    parts = opened(structure, parts_of(structure, "mlps"), "neurons:16", {0, 1, 2})
    for part in parts:
        assert (parse_component(part.name),) == part.components
