"""CSV: both tables read back exactly, keep to RFC 4180, and no cell is a formula."""

import csv
import io

import pytest
from any_circuits import circuits
from drawn_circuits import empty
from hypothesis import given, settings
from test_dot import HOSTILE, damaged, hostile, mixed, refused

from circuitspex.circuits.circuit import Circuit, Direction, Estimate, Faithfulness, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.export.graphs import csv as csv_tables
from circuitspex.text import cell


def rows(text):
    """The rows of a table as dictionaries; every row must be as wide as the header."""
    table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in table} == {len(table[0])}
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


def nodes_of(text):
    return {
        Node(row["component"], int(row["layer"]), row["kind"], float(row["decoded"]), _measured(row))
        for row in rows(text)
    }


def edges_of(text):
    found = set()
    for row in rows(text):
        members = [row[key] for key in row if key.startswith("component_") and row[key]]
        assert len(members) == int(row["order"])
        q = float(row["q"]) if row["q"] else None
        edge = Interaction(
            tuple(sorted(members)), float(row["decoded"]), _measured(row), q=q, direction=_direction(row)
        )
        assert (row["relation"], float(row["effect"])) == (edge.relation.word, edge.effect)
        found.add(edge)
    return found


def _direction(row):
    if not row["path_from"]:
        assert row["path_share"] == ""
        return None
    share = Estimate(*(float(row[key]) for key in ("path_share", "path_low", "path_high")))
    return Direction(row["path_from"], row["path_to"], share)


def _wanted(circuit):
    return {
        Interaction(tuple(sorted(e.components)), e.decoded, e.measured, q=e.q, direction=e.direction)
        for e in circuit.interactions
    }


def _measured(row):
    assert row["measured"] in ("true", "false")
    if row["measured"] == "false":
        assert (row["low"], row["high"], row["effect"]) == ("", "", row["decoded"])
        return None
    return Estimate(float(row["effect"]), float(row["low"]), float(row["high"]))


@pytest.mark.parametrize("seed", range(8))
def test_both_files_read_back_exactly(seed, tmp_path):
    circuit = mixed(seed)
    path = csv_tables.write(circuit, tmp_path / "found.csv")
    beside = tmp_path / "found.interactions.csv"
    assert sorted(tmp_path.iterdir()) == sorted([path, beside])
    assert nodes_of(path.read_bytes().decode()) == set(circuit.nodes)
    assert edges_of(beside.read_bytes().decode()) == _wanted(circuit)


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_reads_back(circuit):
    assert nodes_of(csv_tables.components_table(circuit)) == set(circuit.nodes)
    assert edges_of(csv_tables.interactions_table(circuit)) == _wanted(circuit)


def test_strongest_first_and_lines_end_as_the_standard_says():
    table = csv_tables.components_table(mixed(2))
    effects = [abs(float(row["effect"])) for row in rows(table)]
    assert effects == sorted(effects, reverse=True)
    assert table.endswith("\r\n")
    assert "\n" not in table.replace("\r\n", "")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "'=1", "\n=1"])
def test_no_cell_is_a_formula(name):
    circuit = Circuit(
        (Node(name, 1, "head", -1.0), Node("L1H1", 1, "head", 1.0)),
        (Interaction((name, "L1H1"), -2.0),),
        Faithfulness(None, None, None, 0),
    )
    for table, keys in (
        (csv_tables.components_table(circuit), ["component"]),
        (csv_tables.interactions_table(circuit), ["component_1", "component_2"]),
    ):
        cells = [row[key] for row in rows(table) for key in keys]
        assert f"'{name}" in cells
        assert "L1H1" in cells
    assert rows(csv_tables.interactions_table(circuit))[0]["effect"] == "-2.0"


def test_names_of_any_kind_stay_in_their_cells(tmp_path):
    path = csv_tables.write(hostile(), tmp_path / "c.csv")
    cells = [row["component"].removeprefix("'") for row in rows(path.read_bytes().decode())]
    replaced = [cell(name).removeprefix("'") for name in HOSTILE]
    assert all(each.isprintable() for name in replaced for each in name.split())
    assert sorted(cells) == sorted(replaced)


@pytest.mark.parametrize(
    ("name", "beside"), [("a.csv", "a.interactions.csv"), ("a.CSV", "a.interactions.csv"), ("a", "a.interactions.csv")]
)
def test_where_the_interactions_go(name, beside, tmp_path):
    assert csv_tables.interactions_path(tmp_path / name) == tmp_path / beside


def test_an_empty_circuit_has_two_headers():
    assert csv_tables.components_table(empty()) == "component,layer,kind,effect,low,high,measured,decoded\r\n"
    assert csv_tables.interactions_table(empty()).startswith("component_1,component_2,order,label,effect,")


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="can't write"):
        csv_tables.write(mixed(0), tmp_path / "file" / "c.csv")


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_has_no_table_is_refused(circuit, said, tmp_path):
    refused(csv_tables.write, tmp_path / "c.csv", circuit, said)
    assert not list(tmp_path.iterdir())
