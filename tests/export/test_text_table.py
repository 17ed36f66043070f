"""The terminal table, and the formats that the package registers."""

import dataclasses
import re
import subprocess
import sys

import pytest
from any_circuits import circuits
from drawn_circuits import edge, empty, realistic
from hypothesis import given, settings

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Circuit, Faithfulness, Node
from circuitspex.errors import UserError


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_tables_fit_100_columns(circuit):
    assert max(len(line) for line in circuit.table().splitlines()) <= 100


def test_tables_say_what_was_found():
    table = realistic(30).table()
    for said in (
        "smollm2-135m · ioi (logit_diff)",
        "R² 0.961 [0.944, 0.973] on 200 held-out masks",
        "100 gradient ablations",
        "Not distinguishable from 0 by themselves (",
        "positive interaction",
        "negative interaction",
        "1 interaction was measured again, did not replicate, and was dropped.",
        "only the circuit kept",
        "50 random circuits",
    ):
        assert said in table
    lines = table.splitlines()
    many = realistic(60).table()
    told = int(re.search(r"Components \((\d+)\)", many)[1])
    assert told > 20
    assert f"… and {told - 20} weaker" in many
    strongest = next(line for line in lines if line.startswith("  L23H3 "))
    assert "+2.90  [+2.78, +3.02]" in strongest
    assert "\x1b" not in table


def test_columns_are_aligned():
    lines = realistic(30).table().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Components ("))
    rows = [line for line in lines[start + 3 : start + 20] if "[" in line]
    assert len({line.index("]") for line in rows}) == 1


def test_small_and_large_effects_keep_three_digits():
    for scale, said in ((1e-3, "+0.00123"), (1e3, "+1234")):
        nodes = (Node("L1H1", 1, "head", 1.234 * scale),)
        assert said in Circuit(nodes, (), Faithfulness(None, None, None, 0)).table()


def test_empty_circuits_have_a_table():
    table = empty().table()
    assert "Components: none" in table
    assert "Interactions: none" in table


def test_long_interactions_are_cut():
    names = [f"L{i}N{i * 1000}:{i * 1000 + 999}@-12" for i in range(10, 18)]
    nodes = tuple(Node(name, i + 10, "neurons", 1.0) for i, name in enumerate(names))
    table = Circuit(nodes, (edge(names, 1.0),), Faithfulness(None, None, None, 0)).table()
    assert max(len(line) for line in table.splitlines()) <= 100
    assert "…" in table


def test_formats_are_registered(tmp_path):
    assert {"html", "json", "pdf", "png", "svg", "text"} <= set(formats.names())
    with pytest.raises(UserError, match="unknown format 'gif' of a circuit; known: "):
        realistic(3).export("gif", tmp_path / "c.gif")
    path = realistic(3).export("text", tmp_path / "c.txt")
    assert path.read_text(encoding="utf-8") == realistic(3).table()


def test_a_type_of_ones_own_is_written_as_what_it_inherits_from(tmp_path):
    class Mine(Circuit):
        pass

    mine = Mine(**{field.name: getattr(realistic(3), field.name) for field in dataclasses.fields(Circuit)})
    assert mine.table() == realistic(3).table()
    assert (
        mine.export("dot", tmp_path / "mine.dot").read_bytes()
        == realistic(3).export("dot", tmp_path / "c.dot").read_bytes()
    )


def test_importing_the_package_is_quick():
    code = (
        "import sys, circuitspex.export; "
        "print([m for m in ('matplotlib', 'jsonschema', 'numpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib" not in done.stdout
    assert "jsonschema" not in done.stdout
