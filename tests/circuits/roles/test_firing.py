"""Which neurons fire on which tokens, and what they write, against plain Hugging Face modules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from plain_model import plain_and_bridge, read

from circuitspex.circuits.about import Firing
from circuitspex.circuits.roles import firing as module
from circuitspex.circuits.roles.firing import MOST_TOKENS, MOST_UNITS, fires
from circuitspex.circuits.roles.neuron_writes import neuron_writes
from circuitspex.circuits.roles.subject import Subject
from circuitspex.circuits.roles.writes import writes
from circuitspex.components import Latents, parse_component
from circuitspex.tasks import Task


def subject_of(model: Any, task: Task, *names: str, **options: Any) -> Subject:
    return Subject(model, task, tuple(parse_component(name) for name in names), **options)


def by_hand(task: Task, values: torch.Tensor, unit: int, where: list[int]) -> list[tuple[str, int, int, float]]:
    """Token by token: the largest activation of each kind of token, at these positions."""
    best: dict[int, tuple[str, int, int, float]] = {}
    for prompt in range(task.n_prompts):
        for position in where:
            token, value = int(task.tokens[prompt, position]), float(values[prompt, position, unit])
            if token not in best or abs(value) > abs(best[token][3]):
                best[token] = (f"w{token - 3}", prompt, position, value)
    return sorted(best.values(), key=lambda one: -abs(one[3]))[:MOST_TOKENS]


def check(
    found: tuple[Firing, ...] | str, task: Task, values: torch.Tensor, units: list[str], where: list[int]
) -> None:
    assert isinstance(found, tuple)
    assert list(dict.fromkeys(one.unit for one in found)) == units
    for unit in units:
        number = int(unit.rpartition("N")[2].rpartition("S")[2])
        own = [one for one in found if one.unit == unit]
        expected = by_hand(task, values, number, where)
        assert [(one.token, one.prompt, one.position) for one in own] == [one[:3] for one in expected]
        np.testing.assert_allclose([one.activation for one in own], [one[3] for one in expected], atol=1e-4)


FAMILIES = ("gpt2", "llama", "gemma2", "gpt_neox", "qwen3")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_neurons_that_write_most_are_shown_where_they_fire(family: str, tiny: SimpleNamespace) -> None:
    both = plain_and_bridge(family)
    task = tiny.task(both.bridge, (6, 6, 6))
    found = fires(subject_of(both.bridge, task, "L1M", "L0H1", "L2N3:9", "L2N20@-1"))
    assert list(found) == ["L1M", "L2N3:9", "L2N20@-1"]
    place = (1, "neurons")
    values = read(both.plain, task.tokens, [place, (2, "neurons")], {})
    written = slopes_by_hand(both.plain, task, 1) * values[place][:, -1].double()
    order = written.mean(0).abs().argsort(descending=True)[:MOST_UNITS].tolist()
    check(found["L1M"], task, values[place], [f"L1N{unit}" for unit in order], list(range(6)))
    for one in found["L1M"]:
        assert isinstance(one, Firing)
        assert one.direct == pytest.approx(float(written[:, int(one.unit[3:])].mean()), abs=1e-4)
    of_range = slopes_by_hand(both.plain, task, 2) * values[2, "neurons"][:, -1].double()
    order = (of_range[:, 3:9].mean(0).abs().argsort(descending=True)[:MOST_UNITS] + 3).tolist()
    check(found["L2N3:9"], task, values[2, "neurons"], [f"L2N{unit}" for unit in order], list(range(6)))
    check(found["L2N20@-1"], task, values[2, "neurons"], ["L2N20"], [5])


def slopes_by_hand(plain: Any, task: Task, layer: int) -> torch.Tensor:
    """What a neuron's activation of 1 writes straight into the logit difference, with the scales of norms as they were.

    The output projection's column, then the norm after it where there is one, then the final norm, then the answers.
    """
    from plain import at

    block = at(plain.model, f"{plain.family.layers}.{layer}")
    projection = at(block, plain.family.neurons)
    weight = projection.weight.detach().double()
    columns = weight if type(projection).__name__ == "Conv1D" else weight.T  # neurons, d_model
    answers = plain.model.get_output_embeddings().weight.detach().double()
    directions = answers[task.answers] - answers[task.wrong_answers]
    final = next(m for name, m in reversed(list(plain.model.named_modules())) if name.endswith(("norm", "ln_f")))
    seen: dict[Any, torch.Tensor] = {}
    norms = [final] if plain.family.mlp == "mlp" else [at(block, plain.family.mlp), final]
    handles = [m.register_forward_hook(lambda m, args, out: seen.update({m: args[0][:, -1].double()})) for m in norms]
    with torch.no_grad():
        plain.model(input_ids=task.tokens)
    for handle in handles:
        handle.remove()
    moved = columns.expand(task.n_prompts, *columns.shape)
    for norm in norms:
        x, w = seen[norm], norm.weight.detach().double()
        if hasattr(norm, "bias"):
            scale = 1 / (x.var(-1, unbiased=False) + norm.eps).sqrt()
            moved = (moved - moved.mean(-1, keepdim=True)) * scale[:, None, None] * w
        else:
            eps = getattr(norm, "eps", None) or norm.variance_epsilon
            scale = 1 / (x.square().mean(-1) + eps).sqrt()
            moved = moved * scale[:, None, None] * (1 + w if "Gemma" in type(norm).__name__ else w)
    return torch.einsum("pnd,pd->pn", moved, directions)


@pytest.mark.parametrize("family", FAMILIES)
def test_neurons_add_up_to_what_their_component_writes(family: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge(family)
    task = tiny.task(model, (5, 4, 5, 6))
    subject = subject_of(model, task, "L1N0:48", "L2N5:17")
    of_neurons = neuron_writes(subject, frozenset({1, 2}))
    assert of_neurons is not None
    written = writes(subject).of
    for name, own in (("L1N0:48", of_neurons[1]), ("L2N5:17", of_neurons[2][:, 5:17])):
        whole = written[name]
        assert not isinstance(whole, str)
        np.testing.assert_allclose(own.sum(1), whole.per_prompt, atol=2e-4)


def test_where_writing_is_not_known_the_most_active_are_shown(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = plain_and_bridge("llama")
    task = tiny.task(both.bridge, (6, 6, 6))
    monkeypatch.setattr(module, "neuron_writes", lambda *_: None)
    found = fires(subject_of(both.bridge, task, "L1M"))["L1M"]
    values = read(both.plain, task.tokens, [(1, "neurons")], {})[1, "neurons"]
    order = values.abs().amax(1).mean(0).argsort(descending=True)[:MOST_UNITS].tolist()
    check(found, task, values, [f"L1N{unit}" for unit in order], list(range(6)))
    assert all(isinstance(one, Firing) and one.direct is None for one in found)


def test_latents_fire_where_their_own_activations_are(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task, width = tiny.task(model, (5, 5, 5)), int(model.cfg.d_model)
    generator = torch.Generator().manual_seed(1)
    encoder, decoder = torch.randn(width, 12, generator=generator), torch.randn(12, width, generator=generator)
    latents = Latents("blocks.1.hook_resid_post", encoder, decoder)
    found = fires(subject_of(model, task, "L1S2:11", latents=(latents,)))["L1S2:11"]
    seen: list[torch.Tensor] = []
    model.run_with_hooks(
        task.tokens.to(model.cfg.device), fwd_hooks=[(latents.hook, lambda x, hook: seen.append(x.detach().cpu()))]
    )
    values = torch.relu(seen[0] @ encoder)
    order = (values[..., 2:11].amax(1).mean(0).argsort(descending=True)[:MOST_UNITS] + 2).tolist()
    assert isinstance(found, tuple)
    assert list(dict.fromkeys(one.unit for one in found)) == [f"L1S{unit}" for unit in order]
    for one in found:
        unit = int(one.unit[3:])
        assert one.activation == pytest.approx(float(values[one.prompt, one.position, unit]), rel=1e-5)
        assert one.activation > 0
        assert one.direct is None


def test_experts_say_why_and_their_neurons_fire(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("mixtral")
    task = tiny.task(model, (5, 4, 5))
    found = fires(subject_of(model, task, "L1M", "L1E2N3:7", "L0E1", "L0H2"))
    assert list(found) == ["L1M", "L1E2N3:7"]
    why = found["L1M"]
    assert isinstance(why, str)
    assert why.startswith("layer 1 is a mixture of experts: its neurons have no hook")
    assert ";" not in why  # nor what to ablate instead
    own = found["L1E2N3:7"]
    assert isinstance(own, tuple)
    assert {one.unit for one in own} <= {f"L1E2N{i}" for i in range(3, 7)}
    assert own
    assert fires(subject_of(model, task, "L0H2")) == {}
