"""A hypothesis strategy for all kinds of circuits."""

from drawn_circuits import node
from hypothesis import strategies as st

from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction, Node, Verification

_numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
_effects = st.floats(-1e3, 1e3)
_names = st.one_of(
    st.builds("L{}H{}".format, st.integers(0, 40), st.integers(0, 30)),
    st.builds("L{}M".format, st.integers(0, 40)),
    st.builds(lambda layer, a: f"L{layer}N{a}:{a + 64}@-1", st.integers(0, 40), st.integers(0, 900)),
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), _numbers, st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def _estimates(draw, numbers):
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return Estimate(value, low, high)


@st.composite
def circuits(draw, numbers=_effects, max_nodes=8):
    """Any valid circuit."""
    names = draw(st.lists(_names, unique=True, max_size=max_nodes))
    measured = st.none() | _estimates(numbers)
    nodes = []
    for name in names:
        template = node(name, 0.0)
        nodes.append(Node(name, template.layer, template.kind, draw(numbers), draw(measured)))
    edges, dropped = [], []
    if len(names) > 1:
        sets = st.sets(st.sampled_from(names), min_size=2, max_size=4).map(sorted).map(tuple)
        edges = [Interaction(s, draw(numbers), draw(measured)) for s in draw(st.lists(sets, unique=True, max_size=8))]
        dropped = [Interaction(s, draw(numbers), draw(measured)) for s in draw(st.lists(sets, max_size=2))]
    found = draw(st.sampled_from([(None, None, None), (0.9, 0.8, 0.95), (-0.1, -0.5, 0.2)]))
    each = _estimates(numbers)
    verification = st.none() | st.builds(
        Verification, *[st.integers(0, 99)] * 3, numbers, numbers, each, each, each, each
    )
    return Circuit(
        tuple(nodes),
        tuple(edges),
        Faithfulness(*found, n_masks=draw(st.integers(0, 1000))),
        draw(verification),
        tuple(dropped),
        model={"name": draw(st.text()), "extra": draw(_json)},
        task={"name": draw(st.text()), "metric": "logit_diff", "example": {"prompt": draw(st.text())}},
        run={"seed": draw(st.integers()), "more": draw(_json)},
    )
