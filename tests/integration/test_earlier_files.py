"""Every file of earlier versions is still read, and says what it said."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import formats
from circuitspex.circuits.comparison import Series
from circuitspex.components import Latents

FOLDER = Path(__file__).parents[1] / "fixtures" / "formats"


def content(name: str) -> dict:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["circuit.json", "circuit_version_1.json", "circuit_version_2.json"])
def test_circuits_of_all_versions(name: str) -> None:
    circuit, written = cx.Circuit.load(FOLDER / name), content(name)
    assert [node.name for node in circuit.nodes] == [node["name"] for node in written["nodes"]]
    assert [node.decoded for node in circuit.nodes] == [node["decoded"] for node in written["nodes"]]
    assert [one.components for one in circuit.interactions] == [tuple(edge["components"]) for edge in written["edges"]]
    assert [one.measured is None for one in circuit.interactions] == [
        edge["measured"] is None for edge in written["edges"]
    ]
    assert circuit.verification is not None
    assert circuit.faithfulness.r2 == written["faithfulness"]["r2"]


def same_but_for_the_version(path: Path, name: str) -> bool:
    """Circuits are of version 5 now and comparisons of 2, which only add; what earlier files said is written again."""
    now = path.read_text(encoding="utf-8")
    was = (FOLDER / name).read_text(encoding="utf-8")
    circuit = '"format": "circuitspex.circuit",'
    assert was.count(circuit) == now.count(circuit) > 0
    now = re.sub(rf'({circuit}\s*"version": )5', r"\g<1>3", now)
    return re.sub(r'("format": "circuitspex.comparison",\s*"version": )2', r"\g<1>1", now) == was


def test_a_circuit_is_written_as_it_was(tmp_path: Path) -> None:
    cx.Circuit.load(FOLDER / "circuit.json").save(tmp_path / "again.json")
    assert same_but_for_the_version(tmp_path / "again.json", "circuit.json")


def test_comparison(tmp_path: Path) -> None:
    comparison = cx.Comparison.load(FOLDER / "comparison.json")
    assert [list(change.components) for change in comparison.changes] == [
        change["components"] for change in content("comparison.json")["changes"]
    ]
    comparison.save(tmp_path / "again.json")
    assert same_but_for_the_version(tmp_path / "again.json", "comparison.json")


def test_series(tmp_path: Path) -> None:
    series = formats.read(Series, FOLDER / "series.json")
    assert [point.name for point in series.points] == [point["name"] for point in content("series.json")["points"]]
    series.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (FOLDER / "series.json").read_bytes()


def test_prompt(tmp_path: Path) -> None:
    prompt = cx.PromptMap.load(FOLDER / "prompt.json")
    assert [word.name for word in prompt.words] == [word["name"] for word in content("prompt.json")["words"]]
    prompt.save(tmp_path / "again.json")
    assert same_but_for_the_version(tmp_path / "again.json", "prompt.json")


def test_scores_of_the_peers_graph() -> None:
    sizes = formats.read(cx.Circuit, FOLDER / "eap.json", "eap")  # the file does not say what its signs mean
    assert {node.name: node.effect for node in sizes.nodes}["L1H2"] == pytest.approx(0.3)
    assert not any(node.signed for node in sizes.nodes)
    circuit = formats.read(cx.Circuit, FOLDER / "eap.json", "eap", sign="ablation")
    effects = {node.name: node.effect for node in circuit.nodes}
    assert effects["L0H1"] == pytest.approx(0.5)
    assert effects["L1H2"] == pytest.approx(-0.3)


def test_interactions(tmp_path: Path) -> None:
    found = cx.Interactions.load(FOLDER / "interactions.json")
    assert found.names == tuple("abcdef")
    assert found.coefficient("a") == pytest.approx(2, abs=0.2)
    assert found.coefficient("b", "c") == pytest.approx(-1, abs=0.2)
    found.save(tmp_path / "again.json")
    assert cx.Interactions.load(tmp_path / "again.json").terms == found.terms


def test_store(tmp_path: Path) -> None:
    path = Path(shutil.copy(FOLDER / "store.sqlite", tmp_path))

    def never(masks: np.ndarray) -> np.ndarray:
        raise AssertionError("a stored ablation was run again")

    game = cx.FunctionGame(never, 6, store=path, identity="fixture")
    masks = cx.sample_masks(6, 60, seed=0)[:10]
    run = game.evaluate(masks, progress=False)
    assert np.array_equal(run.values, np.where(masks[:, 0], 1.0, -1.0))


def test_latents() -> None:
    latents = Latents.load(FOLDER / "latents.safetensors")
    assert latents.n_latents == 6
