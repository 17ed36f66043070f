"""Answers of several tokens through every executor, against plain Hugging Face; what is refused and what stays."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from long_answers import ANSWERS, WRONG, PlainLlama, example_of, ids_of, long_task

from circuitspex.errors import ComponentError, TaskError, UserError
from circuitspex.games import ComponentGame
from circuitspex.tasks import METRICS, Example, Metric, Task

pytestmark = pytest.mark.filterwarnings("ignore:the model answers only")
FAMILIES = ("llama", "gpt2", "gpt_neox", "gemma2", "qwen3")
EXECUTORS = ("hooks", "batched", "fused")
WHOLE = [name for name, metric in METRICS.items() if metric.takes_several]


def forced(hf: Any, prompt: str, answer: str) -> float:
    """The log-probability of an answer, by plain teacher forcing."""
    first, ids = ids_of(prompt), ids_of(answer)
    with torch.no_grad():
        steps = torch.log_softmax(hf(torch.tensor([[*first, *ids]])).logits[0], -1)
    return float(sum(steps[len(first) - 1 + k, token] for k, token in enumerate(ids)))


@pytest.mark.some(2)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_ablated_gives_plain_teacher_forcing(family: str, tiny: SimpleNamespace) -> None:
    model, hf = tiny.bridge(family), tiny.hf_model(family)
    task = long_task(model, lengths=(6, 4, 6, 4, 6))
    right, wrong = (
        [forced(hf, e.prompt, getattr(e, role)) for e in task.examples] for role in ("answer", "wrong_answer")
    )
    right, wrong = np.array(right), np.array(wrong)
    n, m = ([len(text.split()) for text in texts] for texts in (ANSWERS, WRONG))
    expected = {
        "answer_logprob": right,
        "answer_prob": np.exp(right),
        "logprob_diff": right - wrong,
        "answer_logprob_mean": right / n,
        "logprob_diff_mean": right / n - wrong / np.array(m),
    }
    for metric in WHOLE:
        for executor in EXECUTORS:
            game = ComponentGame(model, task.with_metric(metric), "heads+mlps", executor=executor)
            found = game.evaluate(np.ones((1, game.n_players), dtype=bool)).per_prompt[0]
            np.testing.assert_allclose(found, expected[metric], atol=1e-4, err_msg=f"{metric} {executor}")
        report = task.with_metric(metric).report(model, batch_size=2)
        assert report.mean_metric == pytest.approx(expected[metric].mean(), abs=1e-4)
        assert report.accuracy == pytest.approx((right > wrong).mean())
    assert task.accuracy(model) == pytest.approx((right > wrong).mean())


@pytest.mark.parametrize("components", ["heads+mlps", "heads@-1+mlps", "layers[1:].heads@-2"])
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.some(6)
def test_ablations_are_those_of_plain_torch_hooks(baseline: str, components: str, tiny: SimpleNamespace) -> None:
    """The counterfactual is followed by the same answer; the mean is over reference prompts with answers; @-1 is the
    prompt's last token and not the answer's."""
    model, hf = tiny.bridge("llama"), tiny.hf_model("llama")
    for metric in ("logprob_diff", "answer_logprob_mean"):
        task = long_task(model, metric)
        game = ComponentGame(model, task, components, baseline, executor="fused")
        masks = np.random.default_rng(1).random((4, game.n_players)) < 0.5
        plain = PlainLlama(hf, task, game.components, baseline).values(metric, masks)
        assert plain.std(0).min() > 1e-3
        np.testing.assert_allclose(game.evaluate(masks).per_prompt, plain, atol=1e-4)


@pytest.mark.parametrize("baseline", ["mean", "resample"])
def test_with_a_bos_token_and_prompts_of_two_lengths(baseline: str, tiny: SimpleNamespace) -> None:
    model, hf = tiny.bridge("llama"), tiny.hf_model("llama")
    task = long_task(model, lengths=(5, 3, 5, 3, 3), prepend_bos=True)
    assert task.lengths.tolist() == [6, 4, 6, 4, 4]
    game = ComponentGame(model, task, "heads", baseline, executor="batched")
    masks = np.random.default_rng(2).random((3, game.n_players)) < 0.5
    plain = PlainLlama(hf, task, game.components, baseline, bos=True).values("logprob_diff", masks)
    np.testing.assert_allclose(game.evaluate(masks).per_prompt, plain, atol=1e-4)


@pytest.mark.parametrize("components", ["heads+mlps", "neurons:16", "heads@-1", "layers[1:].heads@-2+mlps@-1"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.some(6)
def test_every_executor_gives_what_plain_hooks_give(family: str, components: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge(family)
    task = long_task(model, lengths=(6, 4, 6, 6, 6))
    games = {
        name: ComponentGame(model, task, components, "resample", executor=name, batch_rows=3) for name in EXECUTORS
    }
    masks = np.random.default_rng(0).random((7, games["hooks"].n_players)) < 0.5
    masks[0] = True
    plain, *others = (game.evaluate(masks, gradients=True) for game in games.values())
    assert plain.per_prompt.std(0).min() > 1e-3
    for other in others:
        np.testing.assert_allclose(other.per_prompt, plain.per_prompt, atol=1e-4)
        np.testing.assert_allclose(other.gradients, plain.gradients, atol=1e-3)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_gradients_are_finite_differences(executor: str, tiny: SimpleNamespace, request: Any) -> None:
    model = tiny.bridge("llama", torch.float64)
    request.getfixturevalue("exact")
    game = ComponentGame(model, long_task(model), "layers[0].heads+mlps", "mean", executor=executor)
    gates, step = np.random.default_rng(3).random((1, game.n_players)), 1e-5
    slopes = game.evaluate(gates, gradients=True).gradients[0]
    moved = np.concatenate([gates + step * np.eye(game.n_players), gates - step * np.eye(game.n_players)])
    values = game.evaluate(moved).values.reshape(2, -1)
    np.testing.assert_allclose(slopes, (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=1e-8)


def test_sequences_are_only_those_that_are_needed(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = long_task(model)
    assert [len(group) for group in task.groups] == [5]
    assert [(len(group), group.n_sequences, group.length) for group in task.sequences] == [(3, 1, 7), (2, 2, 7)]
    alone = task.with_metric("answer_logprob")
    assert [(len(group), group.n_sequences, group.length) for group in alone.sequences] == [(5, 1, 7)]
    group = task.sequences[1]
    assert group.indices.tolist() == [2, 4]
    prompt = ids_of(task.examples[2].prompt)
    assert group.tokens[:2].tolist() == [[*prompt, *ids_of(" w53 w54")], [*prompt, *ids_of(" w56 w56")]]
    assert group.counterfactual_tokens[1, 5:].tolist() == ids_of(" w56 w56")
    assert group.reads.tolist()[:2] == [[4, 5, 6], [4, 5, 5]]
    assert task.answers.shape == (5, 3)
    assert task.answer_lengths.tolist() == [len(text.split()) for text in ANSWERS]
    assert task.wrong_answer_lengths.tolist() == [len(text.split()) for text in WRONG]
    text = str(task.report(model)).splitlines()[-1]
    assert text == "answers of up to 3 tokens: 7 sequences are run for 5 prompts, 2.0 times their tokens"
    plan = ComponentGame(model, task, "heads").plan(np.zeros((2, 12), bool)).explain()
    assert "2 prompts, each in 2 sequences, of 7 tokens" in plan


def test_parts_of_a_task_keep_what_an_ablation_means(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = long_task(model)
    game = ComponentGame(model, task, "heads", "mean")
    masks = np.random.default_rng(4).random((3, 12)) < 0.5
    whole = game.evaluate(masks).per_prompt
    kept, held = task.split(0.4, seed=1)
    for part in (kept, held, task.subset([1]), task.subset([3, 0])):
        rows = [task.prompts.index(prompt) for prompt in part.prompts]
        np.testing.assert_allclose(game.on(part).evaluate(masks).per_prompt, whole[:, rows], atol=1e-5)


def test_answers_of_one_token_are_what_they_were(tiny: SimpleNamespace) -> None:
    """The identity of such tasks is written out here, so that stores of earlier versions are found again."""
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 4, 5))
    assert task.sequences is task.groups or all(a is b for a, b in zip(task.sequences, task.groups, strict=True))
    assert task.answers.shape == (3,)
    assert task.answer_lengths is None
    digest = hashlib.sha256(b"logit_diff")
    for group in task.groups:
        for name in ("indices", "tokens", "counterfactual_tokens", "reference_tokens", "answers", "wrong_answers"):
            array = getattr(group, name).numpy()
            digest.update(f"{name}{array.shape}".encode() + array.astype("<i8").tobytes())
    assert task.identity == digest.hexdigest()
    masks = np.random.default_rng(5).random((6, 12)) < 0.5
    logits, logprobs = (
        ComponentGame(model, task.with_metric(m), "heads").evaluate(masks) for m in ("logit_diff", "logprob_diff")
    )
    np.testing.assert_allclose(logprobs.per_prompt, logits.per_prompt, atol=1e-5)


def test_identities_know_all_that_values_depend_on(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = long_task(model)
    examples = list(task.examples)
    longer = Task.from_examples(
        model, [replace(examples[0], wrong_answer=" w54 w50"), *examples[1:]], metric="logprob_diff"
    )
    others = [
        task.with_metric("logprob_diff_mean"),
        task.with_metric("answer_logprob"),
        task.subset([0, 1, 2, 3]),
        longer,
        replace(task, reference_answers=(((),),) * 10),
    ]
    assert len({task.identity, *(other.identity for other in others)}) == 6
    assert long_task(model, name="another").identity == task.identity


def test_a_metric_of_ones_own_reads_positions_of_prompt_and_answer(tiny: SimpleNamespace) -> None:
    model, hf = tiny.bridge("gpt2"), tiny.hf_model("gpt2")

    def own(logits: torch.Tensor, rows: Any) -> torch.Tensor:
        at, end = rows.positions["subject"], rows.positions["END"]
        assert logits.shape[1] == rows.answers.shape[1] + 1
        last = end + rows.answer_lengths - 1
        return logits[:, at, 7] - logits[torch.arange(len(logits)), last, 9]

    task = long_task(model, Metric("own", own, reads=("subject", "END")))
    expected = []
    for example in task.examples:
        with torch.no_grad():
            logits = hf(torch.tensor([ids_of(example.prompt + example.answer)])).logits[0]
        expected.append(float(logits[example.positions["subject"], 7] - logits[-2, 9]))
    for executor in EXECUTORS:
        game = ComponentGame(model, task, "heads", executor=executor)
        found = game.evaluate(np.ones((1, game.n_players), dtype=bool)).per_prompt[0]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_metric_of_ones_own_that_compares_with_the_clean_logits(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")

    def moved(logits: torch.Tensor, rows: Any) -> torch.Tensor:
        assert logits.shape == rows.clean_logits.shape == rows.wrong_logits.shape
        return (logits - rows.clean_logits).abs().amax((1, 2))

    metric = Metric("moved", moved, needs_clean=True, reads=("END",), follows=("answer", "wrong_answer"))
    task = long_task(model, metric)
    for executor in EXECUTORS:
        game = ComponentGame(model, task, "heads", "zero", executor=executor)
        values = game(np.stack([np.ones(game.n_players, bool), np.zeros(game.n_players, bool)]))
        assert values[0] < 1e-4
        assert values[1] > 1e-3
    assert task.report(model).mean_metric == 0


def test_path_patching_follows_the_answers_too(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    kept = np.ones((1, 2), dtype=bool)
    whole = ComponentGame(model, long_task(model), ["L0H0", "L2H1"], "zero").patched(kept, 0, 1)
    alone = [
        ComponentGame(model, long_task(model).subset([i]), ["L0H0", "L2H1"], "zero").patched(kept, 0, 1)[0, 0]
        for i in range(5)
    ]
    np.testing.assert_allclose(whole[0], alone, atol=1e-5)
    plain = ComponentGame(model, long_task(model), ["L0H0", "L2H1"], "zero").evaluate(kept).per_prompt
    assert np.abs(whole - plain).min() > 1e-6


def test_what_is_refused(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = long_task(model)
    says = r"metric '(logit_diff|kl|own)' takes (answers of )?one.*answer_logprob, .*logprob_diff"
    for metric in ("logit_diff", "kl", Metric("own", lambda logits, rows: logits[:, 0])):
        for make in (lambda m=metric: task.with_metric(m), lambda m=metric: long_task(model, m)):
            with pytest.raises(TaskError, match=says) as error:
                make()
            assert "\n" not in str(error.value)
    with pytest.raises(TaskError, match=r"prompt 0: the answer ' w50 w51' is 2 tokens \('w50' \+ 'w51'\)"):
        long_task(model, "logit_diff")
    same = replace(task.examples[0], wrong_answer=" w50 w51")
    with pytest.raises(TaskError, match=r"are the same tokens; they must differ"):
        Task.from_examples(model, [same], metric="logprob_diff")
    long = " ".join(["w1"] * 63)
    with pytest.raises(TaskError, match=r"the prompt and its answer have 66 tokens; the model's context holds 64 and"):
        Task.from_examples(model, [Example(long, long, " w2 w3 w4", " w5")], metric="logprob_diff")
    assert len(Task.from_examples(model, [Example(long, long, " w2 w3", " w5")], metric="logprob_diff").sequences) == 1
    with pytest.raises(ComponentError, match=r"L0H0@5: the prompt has 5 tokens, positions -5 to 4"):
        ComponentGame(model, task, ["L0H0@5"], "zero")
    short = replace(task, reference_answers=(((),),) * 10)
    with pytest.raises(TaskError, match=r"have at most 5 tokens, and prompts with theirs 7, so that there is no mean"):
        ComponentGame(model, short, "heads", "mean")
    assert ComponentGame(model, short, "heads", "resample").n_players == 12
    spanned = [replace(e, positions={"subject": [1, 2]}) for e in task.examples]
    metric = Metric("two", lambda logits, rows: logits[:, 0, 0], reads=("subject", "END"))
    wide = Task.from_examples(model, spanned, metric=metric)
    with pytest.raises(UserError, match="the position 'subject' of prompt 0 is 2 tokens; it must be one here"):
        ComponentGame(model, wide, "heads")


def test_a_file_of_long_answers(tiny: SimpleNamespace, tmp_path: Any) -> None:
    model = tiny.bridge("llama")
    task = long_task(model)
    task.to_jsonl(tmp_path / "long.jsonl")
    again = Task.from_jsonl(tmp_path / "long.jsonl", model, metric="logprob_diff")
    assert again.identity == task.identity
    with pytest.raises(TaskError, match=r"long.jsonl line 1: the answer ' w50 w51' is 2 tokens .*logprob_diff"):
        Task.from_jsonl(tmp_path / "long.jsonl", model)


def test_references_of_ones_own_are_dealt_the_answers_in_turn(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    own = [example_of(i, 5).counterfactual for i in range(3)]
    task = long_task(model, reference=own)
    begun = [tuple(ids_of(text)[:-1]) for text in (*ANSWERS, *WRONG)]
    # Ten answers for three prompts: four turns.
    assert task.reference_answers == tuple(
        tuple(begun[(place + 3 * turn) % 10] for turn in range(4)) for place in range(3)
    )
    group = task.sequences[0]
    assert group.reference_tokens.shape == (12, 7)
    assert group.reference_lengths.tolist() == [5 + len(ids) for each in task.reference_answers for ids in each]
