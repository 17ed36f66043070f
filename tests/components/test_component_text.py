"""How components are written: every form, both ways, and what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitspex.components import Component, head, mlp, neurons, parse_component
from circuitspex.errors import ComponentError

index = st.integers(0, 10_000)
position = st.none() | st.integers(-5_000, 5_000)
components = st.one_of(
    st.builds(head, index, index, position),
    st.builds(mlp, index, position),
    st.builds(
        lambda layer, start, size, at: neurons(layer, start, start + size, at),
        index,
        index,
        st.integers(1, 99),
        position,
    ),
)


def or_one_line(make):
    """What ``make`` gives, or None where it raises a ComponentError of one line."""
    try:
        return make()
    except ComponentError as error:
        lines = str(error).splitlines()
    assert len(lines) == 1
    return None


@settings(deadline=None)
@given(components)
def test_reading_what_was_written_gives_the_same(component):
    assert parse_component(str(component)) == component
    assert parse_component(f"  {component}\t") == component
    assert hash(parse_component(str(component))) == hash(component)


@settings(deadline=None)
@given(components, components)
def test_different_components_are_written_differently(a, b):
    assert (str(a) == str(b)) == (a == b)


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("L5H1", Component(5, "head", 1, 2)),
        ("L5M", Component(5, "mlp")),
        ("L5N123", Component(5, "neurons", 123, 124)),
        ("L5N0:64", Component(5, "neurons", 0, 64)),
        ("L0H0@-1", Component(0, "head", 0, 1, -1)),
        ("L0M@3", Component(0, "mlp", 0, 0, 3)),
        ("L0N7@0", Component(0, "neurons", 7, 8, 0)),
    ],
)
def test_written_forms(text, component):
    assert parse_component(text) == component
    assert str(component) == text


NOT_COMPONENTS = ["", "L", "L1", "H1", "l1h1", "L1H", "L1X2", "L-1H0", "L1H-1", "L1H1:3", "L1M2", "L1N", "L1N3:"]
NOT_COMPONENTS += ["L1H1@", "L1H1@x", "L1H1@1.5", "L1 H1", "L1H1@1@2", "L1.H1", "heads", "L1H1\nL1H2", "L1H1\n\n'x"]


@pytest.mark.parametrize("text", NOT_COMPONENTS)
def test_other_text_is_refused_with_one_line(text):
    with pytest.raises(ComponentError, match="is not a component; components are written 'L5H1'") as caught:
        parse_component(text)
    assert len(str(caught.value).splitlines()) == 1


@settings(deadline=None)
@given(st.text(max_size=20) | st.from_regex(r"L\w*[HMN][\d:@-]*", fullmatch=True))
def test_any_text_is_a_component_or_a_one_line_error(text):
    component = or_one_line(lambda: parse_component(text))
    assert component is None or parse_component(str(component)) == component


@settings(deadline=None)
@given(
    st.integers(-3, 3),
    st.sampled_from(["head", "mlp", "neurons", "other"]),
    st.integers(-3, 3),
    st.integers(-3, 3),
    position,
)
def test_a_component_that_exists_can_be_written(layer, kind, start, stop, at):
    component = or_one_line(lambda: Component(layer, kind, start, stop, at))
    assert component is None or parse_component(str(component)) == component


@pytest.mark.parametrize("text", ["L1N5:5", "L1N5:2"])
def test_empty_ranges_of_neurons_are_refused(text):
    with pytest.raises(ComponentError, match="empty range of neurons"):
        parse_component(text)


def test_components_sort_by_layer_whatever_their_positions():
    texts = ["L2H0", "L1H1@-1", "L1H1", "L1H1@2", "L1M", "L0N0:4"]
    ordered = [str(component) for component in sorted(map(parse_component, texts))]
    assert ordered[0] == "L0N0:4"
    assert ordered[-1] == "L2H0"
    assert set(ordered) == set(texts)
