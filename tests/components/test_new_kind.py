"""A kind of component that is added by an entry of the table alone is in all that the package does with kinds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex.registry
from circuitspex import Circuit, ComponentGame
from circuitspex.ablation.sites import Site
from circuitspex.circuits import Faithfulness, Node, formats
from circuitspex.components import (
    KINDS,
    Component,
    Kind,
    LayerStructure,
    ModelStructure,
    Part,
    model_structure,
    parse_component,
    select,
)
from circuitspex.errors import ComponentError, FileFormatError, UserError
from circuitspex.export.drawing.style import kind_order, legend_of, shape_of
from circuitspex.registry import Table

NORM = Kind(
    letter="Ln",
    word="norms",
    form="whole",
    singular="norm before the MLP",
    plural="norms before the MLP",
    order=65,
    hook="ln2.hook_out",
    shape="square",
)


def _pattern(kind: Kind, view: Any) -> Part:
    """Heads are on the second axis there."""
    shape = view.shape(kind.hook, 4)
    if shape is None:
        return Part(why=f"has {kind.lack}")
    return Part(shape[1], view.name(kind.hook), width=shape[3])


PATTERN = Kind(
    letter="H",
    suffix=".pattern",
    word="heads.pattern",
    form="one",
    singular="attention pattern",
    plural="attention patterns",
    hook="attn.hook_pattern",
    find=_pattern,
    site=lambda part, layer, kind, members: HeadsFirst(part.hook, layer, kind, part.n_units, members),
)
SELECTED = "norms+L1H0+L2H2.pattern+L0M"


class HeadsFirst(Site):
    """Units on the second axis, and positions on the third."""

    def read(self, activation: Any) -> Any:
        return activation.transpose(1, 2)

    def gate(self, activation: Any, gates: Any, index: Any, baseline: Any) -> Any:
        return super().gate(activation.transpose(1, 2), gates, index, baseline).transpose(1, 2)


@pytest.fixture
def table(monkeypatch) -> Table[Kind]:
    """The table with both kinds, and as it was afterwards."""
    monkeypatch.setattr(KINDS, "_entries", dict(KINDS._entries))
    KINDS.add("norm", NORM)
    KINDS.add("pattern", PATTERN)
    return KINDS


def test_it_has_names_selectors_and_errors(table, tiny):
    structure = model_structure(tiny.bridge("llama"))
    assert [str(c) for c in select(structure, "norms@-1")] == ["L0Ln@-1", "L1Ln@-1", "L2Ln@-1"]
    assert [str(c) for c in select(structure, "L1.heads.pattern")] == [f"L1H{i}.pattern" for i in range(4)]
    for text in ("L2Ln", "L2Ln@3", "L0H3.pattern@-2"):
        assert str(parse_component(text)) == text
    assert parse_component("L2Ln") == Component(2, "norm")
    for wrong, message in (
        ("L1Ln0", "'L5Ln' (norm before the MLP)"),
        ("L7Ln", "L7Ln: tiny-llama has 3 layers"),
        ("norms:2", "only neurons, neurons of experts and latents come in groups"),
        ("norm", "'norms'"),
        ("norms+L1Ln@2", "L1Ln and L1Ln@2 overlap"),
    ):
        with pytest.raises(ComponentError) as caught:
            select(structure, wrong)
        assert message in str(caught.value)
    none = ModelStructure("tiny-odd", (LayerStructure({}),))
    with pytest.raises(ComponentError, match="layer 0 of tiny-odd has no attention patterns with a hook"):
        select(none, "heads.pattern")


@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_a_game_gates_it_like_plain_hooks(table, tiny, baseline, hooks_left):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    game = ComponentGame(model, task, SELECTED, baseline)
    assert "not L0Ln (norm)" in game.executor
    gates = np.random.default_rng(0).choice([0.0, 0.3, 1.0], size=(5, game.n_players))
    expected = [_by_hand(model, task, game.names, baseline, row) for row in gates]
    for executor in ("auto", "hooks"):
        found = ComponentGame(model, task, SELECTED, baseline, executor=executor).evaluate(gates, progress=False)
        np.testing.assert_allclose(found.values, expected, atol=1e-4)
    assert hooks_left(model) == {}


def _by_hand(model: Any, task: Any, names: Any, baseline: str, row: Any) -> float:
    """The mean logit difference with every component gated in its own hook."""
    hooks = {
        "L1H0": "blocks.1.attn.hook_z",
        "L2H2.pattern": "blocks.2.attn.hook_pattern",
        "L0M": "blocks.0.hook_mlp_out",
    }
    hooks |= {f"L{k}Ln": f"blocks.{k}.ln2.hook_out" for k in range(3)}
    places = {"L1H0": (slice(None), slice(None), 0), "L2H2.pattern": (slice(None), 2)}
    seen: dict[str, Any] = {}
    other = {"mean": task.reference_tokens, "resample": task.counterfactual_tokens, "zero": task.tokens}[baseline]
    with torch.no_grad():
        looks = [(hook, lambda z, hook: seen.update({hook.name: z.clone()})) for hook in hooks.values()]
        model.run_with_hooks(other, fwd_hooks=looks)

        def gate(name: str, g: float) -> Any:
            def run(z: Any, hook: Any) -> Any:
                base = seen[hook.name] * (baseline != "zero")
                base = (base.mean(0, keepdim=True) if baseline == "mean" else base).expand_as(z)
                z, where = z.clone(), places.get(name, slice(None))
                z[where] = base[where] + g * (z - base)[where]
                return z

            return run

        gated = [(hooks[name], gate(name, float(g))) for name, g in zip(names, row, strict=True)]
        logits = model.run_with_hooks(task.tokens, fwd_hooks=gated)[:, -1]
    right, wrong = (logits.gather(1, answers[:, None]) for answers in (task.answers, task.wrong_answers))
    return float((right - wrong).mean())


def _circuit() -> Circuit:
    nodes = (Node("L1Ln", 1, "norm", 0.5), Node("L2H2.pattern", 2, "pattern", -0.25), Node("L0M", 0, "mlp", 1.0))
    return Circuit(nodes, (), Faithfulness(0.9, 0.8, 1.0, 20), run={"components": SELECTED})


def test_a_circuit_with_it_comes_back_from_its_file(table, tmp_path: Path):
    assert Circuit.load(_circuit().save(tmp_path / "circuit.json")) == _circuit()


def test_a_file_with_it_is_refused_where_it_is_not_known(tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KINDS, "_entries", {**KINDS._entries, "norm": NORM, "pattern": PATTERN})
        path = _circuit().save(tmp_path / "circuit.json")
    with pytest.raises(FileFormatError, match=r"nodes\[\d\].name: 'L1Ln' is not a component"):
        Circuit.load(path)


@pytest.mark.parametrize("name", sorted(set(formats.names("Circuit")) - {"eap", "json"}))
def test_a_circuit_with_it_is_written_in_every_format(table, tmp_path: Path, name):
    path = _circuit().export(name, tmp_path / f"circuit.{formats.ending('Circuit', name)}")
    assert path.stat().st_size > 0
    if name in ("svg", "html", "dot", "mermaid", "graphml", "gexf", "neuronpedia"):
        assert "L1Ln" in path.read_text(encoding="utf-8")


def test_it_is_drawn_in_its_place_with_its_mark(table):
    assert (shape_of("norm"), shape_of("pattern")) == ("square", "diamond")
    assert kind_order("attention") < kind_order("norm") < kind_order("mlp") < kind_order("pattern")
    assert ("norm", "norm before the MLP") in legend_of({"norm", "head"})


def test_another_package_adds_one_by_an_entry_point(monkeypatch, tiny):
    class Point:
        name, value, dist = "norm", "theirs.kinds:NORM", None

        def load(self) -> Kind:
            return NORM

    monkeypatch.setattr(KINDS, "_entries", dict(KINDS._entries))
    monkeypatch.setattr(KINDS, "_others", None)
    monkeypatch.setattr(circuitspex.registry, "entry_points", lambda group: [Point()] if group == KINDS.group else [])
    assert list(KINDS)[-1] == "norm"
    assert [str(c) for c in select(model_structure(tiny.bridge("llama")), "norms")] == ["L0Ln", "L1Ln", "L2Ln"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("letter", "ln", "'ln' can't be a part of the names of norms before the MLP; one like 'H' can"),
        ("letter", "L2", "'L2' can't be a part of the names"),
        ("suffix", "q", "one like '.q' can"),
        ("word", "layers", "one like 'heads' can"),
        ("shape", "star", "unknown shape 'star' for norms before the MLP; allowed: circle, square"),
    ],
)
def test_an_entry_that_can_not_be_is_refused(field, value, message):
    with pytest.raises(UserError) as caught:
        dataclasses.replace(NORM, **{field: value})
    assert message in str(caught.value)


def test_the_docs_list_every_kind():
    page = (Path(__file__).parents[2] / "docs" / "components.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, kind in KINDS.items():
        written = f"`L5{kind.letter}"
        assert any(written in row and kind.suffix in row for row in rows), name
        assert any(f"`{kind.word}`" in row for row in rows), name
        assert not kind.hook or any(kind.hook.rpartition(".")[2] in row or name == "expert" for row in rows), name
