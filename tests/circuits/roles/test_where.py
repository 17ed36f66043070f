"""What components do at each position: slopes against finite differences, effects against plain Hugging Face hooks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from plain_model import metric, plain_and_bridge, put, read

from circuitspex.circuits.roles.places import places_of
from circuitspex.circuits.roles.positions import MOST_ABLATED, where
from circuitspex.circuits.roles.rows import measuring
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Latents, parse_component, select
from circuitspex.errors import NoGradientError
from circuitspex.games import ComponentGame
from circuitspex.tasks import Example, Metric, Task

NAMES = ("L0H1", "L1H2", "L1M", "L2H3@-1", "L2H0")


def task_with(model: Any, spans: list[dict[str, Any]], lengths: list[int] | None = None) -> Task:
    """Random words; the positions of each prompt are named."""
    lengths = lengths or [6] * len(spans)
    examples = [
        Example(
            " ".join(f"w{(7 * i + 3 * k) % 50}" for k in range(n)),
            " ".join(f"w{(5 * i + 4 * k + 1) % 50}" for k in range(n)),
            f" w{50 + i % 4}",
            f" w{54 + i % 4}",
            positions=positions,
        )
        for i, (n, positions) in enumerate(zip(lengths, spans, strict=True))
    ]
    return Task.from_examples(model, examples, group_by_length=len(set(lengths)) > 1)


def subject_of(model: Any, task: Task, names: Any = NAMES, **options: Any) -> Subject:
    return Subject(model, task, tuple(parse_component(name) for name in names), **options)


@pytest.mark.some(3)
@pytest.mark.parametrize("baseline", ["mean", "resample", "zero"])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_slopes_are_those_of_central_differences(
    family: str, baseline: str, tiny: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")  # after the model has been made
    task = task_with(model, [{"x": 1}, {"x": 1}, {"x": 1}])
    subject = subject_of(model, task, baseline=baseline)
    with measuring(subject) as (rows,):
        found = rows.slopes()
        for number, component in enumerate(subject.components):
            for position in range(6):
                step, values = 1e-4, []
                for sign in (1, -1):
                    gates = rows.gates(3)
                    gates[:, number, position] += sign * step
                    values.append(rows.run(gates, torch.arange(3)))
                own = component.position is None or component.position % 6 == position
                expected = (values[0] - values[1]) / (2 * step) * own
                np.testing.assert_allclose(found[:, number, position], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.some(3)
@pytest.mark.parametrize("baseline", ["mean", "resample"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gpt_neox", "qwen3"])
def test_effects_are_those_of_plain_hooks(family: str, baseline: str) -> None:
    """Each token by itself, where all prompts have the named ones at the same place."""
    both = plain_and_bridge(family)
    plain, task = both.plain, task_with(both.bridge, [{"x": 2, "pair": [3, 4]}] * 4)
    found = where(subject_of(both.bridge, task, baseline=baseline))
    tokens = task.reference_tokens if baseline == "mean" else task.counterfactual_tokens
    whole = metric(plain, task, {})
    for name in NAMES:
        component = parse_component(name)
        place = component.layer, component.kind
        other = read(plain, tokens, [place], {})[place]
        other = other.mean(0, keepdim=True) if baseline == "mean" else other
        columns = plain.columns(component.kind, component.start, component.stop, other.shape[-1])
        ats = found[name]
        if component.position is None:
            assert [at.name for at in ats] == ["token 0", "token 1", "x", "pair 1/2", "pair 2/2", "END"]
            assert [at.index for at in ats] == list(range(6))
        else:
            assert [(at.name, at.index) for at in ats] == [("END", 5)]
        measured = [at for at in ats if at.effect is not None]
        assert 1 <= len(measured) <= MOST_ABLATED
        assert measured[0].effect is not None
        largest = max(ats, key=lambda at: abs(at.slope.value))
        assert largest.effect is not None
        for at in measured:
            assert at.effect is not None
            assert at.index is not None
            values = (whole - metric(plain, task, {place: put(columns, other, [[at.index]] * 4)})).numpy()
            assert at.effect.value == pytest.approx(values.mean(), abs=2e-4)
            assert at.effect.low < values.mean() < at.effect.high


def test_named_positions_are_where_each_prompt_has_them() -> None:
    both = plain_and_bridge("llama")
    spans = [{"x": 1, "y": [2, 3]}, {"x": 2, "y": [3, 4]}, {"x": 1, "y": [2, 3]}, {"x": 0, "y": [1]}]
    lengths = [6, 6, 5, 6]
    task = task_with(both.bridge, spans, lengths)
    places = places_of(task)
    assert [place.name for place in places] == ["x", "y", "END", "elsewhere"]
    assert [place.index for place in places] == [None] * 4
    assert places[3].tokens == ((0, 4), (0, 1), (0,), (2, 3, 4))
    subject = subject_of(both.bridge, task, ("L0H1", "L1M", "L1H2@-1"), baseline="resample")
    found = where(subject)
    assert [at.name for at in found["L1H2@-1"]] == ["END"]
    for name in ("L0H1", "L1M"):
        component = parse_component(name)
        place = component.layer, component.kind
        columns = both.plain.columns(component.kind, component.start, component.stop, 32)
        for at, where_ in zip(found[name], places, strict=True):
            if at.effect is None:
                continue
            values = []
            for prompt, length in enumerate(lengths):
                other = read(both.plain, task.counterfactual_tokens[[prompt], :length], [place], {})[place]
                edit = put(columns, other, [where_.tokens[prompt]])
                pair = [metric(both.plain, task, edits, [prompt]) for edits in ({}, {place: edit})]
                values.append(float(pair[0] - pair[1]))
            assert at.effect.value == pytest.approx(np.mean(values), abs=2e-4)


def test_one_length_is_not_enough_for_tokens_by_index(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    moved = places_of(task_with(model, [{"x": 1, "y": 3}, {"x": 2, "y": 3}]))
    assert [(place.name, place.index) for place in moved] == [
        ("token 0", 0),
        ("x", None),
        ("y", 3),
        ("token 4", 4),
        ("END", 5),
        ("elsewhere", None),
    ]
    assert moved[-1].tokens == ((2,), (1,))  # named in the other prompt
    swapped = places_of(task_with(model, [{"x": 1, "y": 3}, {"x": 3, "y": 1}]))
    assert [place.name for place in swapped] == ["token 0", "x", "y", "token 2", "token 4", "END"]
    nameless = places_of(task_with(model, [{}, {}], [4, 5]))
    assert [place.name for place in nameless] == ["END", "elsewhere"]
    twice = places_of(task_with(model, [{"x": 1, "again": 1, "last": -1}, {"x": 2, "again": 2, "last": -1}]))
    assert [place.name for place in twice] == ["token 0", "x", "token 3", "token 4", "last", "elsewhere"]


def test_slopes_add_up_to_those_of_whole_components(tiny: SimpleNamespace) -> None:
    """Every kind that the model has, latents and experts too: by position, and summed over prompts, as the engine."""
    for family, selector in (("llama", "heads+mlps+neurons:16+L1.residuals"), ("mixtral", "experts+experts.neurons:8")):
        model = tiny.bridge(family)
        width = int(model.cfg.d_model)
        generator = torch.Generator().manual_seed(1)
        latents = Latents(
            "blocks.1.hook_resid_post",
            torch.randn(width, 12, generator=generator),
            torch.randn(12, width, generator=generator),
        )
        extra = [parse_component("L1S2"), parse_component("L1S5:9")]
        task = task_with(model, [{}, {}, {}, {}], [5, 5, 4, 5])
        for baseline in ("mean", "resample"):
            chosen = [*select(Subject(model, task, ()).structure, selector), *extra]
            subject = Subject(model, task, tuple(chosen), baseline, (latents,))
            with measuring(subject) as groups:
                total = sum(rows.slopes().sum((0, 2)) for rows in groups) / 4
            game = ComponentGame(model, task, chosen, baseline, latents=latents, executor="hooks")
            run = game.evaluate(np.ones((1, len(chosen))), gradients=True, progress=False)
            expected = np.asarray(run.gradients)[0]
            np.testing.assert_allclose(total, expected, atol=2e-4 * np.abs(expected).max())


def test_an_effect_at_all_tokens_is_that_of_the_engine(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt_neox")
    task = task_with(model, [{}] * 3)
    subject = subject_of(model, task, baseline="resample")
    game = ComponentGame(model, task, list(subject.components), "resample", executor="hooks")
    expected = game.evaluate(1 - np.eye(len(NAMES)), progress=False).per_prompt
    with measuring(subject) as (rows,):
        for number in range(len(NAMES)):
            gates = rows.gates(3)
            gates[:, number] = 0
            np.testing.assert_allclose(rows.run(gates, torch.arange(3)), expected[number], atol=1e-4)
        np.testing.assert_allclose(rows.plain, game.evaluate(np.ones((1, len(NAMES)))).per_prompt[0], atol=1e-4)


@pytest.mark.parametrize("baseline", ["mean", "resample", "zero"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gpt_neox", "qwen3"])
@pytest.mark.some(6)
def test_the_fast_way_gives_what_hooks_give(family: str, baseline: str, tiny: SimpleNamespace) -> None:
    """Random gates, rows of any prompts in any order, and other outputs in place of the baseline."""
    model = tiny.bridge(family)
    task = task_with(model, [{}] * 4, [6, 6, 5, 6])
    names = (*NAMES[1:], "L0H1@2", "L2N3:7", "L1N9")
    generator = torch.Generator().manual_seed(4)
    with measuring(subject_of(model, task, names, baseline=baseline)) as groups:
        for rows in groups:
            assert rows.fast is not None
            plain = replace(rows, fast=None)
            gates = torch.rand(9, len(names), rows.group.length, generator=generator).round(decimals=1)
            late = rows.gates(9)
            late[:5, :, -2:] = gates[:5, :, -2:]
            late[5:8, 3:, -1:] = 0
            prompts = torch.randint(rows.n_prompts, (9,), generator=generator)
            z = torch.randn(9, rows.group.length, 4, 8, generator=generator)
            for some in (gates, late):
                for instead in ({}, {rows.site(2).hook: z}):
                    found, expected = (each.run(some, prompts, instead=instead) for each in (rows, plain))
                    np.testing.assert_allclose(found, expected, atol=2e-4)
            np.testing.assert_allclose(rows.slopes(), plain.slopes(), atol=5e-4 * np.abs(plain.slopes()).max())


def test_a_metric_without_a_gradient_is_one_line(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")

    def first(logits: torch.Tensor, rows: Any) -> torch.Tensor:
        return logits.argmax(-1).float()

    task = task_with(model, [{}, {}]).with_metric(Metric("first", first))
    with pytest.raises(NoGradientError, match="metric 'first' has no gradient"):
        where(subject_of(model, task))


def test_a_metric_against_the_clean_logits(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = task_with(model, [{}] * 3).with_metric("kl")
    found = where(subject_of(model, task))
    game = ComponentGame(model, task, ["L1H2@-1"], executor="hooks")
    last = found["L1H2"][-1]
    assert last.effect is None or last.effect.value == pytest.approx(
        -game.evaluate(np.zeros((1, 1)), progress=False).values[0], abs=1e-5
    )
    assert any(at.effect is not None for at in found["L1M"])


def test_nothing_stays_on_the_model_and_nothing_is_asked_of_no_components(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = task_with(model, [{}, {}])
    before, wanted = model(task.tokens), [parameter.requires_grad for parameter in model.parameters()]
    assert where(Subject(model, task, ())) == {}
    where(subject_of(model, task))
    assert torch.equal(model(task.tokens), before)
    assert not any("forward" in block.__dict__ for block in model.blocks)
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted


@pytest.mark.parametrize("baseline", ["mean", "resample"])
def test_answers_of_several_tokens_have_a_place(baseline: str, tiny: SimpleNamespace) -> None:
    """All places together are the whole component, and its tokens after the prompt are one of them."""
    model = tiny.bridge("llama")
    texts = [" ".join(f"w{(7 * i + 3 * k + j) % 50}" for k in range(6)) for i in range(3) for j in (0, 2)]
    answers = [(" w50 w51", " w52 w53 w54"), (" w51 w50", " w55 w50 w51"), (" w52 w51", " w53 w53 w50")]
    examples = [Example(*texts[2 * i : 2 * i + 2], *answers[i], positions={"x": 2}) for i in range(3)]
    task = Task.from_examples(model, examples, metric="logprob_diff")
    names = ("L0H1", "L1M", "L2H3@-1")
    subject = subject_of(model, task, names, baseline=baseline)
    found = where(subject)
    assert [at.name for at in found["L0H1"]] == [
        "token 0",
        "token 1",
        "x",
        "token 3",
        "token 4",
        "END",
        "answer tokens",
    ]
    assert [at.name for at in found["L2H3@-1"]] == ["END"]
    game = ComponentGame(model, task, list(subject.components), baseline, executor="hooks")
    run = game.evaluate(np.ones((1, 3)), gradients=True, progress=False)
    assert run.gradients is not None
    for name, slope in zip(names, np.asarray(run.gradients)[0], strict=True):
        assert sum(at.slope.value for at in found[name]) == pytest.approx(slope, abs=1e-4)
    alone = found["L2H3@-1"][0].effect
    assert alone is not None
    off = game.evaluate(1 - np.eye(3), progress=False).values
    assert alone.value == pytest.approx(run.values[0] - off[2], abs=1e-4)
    with measuring(subject) as (rows,):
        assert rows.n_sequences == 2
        gates = rows.gates(6)
        gates[:3, 0], gates[3:, 1] = 0, 0
        for each in (rows, replace(rows, fast=None)):
            values = each.run(gates, torch.tensor([2, 0, 1, 0, 1, 2]))
            expected = game.evaluate(1 - np.eye(3), progress=False).per_prompt
            np.testing.assert_allclose(values, [*expected[0][[2, 0, 1]], *expected[1]], atol=1e-4)
