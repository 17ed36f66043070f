"""Mermaid: the lines are read back by a small grammar; limits of GitHub; names that try to break out."""

import random
import re

import pytest
from any_circuits import circuits
from drawn_circuits import edge, empty, node
from hypothesis import given, settings
from test_dot import HOSTILE, damaged, hostile, mixed, refused

from circuitspex.circuits.circuit import Circuit, Faithfulness
from circuitspex.export.drawing.style import printable
from circuitspex.export.graphs import mermaid

_LABEL = r'"([^"\n]*)"'
_GRAMMAR = {
    "open": re.compile(rf"  subgraph (layer\d+) \[{_LABEL}\]"),
    "close": re.compile(r"  end"),
    "node": re.compile(rf" +([nj]\d+|note)(?:\(\[{_LABEL}\]\)|\[{_LABEL}\]|\{{\{{{_LABEL}\}}\}})(?::::(\w+))"),
    "link": re.compile(rf"  ([nj]\d+) ---(?:\|{_LABEL}\|)? ([nj]\d+)"),
    "order": re.compile(r"  (layer\d+) ~~~ (layer\d+)"),
    "class": re.compile(r"  classDef (\w+) fill:[#\w]+,stroke:[#\w]+(?:,stroke-dasharray:5 3)?"),
    "style": re.compile(r"  linkStyle ([\d,]+) stroke:(#\w+),stroke-width:2px(,stroke-dasharray:5 3)?"),
}


def parse(text):
    """A diagram as its lines by kind; fails on a line that is no Mermaid."""
    head, title, end, flow, *lines = text.rstrip("\n").split("\n")
    assert (head, end, flow) == ("---", "---", "flowchart BT")
    assert re.fullmatch(r'title: "(?:[^"\\]|\\.)*"', title)
    found = {kind: [] for kind in _GRAMMAR}
    depth = 0
    for line in lines:
        kind, match = next(((k, m) for k, g in _GRAMMAR.items() if (m := g.fullmatch(line))), (None, None))
        assert kind, line
        found[kind].append([group for group in match.groups() if group is not None])
        depth += (kind == "open") - (kind == "close")
        assert depth in (0, 1)
    assert depth == 0
    declared = [n[0] for n in found["node"]]
    assert len(declared) == len(set(declared))
    assert {end for link in found["link"] for end in (link[0], link[-1])} <= set(declared)
    assert {n[-1] for n in found["node"]} <= {c[0] for c in found["class"]}
    styled = [int(i) for s in found["style"] for i in s[0].split(",")]
    assert sorted(styled) == list(range(len(found["link"])))
    assert len(found["link"]) + len(found["order"]) <= 500
    assert len(text.encode("utf-16-le")) // 2 <= 50_000
    return found


def _is_component(line):
    return re.fullmatch(r"n\d+", line[0])


def plain(label):
    """A label as it is shown."""
    assert not re.search(r"[<>&`\\;]", re.sub(r"#\d+;", "", label).replace("<br/>", ""))
    return re.sub(r"#(\d+);", lambda m: chr(int(m[1])), label)


@pytest.mark.parametrize("seed", range(8))
def test_every_part_is_there_with_its_sign(seed):
    circuit = mixed(seed)
    found = parse(mermaid.render(circuit))
    names = {n[0]: plain(n[1]).split("<br/>")[0] for n in found["node"] if _is_component(n)}
    assert set(names.values()) == {n.name for n in circuit.nodes}
    looks = {names[n[0]]: n[-1] for n in found["node"] if n[0] in names}
    for part in circuit.nodes:
        sign = "negative" if part.effect < 0 else "positive"
        assert looks[part.name] == sign + ("" if part.measured else "Estimate")
    dashed = {int(i) for s in found["style"] if len(s) == 3 for i in s[0].split(",")}
    pairs, joints = {}, {}
    for i, (a, *label, b) in enumerate(found["link"]):
        if label:
            pairs[frozenset((names[a], names[b]))] = (i in dashed, plain(label[0]))
        else:
            joint, member = (a, b) if a.startswith("j") else (b, a)
            joints.setdefault(joint, set()).add((names[member], i in dashed))
    for e in circuit.interactions:
        if e.order == 2:
            negative, label = pairs.pop(frozenset(e.components))
            assert negative == (e.effect < 0)
            assert label.endswith(e.relation.short)
        else:
            members = {(name, e.effect < 0) for name in e.components}
            assert members in joints.values()
    assert not pairs
    assert len(joints) == sum(e.order > 2 for e in circuit.interactions)


def test_names_can_not_break_out():
    found = parse(mermaid.render(hostile()))
    shown = {plain(n[1]).split("<br/>")[0] for n in found["node"] if _is_component(n)}
    assert shown == {printable(name) for name in HOSTILE}
    assert len(found["link"]) == 4 + 3 + 1 + 1


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_parses(circuit):
    found = parse(mermaid.render(circuit))
    assert len([n for n in found["node"] if _is_component(n)]) == len(circuit.nodes)


@pytest.mark.parametrize(("n", "m"), [(900, 0), (60, 900), (600, 2000), (1, 0)])
def test_large_circuits_stay_within_the_limits_and_say_so(n, m):
    rng = random.Random(n)
    names = [f"L{i % 40}H{i // 40}" for i in range(n)]
    effects = {name: rng.gauss(0, 1) for name in names}
    sets = {frozenset(rng.sample(names, 2 + (i % 9 == 0))) for i in range(m)}
    circuit = Circuit(
        tuple(node(name, effect) for name, effect in effects.items()),
        tuple(edge(sorted(s), rng.gauss(0, 1)) for s in sorted(sets, key=sorted)),
        Faithfulness(None, None, None, 0),
    )
    found = parse(mermaid.render(circuit))
    kept = {plain(part[1]).split("<br/>")[0] for part in found["node"] if _is_component(part)}
    assert kept
    weakest = min(abs(effects[name]) for name in kept)
    assert all(abs(effects[name]) <= weakest for name in names if name not in kept)
    note = [plain(part[1]) for part in found["node"] if part[0] == "note"]
    if n == 1:
        assert note == []
    else:
        assert note[0].startswith("only the strongest: ")
        assert (f"{len(kept)} of {n} components" in note[0]) == (len(kept) < n)


def test_an_empty_circuit_says_so(tmp_path):
    found = parse(mermaid.write(empty(), tmp_path / "c.mmd").read_text(encoding="utf-8"))
    assert found["node"] == [["note", "empty circuit: no component was kept", "note"]]


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_can_not_be_drawn_is_refused(circuit, said, tmp_path):
    refused(mermaid.write, tmp_path / "c.mmd", circuit, said)
