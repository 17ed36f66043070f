"""Path patching by way of entry against plain Hugging Face modules with plain hooks, one step at a time."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from plain_model import metric, plain_and_bridge, put, read

from circuitspex.circuits.roles.feeds import WAYS, feeds
from circuitspex.circuits.roles.rows import measuring
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Latents, parse_component
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame
from circuitspex.tasks import Example, Task


def subject_of(model: Any, task: Task, names: Any, **options: Any) -> Subject:
    return Subject(model, task, tuple(parse_component(name) for name in names), **options)


def by_hand(plain: Any, task: Task, source: str, target: str, baseline: str) -> dict[str, np.ndarray]:
    """The definition: run without the source, run the attention on some of that, run with the head's output of that."""
    one, two = parse_component(source), parse_component(target)
    at, to = (one.layer, one.kind), (two.layer, two.kind)
    tokens = task.reference_tokens if baseline == "mean" else task.counterfactual_tokens
    other = read(plain, tokens, [at], {})[at]
    other = other.mean(0, keepdim=True) if baseline == "mean" else other
    where = None if one.position is None else [[one.position]] * task.n_prompts
    without = {at: put(plain.columns(one.kind, one.start, one.stop, other.shape[-1]), other, where)}
    ways = WAYS if two.kind == "head" else ()
    # One module may give queries, keys and values: each is read in a pass of its own.
    entered = {way: read(plain, task.tokens, [(two.layer, way)], without)[two.layer, way] for way in ways}
    outputs = {"total": read(plain, task.tokens, [to], without)[to]}
    for way in ways:
        n_units = plain.family.n_heads if way == "query" else plain.family.n_key_heads or plain.family.n_heads
        unit = two.start * n_units // plain.family.n_heads
        # A norm over all heads comes after the projections of OLMo 2: a head's own query is made of all of them.
        units = (0, n_units) if plain.family.config == "Olmo2Config" else (unit, unit + 1)
        columns = plain.columns(way, *units, entered[way].shape[-1])
        outputs[way] = read(plain, task.tokens, [to], {(two.layer, way): put(columns, entered[way])})[to]
    whole = metric(plain, task, {})
    found = {}
    for way, output in outputs.items():
        columns = plain.columns(two.kind, two.start, two.stop, output.shape[-1])
        place = None if two.position is None else [[two.position]] * task.n_prompts
        found[way] = (whole - metric(plain, task, {to: put(columns, output, place)})).numpy()
    return found


FAMILIES = ("gpt2", "llama", "gemma2", "gpt_neox", "qwen3", "falcon", "olmo2", "phi3", "youtu")
PAIRS = (("L0H1", "L1H2"), ("L0M", "L2H1"), ("L0H1", "L2M"), ("L0H1", "L2H3"), ("L1H2", "L1M"), ("L0H3@1", "L2H0@-1"))


@pytest.mark.some(6)
@pytest.mark.parametrize("baseline", ["mean", "resample"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_way_is_what_plain_hooks_give(family: str, baseline: str, tiny: SimpleNamespace) -> None:
    both = plain_and_bridge(family)
    task = tiny.task(both.bridge, (6, 6, 6))
    names = list(dict.fromkeys(name for pair in PAIRS for name in pair))
    found = feeds(subject_of(both.bridge, task, names, baseline=baseline), PAIRS)
    largest = 0.0
    for pair, feed in zip(PAIRS, found, strict=True):
        expected = by_hand(both.plain, task, *pair, baseline)
        assert (feed.source, feed.target) == pair
        for way, values in expected.items():
            estimate = getattr(feed, way)
            assert estimate.value == pytest.approx(values.mean(), abs=3e-4), (pair, way)
            half = (values.std(ddof=1) / math.sqrt(3)) * 4.3027
            assert estimate.high - estimate.value == pytest.approx(half, abs=2e-3)
        if len(expected) == 4:
            rest = expected["total"] - sum(expected[way] for way in WAYS)
            assert feed.remainder is not None
            assert feed.remainder.value == pytest.approx(rest.mean(), abs=1e-3)
            largest = max(largest, *(abs(expected[way].mean()) for way in WAYS))
        else:
            assert (feed.query, feed.key, feed.value, feed.remainder, feed.through) == (*[None] * 4, "input")
    assert largest > 1e-2


def test_prompts_of_several_lengths_are_each_patched_alone(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task, names = tiny.task(model, (5, 4, 5, 6)), ("L0H1", "L2H2")
    (found,) = feeds(subject_of(model, task, names, baseline="resample"), [names])
    each = [feeds(subject_of(model, task.subset([i]), names, baseline="resample"), [names])[0] for i in range(4)]
    for way in ("total", *WAYS, "remainder"):
        values = [getattr(one, way).value for one in each]
        assert getattr(found, way).value == pytest.approx(np.mean(values), abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "mixtral"])
def test_the_total_is_what_the_engine_patches(family: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge(family)
    task, names = tiny.task(model, (5, 5, 5)), ("L0H1", "L0M", "L1H0", "L2H2", "L2M")
    subject = subject_of(model, task, names)
    pairs = [(names[i], names[j]) for i, j in ((0, 2), (1, 3), (0, 4), (2, 4))]
    game = ComponentGame(model, task, list(subject.components))
    ones = np.ones((1, len(names)), dtype=bool)
    whole = game.evaluate(ones, progress=False).values[0]
    for (source, target), feed in zip(pairs, feeds(subject, pairs), strict=True):
        patched = game.patched(ones, names.index(source), names.index(target), progress=False)
        assert feed.total.value == pytest.approx(whole - patched.mean(), abs=1e-4)


def test_without_a_prefix_the_numbers_are_the_same(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.bridge("gemma2")
    task, names = tiny.task(model, (6, 6, 6)), ("L0H1", "L1H2", "L2M")
    pairs = [("L0H1", "L1H2"), ("L1H2", "L2M")]
    short = feeds(subject_of(model, task, names), pairs)
    monkeypatch.setattr("circuitspex.circuits.roles.rows.why_not", lambda *_: "told so")
    long = feeds(subject_of(model, task, names), pairs)
    for one, two in zip(short, long, strict=True):
        assert one.total.value == pytest.approx(two.total.value, abs=1e-5)


def test_latents_are_fed_too(tiny: SimpleNamespace) -> None:
    """What they write in the run without the source takes the place of what they write."""
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 5, 5))
    generator = torch.Generator().manual_seed(1)
    width = int(model.cfg.d_model)
    latents = Latents(
        "blocks.1.hook_resid_post",
        torch.randn(width, 8, generator=generator),
        torch.randn(8, width, generator=generator),
    )
    subject = subject_of(model, task, ("L0H1", "L1S2:6"), latents=(latents,), baseline="zero")
    (found,) = feeds(subject, [("L0H1", "L1S2:6")])
    assert (found.query, found.through) == (None, "input")
    kept: dict[str, torch.Tensor] = {}

    def off(z: torch.Tensor, hook: Any) -> torch.Tensor:
        z = z.clone()
        z[:, :, 1] = 0
        return z

    def written(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ latents.encoder[:, 2:6]) @ latents.decoder[2:6]

    def patch(x: torch.Tensor, hook: Any) -> torch.Tensor:
        return x + kept["without"] - written(x)

    hook = latents.hook
    model.run_with_hooks(
        task.tokens,
        fwd_hooks=[("blocks.0.attn.hook_z", off), (hook, lambda x, hook: kept.update(without=written(x)))],
    )
    plain, patched = model(task.tokens)[:, -1], model.run_with_hooks(task.tokens, fwd_hooks=[(hook, patch)])[:, -1]
    change = plain - patched
    expected = (change.gather(1, task.answers[:, None]) - change.gather(1, task.wrong_answers[:, None])).mean()
    assert found.total.value == pytest.approx(float(expected), abs=1e-4)
    assert abs(float(expected)) > 1e-3


def test_what_cannot_be_is_one_line(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("mixtral")
    task = tiny.task(model, (5, 5, 5))
    subject = subject_of(model, task, ("L0H1", "L1H2", "L1H3", "L1E2", "L1M"))
    assert feeds(subject, []) == ()
    for pair, words in (
        (("L0H1", "L2H7"), "L2H7: layer 2 of tiny-mixtral has 4 heads, H0 to H3"),
        (("L0H1", "nothing"), "'nothing' is not a component"),
        (("L1H2", "L0H1"), "nothing travels from L1H2 to L0H1: it must be in a later layer"),
        (("L1H2", "L1H3"), "nothing travels from L1H2 to L1H3: it must be in a later layer"),
        (("L1M", "L1H3"), "nothing travels from L1M to L1H3: it must be in a later layer"),
        (("L0H1", "L1E2"), "path patching can't end at L1E2: it is no activation of the model"),
    ):
        with pytest.raises(UserError, match=words):
            feeds(subject, [pair])


def test_pairs_may_have_ends_that_are_not_described(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task, pair = tiny.task(model, (5, 5, 5)), ("L0H1", "L2H2")
    assert feeds(subject_of(model, task, ("L2H2",)), [pair]) == feeds(subject_of(model, task, pair), [pair])


def test_parts_of_the_rows_are_put_together(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.bridge("llama")
    task, names = tiny.task(model, (5,) * 5), ("L0H1", "L2H2")
    (whole,) = feeds(subject_of(model, task, names), [names])
    monkeypatch.setattr("circuitspex.circuits.roles.rows.rows_that_fit", lambda *_, **__: 3)
    (parts,) = feeds(subject_of(model, task, names), [names])
    for way in ("total", *WAYS):
        assert getattr(parts, way).value == pytest.approx(getattr(whole, way).value, abs=1e-5)


def test_nothing_stays_on_the_model(tiny: SimpleNamespace, hooks_left: Any) -> None:
    model = tiny.bridge("llama")
    task, names = tiny.task(model, (5, 5)), ("L0H1", "L2H2")
    before = hooks_left(model)
    subject = subject_of(model, task, names)
    feeds(subject, [names])
    assert hooks_left(model) == before
    with measuring(subject) as first, measuring(subject) as second:
        assert first is second  # made once


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_answers_of_several_tokens_are_patched_as_the_engine_does(family: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge(family)
    texts = [" ".join(f"w{(7 * i + 3 * k + j) % 50}" for k in range(6)) for i in range(3) for j in (0, 2)]
    answers = [(" w50 w51", " w52 w53 w54"), (" w51 w50", " w55 w50 w51"), (" w52 w51", " w53 w53 w50")]
    examples = [Example(*texts[2 * i : 2 * i + 2], *answers[i]) for i in range(3)]
    task = Task.from_examples(model, examples, metric="logprob_diff")
    names = ("L0H1", "L1H2", "L2M")
    subject = subject_of(model, task, names, baseline="resample")
    pairs = [("L0H1", "L1H2"), ("L1H2", "L2M")]
    found = feeds(subject, pairs)
    game = ComponentGame(model, task, list(subject.components), "resample")
    ones = np.ones((1, 3), dtype=bool)
    whole = game.evaluate(ones, progress=False).values[0]
    for (source, target), feed in zip(pairs, found, strict=True):
        patched = game.patched(ones, names.index(source), names.index(target), progress=False)
        assert feed.total.value == pytest.approx(whole - patched.mean(), abs=1e-4)
    # Each way by itself: with queries, keys and values all of the run without the source, the output is that run's.
    assert found[0].query is not None
    assert abs(found[0].query.value) > 1e-5
