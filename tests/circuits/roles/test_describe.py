"""``circuit.describe``: every measurement together, on every family; what does not fit is refused in one line."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import circuitspex as cx
from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.models import model_identity


def circuit_of(model: Any, names: Sequence[str], pairs: Sequence[tuple[str, str]] = (), **run: Any) -> Circuit:
    """A circuit of these components, as a search on this model would give."""
    kinds = {"H": "head", "M": "mlp", "N": "neurons"}
    nodes = [Node(name, int(name[1]), kinds[name[2]], 1.0, Estimate(1.0, 0.9, 1.1)) for name in names]
    return Circuit(
        tuple(nodes),
        tuple(Interaction(pair, 0.5) for pair in pairs),
        Faithfulness(0.9, 0.8, 0.95, 50),
        model={"name": "tiny", "identity": model_identity(model)},
        run={"lens": "components", "baseline": "mean", **run},
    )


NAMES = ["L0H1", "L1H0", "L1M", "L2H3", "L2M"]
PAIRS = [("L0H1", "L2H3"), ("L2M", "L0H1"), ("L1H0", "L1M")]


@pytest.mark.some(3)
def test_every_family(model: Any, tiny: SimpleNamespace) -> None:
    task = tiny.task(model, (6, 6, 6, 6))
    found = circuit_of(model, NAMES, PAIRS).describe(model, task, progress=False)
    assert list(found) == NAMES
    assert found.n_prompts == 4
    assert (found.model, found.task) == (model_identity(model), task.identity)
    for about in found.components:
        assert about.where, about.name
        assert about.writes is not None or any("writes" in why for why in about.lacks)
        assert (about.looks is None) == (about.kind != "head")
        assert (about.patterns is None) == (about.kind != "head")
    fed = {(each.source, each.target) for about in found.components for each in about.feeds}
    assert fed == {("L0H1", "L2H3"), ("L0H1", "L2M")}  # what is in one layer does not feed
    assert [each.source for each in found["L2H3"].reads] == ["L0H1"]
    parts = found.breakdown
    assert parts is not None
    total = sum(part.value.value for part in parts.parts) + parts.remainder.value
    assert total == pytest.approx(parts.total.value, abs=1e-4)
    assert parts.total.value == pytest.approx(difference(model, task), abs=1e-4)
    again = circuit_of(model, NAMES, PAIRS).describe(model, task, progress=False)
    assert replace(again, timings={}) == replace(found, timings={})


def difference(model: Any, task: cx.Task) -> float:
    """The mean logit difference by Hugging Face's module alone."""
    with torch.no_grad():
        logits = model.original_model(task.tokens.to(next(model.parameters()).device)).logits[:, -1].cpu()
    rows = torch.arange(len(logits))
    return float((logits[rows, task.answers] - logits[rows, task.wrong_answers]).mean())


def test_some_of_the_components_and_one_node(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 5, 5))
    circuit = circuit_of(model, NAMES, PAIRS)
    some = circuit.describe(model, task, only=["L2H3"], progress=False)
    assert list(some) == ["L2H3"]
    assert [each.source for each in some["L2H3"].reads] == ["L0H1"]  # the other end need not be asked for
    assert circuit.node("L2H3").about(model, task, progress=False) == some["L2H3"]
    with pytest.raises(UserError, match=r"was not taken from a circuit: circuit.node\('L2H3'\)"):
        circuit.nodes[3].about(model, task)


def test_prompts_of_several_lengths(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    circuit = circuit_of(model, NAMES, PAIRS)
    several = circuit.describe(model, tiny.task(model, (4, 6, 5, 6)), progress=False)
    assert several.breakdown is not None
    looks = several["L2H3"].looks
    assert looks is not None
    assert sorted(len(row) for row in looks.per_prompt) == [4, 5, 6, 6]


def test_a_search_its_description_and_the_file(tiny: SimpleNamespace, tmp_path: Any) -> None:
    model = tiny.bridge("qwen3")
    task = tiny.task(model, (5,) * 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cx.find_circuit(model, task, "heads+mlps", "resample", 30, n_heldout=16, n_contexts=4, progress=False)
    described = found.circuit.described(found.circuit.describe(model, task, progress=False))
    again = Circuit.load(described.save(tmp_path / "circuit.json"))
    assert again == described
    assert "What " in str(again.description)
    # Some of the prompts were held out, so that the circuit's record has not all of them.
    assert [each["prompt"] for each in again.described_prompts] == list(task.prompts)


def test_prompts_other_than_those_of_the_circuit_come_with_the_description(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    circuit, task = circuit_of(model, NAMES), tiny.task(model, (5, 5), seed=3)
    kept = {"identity": task.identity, "prompts": [{"prompt": "kept"}] * 2}
    same = replace(circuit, task=kept).describe(model, task, only=["L0H1"], progress=False)
    assert same.prompts == ()
    for record in ({}, {**kept, "identity": "other"}):
        found = replace(circuit, task=record).describe(model, task, only=["L0H1"], progress=False)
        assert [each["prompt"] for each in found.prompts] == list(task.prompts)
        assert replace(circuit, task=record).described(found).described_prompts == found.prompts


def test_what_does_not_fit_is_one_line(tiny: SimpleNamespace) -> None:
    model, other = tiny.bridge("llama"), tiny.bridge("llama", seed=1)
    task = tiny.task(model, (5, 5))
    circuit = circuit_of(model, NAMES)
    cases: list[tuple[Circuit, dict[str, Any], str]] = [
        (replace(circuit, run={"lens": "tokens"}), {}, "no circuit of single components of a model"),
        (replace(circuit, nodes=()), {}, "the circuit has no components"),
        (circuit, {"only": ["L0H0"]}, "L0H0 is not in this circuit; its components are L0H1"),
        (circuit, {"baseline": "median"}, "unknown baseline 'median'"),
        (circuit, {"seed": -1}, "seed"),
        (circuit_of(model, ["L0H9"]), {}, "L0H9: layer 0 of"),
        (circuit_of(model, ["L9H0"]), {}, "3 layers"),
        (circuit_of(model, ["L0H1@7"]), {}, "L0H1@7: "),
    ]
    for wrong, options, says in cases:
        with pytest.raises(UserError, match=says) as error:
            wrong.describe(model, task, progress=False, **options)
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(UserError, match="has other weights than the model that the circuit was found in"):
        circuit.describe(other, task)
    with pytest.raises(UserError, match="needs at least two prompts"):
        circuit.describe(model, tiny.task(model, (5,)))
    with pytest.raises(UserError, match="a task is a Task"):
        circuit.describe(model, 5)
    found = circuit.describe(model, task, only=["L0H1"], progress=False)
    with pytest.raises(UserError, match="it has L0H1, which this circuit has not"):
        circuit_of(model, ["L1H0"]).described(found)


def test_nothing_is_left_on_the_model(tiny: SimpleNamespace, hooks_left: Any) -> None:
    model = tiny.fresh_bridge("gemma2")
    before = hooks_left(model)
    task = tiny.task(model, (5, 5))
    first = model(task.tokens)
    circuit_of(model, NAMES, PAIRS).describe(model, task, progress=False)
    assert hooks_left(model) == before
    assert torch.equal(model(task.tokens), first)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_of_many_positions_the_largest_are_kept(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.bridge("llama")
    circuit, task = circuit_of(model, ["L2H3"]), tiny.task(model, (12, 12, 12))
    whole = circuit.describe(model, task, progress=False)["L2H3"].where
    monkeypatch.setattr("circuitspex.circuits.roles._describe.MOST_POSITIONS", 5)
    few = circuit.describe(model, task, progress=False)["L2H3"].where
    assert len(few) == 5 < len(whole)
    assert [at for at in whole if at in few] == list(few)
    assert {at.name for at in whole if at.effect is not None} <= {at.name for at in few}
    left = [abs(at.slope.value) for at in whole if at not in few]
    assert max(left) <= min(abs(at.slope.value) for at in few if at.effect is None)


def test_a_metric_without_slopes_is_measured_everywhere(tiny: SimpleNamespace) -> None:
    """Kullback-Leibler has its minimum at the unablated model: its slopes there are rounding."""
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 5), metric="kl")
    found = circuit_of(model, ["L0H1", "L2M"]).describe(model, task, progress=False)
    for about in found.components:
        assert all(at.effect is not None for at in about.where)


def test_pairs_that_end_at_an_expert_are_left_out(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("mixtral")
    circuit = circuit_of(model, ["L0H1", "L2H1"], [("L0H1", "L1E2"), ("L0H1", "L2H1")])
    found = circuit.describe(model, tiny.task(model, (5, 5)), progress=False)
    assert [feed.target for feed in found["L0H1"].feeds] == ["L2H1"]


def test_too_few_texts_give_no_copying_score_and_all_can_be_written(tiny: SimpleNamespace, tmp_path: Any) -> None:
    model = tiny.bridge("llama")
    circuit, task = circuit_of(model, ["L0H1"]), tiny.task(model, (1, 1, 4))
    found = circuit.describe(model, task, progress=False)
    writes = found["L0H1"].writes
    assert writes is not None
    assert writes.copying is None
    described = circuit.described(found)
    assert Circuit.load(described.save(tmp_path / "circuit.json")).description == found
    described.to_html(tmp_path / "circuit.html")


def test_a_description_of_other_prompts_is_not_taken_for_one_of_the_circuits(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    circuit, task = circuit_of(model, ["L0H1"]), tiny.task(model, (5, 5), seed=3)
    kept = {"prompts": [{"prompt": "kept"}] * 2}
    found = replace(circuit, task={**kept, "identity": task.identity}).describe(model, task, progress=False)
    with pytest.raises(UserError, match="of other prompts than this circuit's"):
        replace(circuit, task={**kept, "identity": "another"}).described(found)


def test_outputs_that_were_asked_for_leave_the_model_what_it_was(tiny: SimpleNamespace) -> None:
    model = tiny.fresh_bridge("gpt2")
    task = tiny.task(model, (5, 5))
    circuit = circuit_of(model, ["L0H1"])
    model.run_with_cache(task.tokens.to(next(model.parameters()).device))
    assert circuit.describe(model, task, progress=False).model == circuit.model["identity"]
