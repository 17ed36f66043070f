"""``find_circuit`` on tiny random models: what it returns holds together, and wrong calls are one clear line."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import Circuit, find_circuit
from circuitspex.circuits.evidence._replicate import RATE
from circuitspex.errors import UserError
from circuitspex.export.files.circuit import to_json

QUICK: dict[str, Any] = {"budget": 40, "n_heldout": 40, "n_contexts": 12, "n_random": 4, "max_nodes": 6}


def quiet_find(*args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random models can't do the task
        return find_circuit(*args, **{**QUICK, "max_interactions": 4, "progress": False, **options})


@pytest.fixture(scope="module")
def found(tiny: SimpleNamespace) -> Any:
    model = tiny.bridge("llama")
    return quiet_find(model, tiny.task(model, (5, 5, 5, 5)))


def test_nodes_and_edges_are_measured_and_replicate(found: Any) -> None:
    circuit = found.circuit
    names = {node.name for node in circuit.nodes}
    assert names <= set(found.interactions.names)
    assert names
    for node in circuit.nodes:
        assert node.measured is not None
        assert node.measured.low <= node.measured.value <= node.measured.high
    for edge in circuit.interactions:
        assert set(edge.components) <= names
        assert edge.measured is not None
        assert edge.q <= RATE
        assert len(edge.table) == 2 ** len(edge.components)
        assert edge.measured.value == pytest.approx(np.mean(edge.per_prompt))
        assert np.sign(edge.measured.value) == np.sign(edge.decoded)
        assert edge.relation.is_claimed
        assert (edge.pair is None) == (edge.order > 2)
        assert len(edge.unablated) == len(edge.table)
    for edge in circuit.dropped:
        assert edge.measured is not None
        assert edge.q > RATE or np.sign(edge.measured.value) != np.sign(edge.decoded)


def test_faithfulness_is_that_of_masks_no_fit_has_seen(found: Any, tiny: SimpleNamespace) -> None:
    used = {row.tobytes() for row in found.run.masks}
    assert found.faithfulness.n_masks <= QUICK["n_heldout"]
    assert found.faithfulness.low <= found.faithfulness.r2 <= found.faithfulness.high
    model = tiny.bridge("llama")
    task, _ = tiny.task(model, (5, 5, 5, 5)).split(0.25, seed=0)
    game = cx.ComponentGame(model, task)
    fresh = cx.sample_masks(game.n_players, 400, seed=99)
    fresh = fresh[[row.tobytes() not in used for row in fresh]]
    again = found.interactions.score(fresh, game(fresh))
    assert again.low <= found.faithfulness.high
    assert found.faithfulness.low <= again.high


def test_the_gradients_of_a_tiny_model_explain_it(found: Any) -> None:
    assert found.faithfulness.r2 > 0.7


def test_a_part_of_the_prompts_is_held_out(found: Any) -> None:
    assert found.circuit.task["n_prompts"] == 3
    assert found.verification.n_prompts == 1
    assert found.verification.n_components == len(found.circuit.nodes)


def test_the_run_says_what_it_cost(found: Any, tiny: SimpleNamespace) -> None:
    run = found.circuit.run
    assert found.circuit.model["identity"] == cx.model_identity(tiny.bridge("llama"))
    assert run["gradient_ablations"] == run["budget"] == QUICK["budget"]
    assert run["plain_ablations"] == 0
    assert run["measurement_ablations"] > 0
    assert run["n_components"] == 12
    assert set(run["timings"]) == {"ablate", "decode", "held_out", "measure", "directions", "verify"}


@pytest.mark.long
def test_the_same_seed_gives_the_same_circuit_and_another_seed_another(tiny: SimpleNamespace, found: Any) -> None:
    model = tiny.bridge("llama")

    def content(result: Any) -> dict[str, Any]:
        data = to_json(result.circuit)
        del data["run"]["timings"], data["run"]["peak_memory_bytes"]  # all that may differ
        return data

    again = quiet_find(model, tiny.task(model, (5, 5, 5, 5)))
    assert content(again) == content(found)
    assert (again.interactions.coefficients == found.interactions.coefficients).all()
    other = quiet_find(model, tiny.task(model, (5, 5, 5, 5)), seed=1)
    assert content(other) != content(found)


def test_it_survives_a_round_trip_through_a_file(found: Any, tmp_path: Any) -> None:
    assert Circuit.load(found.circuit.save(tmp_path / "circuit.json")) == found.circuit


def test_it_draws_itself(found: Any) -> None:
    shown = found.circuit._repr_mimebundle_()
    assert "<svg" in shown["text/html"]
    assert found.circuit.nodes[0].name in shown["text/plain"]
    assert found.circuit.nodes[0].name in found._repr_html_()
    assert repr(found) == found.circuit.table()


def test_a_metric_without_gradients_falls_back_to_values(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 5, 5, 5), metric=lambda logits: logits.detach()[:, 7])
    result = quiet_find(model, task)
    assert result.interactions.method == "auto"
    assert result.interactions.n_gradients == 0
    assert result.circuit.run["gradient_ablations"] == 0
    with pytest.raises(UserError, match="no gradient"):
        quiet_find(model, task, method="gradspex")


@pytest.mark.parametrize("method", ["linear", "proxyspex", "gp", "pursuit", "spex", "gradspex"])
@pytest.mark.parametrize("components", ["mlps", "layers[1:].heads+mlps", "L1.neurons:12"])
@pytest.mark.some(4)
def test_every_method_on_every_kind_of_component(tiny: SimpleNamespace, method: str, components: str) -> None:
    model = tiny.bridge("gemma3")
    result = quiet_find(model, tiny.task(model), components, method=method, baseline="resample")
    assert result.interactions.method == method
    assert all(node.kind in ("head", "mlp", "neurons") for node in result.circuit.nodes)


def test_all_masks_used_leaves_nothing_to_hold_out(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    result = quiet_find(model, tiny.task(model), ["L0H0", "L1H1"], budget=60)
    assert (result.faithfulness.n_masks, result.faithfulness.exact) == (4, True)
    assert "exact over all 4 masks" in str(result.faithfulness)


def test_one_prompt_is_enough_but_then_nothing_is_verified(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    assert quiet_find(model, tiny.task(model, (6,))).verification is None


def test_a_model_that_cannot_do_the_task_is_warned_of(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    task = tiny.task(model, (5, 5, 5, 5))
    worst = task.subset([i for i in range(4) if not task.subset([i]).accuracy(model)] or [0])
    if worst.accuracy(model) > 0:
        worst = cx.Task.from_examples(
            model, [cx.Example(e.prompt, e.counterfactual, e.wrong_answer, e.answer) for e in worst.examples]
        )
    with pytest.warns(UserWarning, match="answers only 0%"):
        find_circuit(model, worst, **QUICK, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "budget must be at least 2"),
        ({"keep": 0.0}, "keep must lie between 0 and 1"),
        ({"keep": 1.0}, "keep must lie between 0 and 1"),
        ({"n_heldout": 0}, "n_heldout must be at least"),
        ({"components": "L40H0"}, "has 3 layers, L0 to L2"),
        ({"components": []}, "selects no components"),
        ({"baseline": "median"}, "allowed: zero, mean, mean_vector, resample"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"executor": "rocket"}, "unknown executor 'rocket'"),
    ],
)
def test_wrong_calls_are_one_clear_line(tiny: SimpleNamespace, options: dict[str, Any], message: str) -> None:
    model = tiny.bridge("llama")
    with pytest.raises(UserError, match=message) as error:
        quiet_find(model, tiny.task(model), **options)
    assert "\n" not in str(error.value)


def test_held_out_prompts_of_another_metric_are_refused(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task, other = tiny.task(model), tiny.task(model, seed=1)
    said = r"measure .answer_prob. and the task .logit_diff.; give heldout.with_metric\(task.metric\)"
    with pytest.raises(UserError, match=said):
        quiet_find(model, task, heldout=other.with_metric("answer_prob"))
    ours, theirs = (task.with_metric(lambda logits, k=k: logits[:, k]) for k in (0, 1))
    with pytest.raises(UserError, match="two functions of one name"):
        quiet_find(model, ours, heldout=theirs)


def test_a_metric_that_gives_nan_is_named(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")

    def broken(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, 0] * float("nan")

    with pytest.raises(UserError, match=r"broken.*nan"):
        quiet_find(model, tiny.task(model, metric=broken))


def test_gradients_under_no_grad_are_refused(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    with torch.no_grad(), pytest.raises(UserError, match="needs autograd"):
        quiet_find(model, tiny.task(model))
