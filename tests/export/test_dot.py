"""DOT: a small parser of the grammar reads every file back; layers, signs, joints, and names that try to break out."""

import dataclasses
import random
import re
import shutil
import subprocess

import pytest
from any_circuits import circuits
from drawn_circuits import edge, empty, estimate, node, realistic
from hypothesis import given, settings

from circuitspex.circuits.circuit import Circuit, Direction, Estimate, Faithfulness, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.export.graphs import dot

HOSTILE = (
    'a"b',
    "a\\",
    "<b>&amp;&#60;</b>",
    "two\nlines\r\n",
    "😀 ̈ é—`x`",
    "\x00\x07\x1b[31m",
    "\ud83d",
    '"]; } digraph {',
    "=HYPERLINK(1)",
    "#quot; %% end",
    "\u202eright to left",
    "'; DROP",
)


def hostile():
    """A circuit whose names and texts are anything."""
    nodes = tuple(
        Node(name, i // 3, ("head", "mlp", "neurons")[i % 3], (-1) ** i * (i + 0.5), estimate(1.0) if i % 2 else None)
        for i, name in enumerate(HOSTILE)
    )
    edges = (
        Interaction(HOSTILE[:4], -1.5, estimate(-1.25)),
        Interaction(HOSTILE[4:7], 0.5, None),
        Interaction((HOSTILE[0], HOSTILE[7]), 2.0, None),
        Interaction(HOSTILE[8:10], -2.0, estimate(-2.5)),
    )
    return Circuit(
        nodes,
        edges,
        Faithfulness(None, None, None, 0),
        model={"name": HOSTILE[7] + "\n", "n_layers": 4},
        task={"name": HOSTILE[2], "metric": HOSTILE[0], "example": {"prompt": 'a "b" <c>\n&\ud83d'}},
    )


def with_evidence(rng, found):
    """The interaction with a q value, and a direction where it has two components, as some have them."""
    q = rng.random() if rng.random() < 0.5 else None
    if found.order > 2 or rng.random() < 0.5:
        return dataclasses.replace(found, q=q)
    return dataclasses.replace(found, q=q, direction=Direction(*found.components, estimate(rng.random())))


def mixed(seed):
    """A fresh random circuit: orders 2 to 4, both signs, measured and estimated."""
    rng = random.Random(seed)
    names = [f"L{rng.randrange(6)}{rng.choice(['H', 'N'])}{i}" for i in range(rng.randrange(5, 12))]
    names += [f"L{layer}M" for layer in rng.sample(range(6), 2)]
    sets = {frozenset(rng.sample(names, k)) for k in (2, 2, 2, 3, 3, 4) * 2}
    return Circuit(
        tuple(node(name, rng.gauss(0, 1), rng.random() < 0.5) for name in names),
        tuple(
            with_evidence(rng, edge(sorted(s), rng.gauss(0, 1), rng.random() < 0.5)) for s in sorted(sets, key=sorted)
        ),
        Faithfulness(0.9, 0.8, 0.95, 100),
        model={"name": "a model", "n_layers": 6, "n_heads": 12},
        task={"name": "a task", "metric": "logit_diff", "example": {"prompt": " When John and Mary  went home "}},
        run={"budget": 100},
    )


def damaged():
    """Circuits that no graph file can hold, and what is said of them."""
    none = Faithfulness(None, None, None, 0)
    two = (node("L1H1", 1.0), node("L2H2", 1.0))
    return [
        (Circuit((node("L1H1", float("nan"), False),), (), none), "only finite numbers"),
        (Circuit((Node("L1H1", 1, "head", 1.0, Estimate(1.0, float("-inf"), 2.0)),), (), none), "-inf"),
        (Circuit((two[0], two[0]), (), none), "'L1H1' is in the circuit twice"),
        (Circuit(two, (edge(("L1H1", "L3H3"), 1.0),), none), "names 'L3H3', which is not a node"),
        (Circuit(two, (edge(("L1H1", "L1H1"), 1.0),), none), "two or more different components"),
        (Circuit(two, (edge(("L1H1", "L2H2"), float("inf"), False),), none), "is inf"),
        (Circuit(two, (Interaction(("L1H1", "L2H2"), 1.0, q=float("nan")),), none), "is nan"),
    ]


def refused(write, path, circuit, said):
    with pytest.raises(UserError) as caught:
        write(circuit, path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.exists()


_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|--|[{}\[\];,=]|[A-Za-z_][A-Za-z_0-9]*|-?[0-9.]+)')


def parse(text):
    """A DOT file as (graph attributes, nodes, edges, ranks); fails on what is not DOT."""
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        assert match, text[at : at + 60]
        tokens.append(match[1])
        at = match.end()
    assert tokens[:3] == ["graph", "circuit", "{"]
    assert tokens[-1] == "}"
    nodes, edges, ranks, about, stack = {}, [], [], {}, []
    statement, inside = [], False
    for token in tokens[3:-1]:
        if token == "{" and not inside:
            assert not stack
            stack.append(set())
        elif token == "}" and not inside:
            ranks.append(stack.pop())
        elif token == ";" and not inside:
            _statement(statement, nodes, edges, about, stack)
            statement = []
        else:
            inside = (inside or token == "[") and token != "]"
            statement.append(token)
    assert not stack
    assert not statement
    return about, nodes, edges, ranks


def _statement(tokens, nodes, edges, about, stack):
    if "[" not in tokens:
        assert tokens == ["rank", "=", "same"]
        return
    head, inner = tokens[: tokens.index("[")], tokens[tokens.index("[") + 1 : -1]
    attributes = {inner[i]: _value(inner[i + 2]) for i in range(0, len(inner), 4)}
    assert all(inner[i + 1] == "=" for i in range(0, len(inner), 4))
    if len(head) == 3:
        assert head[1] == "--"
        edges.append((head[0], head[2], attributes))
    elif head[0] in ("graph", "node", "edge"):
        about[head[0]] = attributes
    else:
        assert head[0] not in nodes
        nodes[head[0]] = attributes
        if stack:
            stack[-1].add(head[0])


def _value(token):
    if not token.startswith('"'):
        return token
    lines = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], token[1:-1])
    assert not re.search(r"&(?!amp;)", lines)
    return lines.replace("&amp;", "&")


@pytest.mark.parametrize("seed", range(8))
def test_files_have_every_part_with_its_sign_and_interval(seed):
    circuit = mixed(seed)
    about, nodes, edges, ranks = parse(dot.render(circuit))
    assert about["graph"]["label"].startswith("a model · a task (logit_diff)\nR² 0.900")
    by_name = {a["label"].split("\n")[0]: (i, a) for i, a in nodes.items() if i.startswith("n")}
    assert set(by_name) == {n.name for n in circuit.nodes}
    for part in circuit.nodes:
        _, look = by_name[part.name]
        assert look["color"] == ("#D55E00" if part.effect < 0 else "#0072B2")
        assert look["style"].startswith("dashed" if part.effect < 0 else "solid")
        assert ("filled" in look["style"]) == (part.measured is not None)
        assert ("[" in look["tooltip"]) == (part.measured is not None)
    for members in ranks:
        layers = {n.layer for n in circuit.nodes if by_name[n.name][0] in members}
        assert len(layers) == 1
        assert {f"layer {layer}" for layer in layers} <= {nodes[m]["label"] for m in members}
    assert len(ranks) == len({n.layer for n in circuit.nodes})
    _same_interactions(circuit, {i: name for name, (i, _) in by_name.items()}, nodes, edges)


def _same_interactions(circuit, names, nodes, edges):
    found = {}
    for a, b, look in edges:
        if look.get("style") == "invis":
            continue
        joint = next((end for end in (a, b) if end.startswith("j")), None)
        if joint is None:
            found[frozenset((names[a], names[b]))] = look
        else:
            assert nodes[joint]["shape"] == "point"
            found.setdefault(joint, set()).add(names[a if b == joint else b])
    pairs = {key for key in found if isinstance(key, frozenset)}
    joints = [frozenset(value) for key, value in found.items() if key not in pairs]
    assert pairs == {frozenset(e.components) for e in circuit.interactions if e.order == 2}
    assert sorted(map(sorted, joints)) == sorted(sorted(e.components) for e in circuit.interactions if e.order > 2)
    for e in circuit.interactions:
        if e.order == 2:
            look = found[frozenset(e.components)]
            assert (look["style"], look["color"]) == (("dashed", "#D55E00") if e.effect < 0 else ("solid", "#0072B2"))
            assert e.relation.short in look["tooltip"]


@pytest.mark.parametrize("seed", range(8))
def test_no_link_of_a_joint_goes_down(seed):
    """The joint stands above the first layer of its members, and below or beside the others."""
    circuit = mixed(seed)
    _, nodes, edges, _ = parse(dot.render(circuit))
    layer = {n.name: n.layer for n in circuit.nodes}
    at = {i: layer[a["label"].split("\n")[0]] for i, a in nodes.items() if i.startswith("n")}
    for joint in (i for i in nodes if i.startswith("j")):
        below = {at[a] for a, b, _ in edges if b == joint}
        above = {at[b] for a, b, _ in edges if a == joint}
        assert len(below) == 1
        assert all(other > max(below) for other in above)


def test_names_can_not_break_out():
    circuit = hostile()
    _, nodes, edges, _ = parse(dot.render(circuit))
    assert len([i for i in nodes if i.startswith("n")]) == len(HOSTILE)
    assert len([e for e in edges if e[2].get("style") != "invis"]) == 4 + 3 + 1 + 1
    labels = {a["label"].split("\n")[0] for i, a in nodes.items() if i.startswith("n")}
    assert {'a"b', "a\\", "<b>&amp;&#60;</b>", "two lines", '"]; } digraph {'} <= labels


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_parses(circuit):
    _, nodes, _, _ = parse(dot.render(circuit))
    assert len([i for i in nodes if i.startswith("n")]) == len(circuit.nodes)


def test_the_order_of_parts_changes_nothing():
    circuit = mixed(3)
    other = Circuit(
        circuit.nodes[::-1], circuit.interactions[::-1], circuit.faithfulness, None, (), circuit.model, circuit.task
    )
    assert dot.render(other) == dot.render(circuit)


def test_empty_and_large_circuits(tmp_path):
    assert parse(dot.render(empty()))[1] == {}
    large = realistic(120, 200)
    _, nodes, edges, _ = parse(dot.write(large, tmp_path / "c.dot").read_text(encoding="utf-8"))
    assert all("\n" not in a["label"] for a in nodes.values() if "label" in a)
    assert not any("label" in look for *_, look in edges)
    assert all("est." in a["tooltip"] or "[" in a["tooltip"] for i, a in nodes.items() if i.startswith("n"))


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_can_not_be_drawn_is_refused(circuit, said, tmp_path):
    refused(dot.write, tmp_path / "c.dot", circuit, said)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("circuit", [mixed(0), hostile(), empty()])
def test_graphviz_draws_it(circuit, tmp_path):
    path = dot.write(circuit, tmp_path / "c.dot")
    done = subprocess.run(["dot", "-Tsvg", path], capture_output=True, text=True, check=True)
    assert done.stdout.count('class="node"') >= len(circuit.nodes)
