"""Selectors: what each form names, and what each wrong one is told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitspex.components import (
    Component,
    LayerStructure,
    ModelStructure,
    Part,
    head,
    mlp,
    neurons,
    parse_component,
    select,
)
from circuitspex.errors import ComponentError

MOE = "is a mixture of experts: its neurons have no hook"


def layer(n_heads: int = 4, n_neurons: int = 10, has_mlp: bool = True, why: str = "") -> LayerStructure:
    parts = {"neurons": Part(why=why) if why else Part(n_neurons, "post")}
    if n_heads:
        parts["head"] = Part(n_heads, "z", width=8)
    if has_mlp:
        parts["mlp"] = Part(1, "out")
    return LayerStructure(parts)


PLAIN = ModelStructure("tiny", (layer(), layer(), layer()))
# Layers that differ: one without attention, one without an MLP, one of experts.
ODD = ModelStructure("odd", (layer(n_heads=0), layer(n_neurons=0, has_mlp=False, why="has no MLP"), layer(why=MOE)))


def names(selector, structure=PLAIN) -> list[str]:
    return [str(component) for component in select(structure, selector)]


def heads(*layers: int) -> list[str]:
    return [f"L{k}H{h}" for k in layers for h in range(4)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("heads", heads(0, 1, 2)),
        ("mlps", ["L0M", "L1M", "L2M"]),
        ("neurons", [f"L{k}N{i}" for k in range(3) for i in range(10)]),
        ("neurons:4", [f"L{k}N{part}" for k in range(3) for part in ("0:4", "4:8", "8:10")]),
        ("neurons:3", [f"L{k}N{part}" for k in range(3) for part in ("0:3", "3:6", "6:9", "9")]),
        ("neurons:64", ["L0N0:10", "L1N0:10", "L2N0:10"]),
        ("heads+mlps", [*heads(0, 1, 2), "L0M", "L1M", "L2M"]),
        (" heads + mlps ", [*heads(0, 1, 2), "L0M", "L1M", "L2M"]),
        ("layers[1:2].heads", heads(1)),
        ("layers[1:].heads", heads(1, 2)),
        ("layers[:1].heads", heads(0)),
        ("layers[:].heads", heads(0, 1, 2)),
        ("layers[-2:].mlps", ["L1M", "L2M"]),
        ("layers[-1].mlps", ["L2M"]),
        ("layers[0].mlps", ["L0M"]),
        ("layers[::2].mlps", ["L0M", "L2M"]),
        ("layers[::-1].mlps", ["L2M", "L1M", "L0M"]),
        ("layers[1:99].mlps", ["L1M", "L2M"]),
        ("L1.heads", heads(1)),
        ("L2.neurons:5", ["L2N0:5", "L2N5:10"]),
        ("L1H3", ["L1H3"]),
        ("L1M", ["L1M"]),
        ("L1N9", ["L1N9"]),
        ("L1N0:10", ["L1N0:10"]),
        ("L1.heads@-1", [f"{h}@-1" for h in heads(1)]),
        ("mlps@2", ["L0M@2", "L1M@2", "L2M@2"]),
        ("L0.neurons:5@3", ["L0N0:5@3", "L0N5:10@3"]),
        ("L1H0@-1+L1H0@-2", ["L1H0@-1", "L1H0@-2"]),
        ("L1.heads+L1H2+L1.heads", heads(1)),
        (head(1, 2), ["L1H2"]),
        ([head(1, 2), "L0M", "L2.heads", mlp(0)], ["L1H2", "L0M", *heads(2)]),
        (("L1M", "L0M"), ["L1M", "L0M"]),
    ],
)
def test_what_selectors_name(selector, expected):
    assert names(selector) == expected


def test_layers_that_lack_a_part_are_left_out():
    assert names("heads", ODD) == heads(1, 2)
    assert names("mlps", ODD) == ["L0M", "L2M"]
    assert names("L0.neurons:5", ODD) == ["L0N0:5", "L0N5:10"]


HOW = "is neither a selector ('heads',"


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("L40H0", "L40H0: tiny has 3 layers, L0 to L2"),
        ("L3M", "L3M: tiny has 3 layers, L0 to L2"),
        ("L0H4", "L0H4: layer 0 of tiny has 4 heads, H0 to H3"),
        ("L0N10", "L0N10: layer 0 of tiny has 10 neurons, N0 to N9"),
        ("L0N8:11", "L0N8:11: layer 0 of tiny has 10 neurons, N0 to N9"),
        ([Component(7, "mlp")], "L7M: tiny has 3 layers, L0 to L2"),
        ("L3.heads", "'L3.heads': tiny has 3 layers, 0 to 2"),
        ("layers[3].heads", "'layers[3].heads': tiny has 3 layers, 0 to 2"),
        ("layers[-4].heads", "'layers[-4].heads': tiny has 3 layers, 0 to 2"),
        ("layers[2:1].heads", "the selector 'layers[2:1].heads' selects no components of tiny"),
        ("layers[5:].mlps", "selects no components of tiny"),
        ("layers[::0].mlps", "'layers[::0].mlps': the step of a slice can't be 0"),
        (
            "heads:4",
            "'heads:4': only neurons, neurons of experts and latents come in groups; write 'neurons:4' or 'heads'",
        ),
        ("mlps:2", "only neurons, neurons of experts and latents come in groups"),
        ("neurons:0", "'neurons:0': a group needs at least one neuron"),
        ("L1N5:5", "empty range of neurons"),
        ("", HOW),
        ("head", HOW),
        ("heads+", HOW),
        ("heads mlps", HOW),
        ("Heads", HOW),
        ("layers[].heads", HOW),
        ("layers[-:].heads", HOW),
        ("layers[1:-].heads", HOW),
        ("layers[::-].heads", HOW),
        ("layers[a:b].heads", HOW),
        ("layers[1].L1H1", HOW),
        ("heads@", HOW),
        ("heads@x", HOW),
        ("heads\n@1", HOW),
        ([], "selects no components of tiny"),
        ([3], "3 is not a component or selector; selectors are 'heads'"),
        ([None], "None is not a component or selector"),
        (5, "5 is not a selector; selectors are 'heads'"),
        (None, "None is not a selector"),
        ("L1H0+L1H0@-1", "L1H0 and L1H0@-1 overlap; select it at every position or at single ones"),
        ("heads@-1+L2H3", "L2H3@-1 and L2H3 overlap"),
        ("mlps+L0M@2", "L0M and L0M@2 overlap"),
        ("L0N0:8+L0N7", "L0N0:8 and L0N7 overlap; select each neuron once"),
        ("neurons:4+neurons:5", "overlap; select each neuron once"),
        ("L0N0:8@1+L0N3", "overlap"),
        ("L0H1@-1+L0H1@2", "layer 0: positions counted from the start and from the end are mixed; use one of the two"),
    ],
)
def test_wrong_selectors_get_one_clear_line(selector, message):
    with pytest.raises(ComponentError) as caught:
        select(PLAIN, selector)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("L0H0", "L0H0: layer 0 of odd has no attention heads"),
        ("L1M", "L1M: layer 1 of odd has no MLP"),
        ("L1N0", "L1N0: layer 1 of odd has no MLP"),
        ("L2N0", f"L2N0: layer 2 of odd {MOE}"),
        ("neurons:64", "layer 1 of odd has no MLP"),
        ("L2.neurons", MOE),
        ("L0.heads", "selects no components of odd"),
        ("L1.mlps", "selects no components of odd"),
    ],
)
def test_parts_that_a_layer_lacks_are_refused_with_the_reason(selector, message):
    with pytest.raises(ComponentError) as caught:
        select(ODD, selector)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


positions = st.none() | st.integers(-3, -1)
small = st.one_of(
    st.builds(head, st.integers(0, 1), st.integers(0, 2), positions),
    st.builds(mlp, st.integers(0, 1), positions),
    st.builds(
        lambda k, a, n, at: neurons(k, a, min(a + n, 10), at),
        st.integers(0, 1),
        st.integers(0, 9),
        st.integers(1, 4),
        positions,
    ),
)


def attempt(selector) -> tuple[tuple[Component, ...], str]:
    """What is selected and no error, or nothing and the error."""
    try:
        return select(PLAIN, selector), ""
    except ComponentError as error:
        return (), str(error)


def gate_the_same(a: Component, b: Component) -> bool:
    if a == b or (a.layer, a.kind) != (b.layer, b.kind):
        return False
    if a.position is not None and b.position is not None and a.position != b.position:
        return False
    return a.kind == "mlp" or (a.start < b.stop and b.start < a.stop)


@settings(deadline=None, max_examples=300)
@given(st.lists(small, min_size=1, max_size=6))
def test_a_list_is_refused_exactly_when_two_gate_the_same_activation(chosen):
    clash = any(gate_the_same(a, b) for a, b in itertools.combinations(chosen, 2))
    found, error = attempt(chosen)
    assert clash == ("overlap" in error)
    assert clash == (not found)
    if not clash:
        assert found == tuple(dict.fromkeys(chosen))
        assert select(PLAIN, "+".join(map(str, chosen))) == found
        assert select(PLAIN, [str(component) for component in chosen]) == found


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=15)
    | st.from_regex(r"(layers\[[\d:-]*\]\.|L\d\.)?(heads|mlps|neurons)(:\d)?(@-?\d?)?", fullmatch=True)
)
def test_any_text_selects_or_is_refused_with_one_line(text):
    found, error = attempt(text)
    assert len(error.splitlines()) == (not found)
    assert all(PLAIN.check(parse_component(str(component))) == component for component in found)
