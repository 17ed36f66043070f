"""A metric that reads two named positions, through every executor, against plain Hugging Face logits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.errors import TaskError, UserError
from circuitspex.games import ComponentGame, TokenGame
from circuitspex.tasks import Example, Metric, MetricRows, Task

pytestmark = pytest.mark.filterwarnings("ignore:the model answers only")
FAMILIES = ("llama", "gpt2", "gemma2")  # grouped heads; learned positions; sliding windows and softcaps


def between(logits: torch.Tensor, rows: Any) -> torch.Tensor:
    """A number that depends on both positions, and on which of them is which."""
    subject, end = (torch.log_softmax(logits[:, rows.positions[name]], -1) for name in ("subject", "END"))
    return 2 * subject[:, 7] - end.gather(-1, rows.answers)[:, 0] + (subject * end).mean(-1)


BETWEEN = Metric("between", between, reads=("subject", "END"))
SUBJECTS = (1, -2, 0)


def task_of(model: Any, metric: Any = BETWEEN, lengths: tuple[int, ...] = (6, 6, 6)) -> Task:
    texts = [" ".join(f"w{(7 * i + 3 * k) % 50}" for k in range(n)) for i, n in enumerate(lengths)]
    others = [" ".join(f"w{(5 * i + 4 * k + 1) % 50}" for k in range(n)) for i, n in enumerate(lengths)]
    examples = [
        Example(text, other, " w50", " w51", positions={"subject": place})
        for text, other, place in zip(texts, others, SUBJECTS, strict=True)
    ]
    return Task.from_examples(model, examples, metric=metric, group_by_length=len(set(lengths)) > 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_ablated_gives_the_metric_of_hugging_face_logits(family: str, tiny: SimpleNamespace) -> None:
    model, hf = tiny.bridge(family), tiny.hf_model(family)
    task = task_of(model, lengths=(6, 4, 6))
    assert task.position("subject").tolist() == [1, 2, 0]
    expected = []
    for row, length, subject in zip(task.tokens, task.lengths.tolist(), (1, 2, 0), strict=True):
        with torch.no_grad():
            logits = hf(row[None, :length]).logits[0]
        first, end = (torch.log_softmax(logits[place], -1) for place in (subject, length - 1))
        expected.append(float(2 * first[7] - end[int(task.answers[0])] + (first * end).mean()))
    for executor in ("hooks", "batched", "fused"):
        game = ComponentGame(model, task, "heads+mlps", executor=executor)
        found = game.evaluate(np.ones((1, game.n_players), dtype=bool)).per_prompt[0]
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=executor)
    assert task.report(model).mean_metric == pytest.approx(np.mean(expected), abs=1e-4)


@pytest.mark.some(4)
@pytest.mark.parametrize("components", ["heads+mlps", "neurons:16", "heads@-1", "layers[1:].heads@-2+mlps@-1"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_executor_gives_what_plain_hooks_give(family: str, components: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge(family)
    task = task_of(model)
    games = {
        name: ComponentGame(model, task, components, "resample", executor=name, batch_rows=7)
        for name in ("hooks", "batched", "fused")
    }
    masks = np.random.default_rng(0).random((12, games["hooks"].n_players)) < 0.5
    masks[0] = True
    plain, *others = (game.evaluate(masks, gradients=True) for game in games.values())
    assert plain.per_prompt.std(0).min() > 1e-3
    for other in others:
        np.testing.assert_allclose(other.per_prompt, plain.per_prompt, atol=1e-4)
        np.testing.assert_allclose(other.gradients, plain.gradients, atol=1e-3)


def test_what_is_ablated_at_the_last_position_changes_nothing_before_it(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")

    def early(logits: torch.Tensor, rows: Any) -> torch.Tensor:
        return logits[:, rows.positions["subject"], 7]

    task = task_of(model, Metric("early", early, reads=("subject",)))
    masks = np.zeros((1, 12), dtype=bool)
    for executor in ("hooks", "batched", "fused"):
        late = ComponentGame(model, task, "heads@-1", "zero", executor=executor)
        everywhere = ComponentGame(model, task, "heads", "zero", executor=executor)
        clean = late.evaluate(~masks).per_prompt
        np.testing.assert_allclose(late.evaluate(masks).per_prompt, clean, atol=1e-5)
        assert np.abs(everywhere.evaluate(masks).per_prompt - clean).min() > 1e-3


def test_a_named_position_may_be_the_last(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    examples = [
        Example(e.prompt, e.counterfactual, e.answer, e.wrong_answer, {"subject": -1}) for e in task_of(model).examples
    ]
    task = Task.from_examples(model, examples, metric=BETWEEN)
    games = [ComponentGame(model, task, "heads", executor=name) for name in ("hooks", "batched", "fused")]
    masks = np.random.default_rng(1).random((5, 12)) < 0.5
    plain, *others = (game.evaluate(masks).per_prompt for game in games)
    for other in others:
        np.testing.assert_allclose(other, plain, atol=1e-4)


def test_a_metric_of_the_clean_logits_sees_them_at_each_position(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")

    def moved(logits: torch.Tensor, rows: Any) -> torch.Tensor:
        assert logits.shape == rows.clean_logits.shape == (len(logits), 2, model.cfg.d_vocab)
        return (logits - rows.clean_logits).abs().amax((1, 2))

    task = task_of(model, Metric("moved", moved, needs_clean=True, reads=("END", "subject")))
    for executor in ("hooks", "batched", "fused"):
        game = ComponentGame(model, task, "heads", "zero", executor=executor)
        values = game(np.stack([np.ones(game.n_players, bool), np.zeros(game.n_players, bool)]))
        assert values[0] < 1e-4
        assert values[1] > 1e-3
    assert task.report(model).mean_metric == 0


def test_path_patching_reads_the_same_positions(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = task_of(model)
    game = ComponentGame(model, task, ["L0H0", "L2H1"], "zero")
    last = ComponentGame(model, task.with_metric("logit_diff"), ["L0H0", "L2H1"], "zero")
    kept = np.ones((1, 2), dtype=bool)
    assert game.patched(kept, 0, 1).shape == last.patched(kept, 0, 1).shape == (1, 3)
    # The source reaches the target's output at every position, so what both positions say changes.
    assert np.abs(game.patched(kept, 0, 1) - game.evaluate(kept).per_prompt).min() > 1e-6


def test_identities_know_the_positions_that_are_read(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = task_of(model)
    moved = Task.from_examples(
        model,
        [Example(e.prompt, e.counterfactual, e.answer, e.wrong_answer, {"subject": 3}) for e in task.examples],
        metric=BETWEEN,
    )
    assert moved.identity != task.identity
    assert moved.with_metric("kl").identity == task.with_metric("kl").identity
    assert Metric("between", between, reads=("END", "subject")).identity != BETWEEN.identity


def test_what_is_refused(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    with pytest.raises(TaskError, match="reads the position 'subject', which prompt 0 does not name; it has END"):
        tiny.task(model).with_metric(BETWEEN)
    with pytest.raises(UserError, match="'between' reads subject, END; of a prompt in words only"):
        TokenGame(model, "w1 w2 w3", " w4", metric=BETWEEN)
    with pytest.raises(TaskError, match="must read one or more different positions, not 'END'"):
        Metric("between", between, reads="END")  # type: ignore[arg-type]
    ids = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TaskError, match="reads subject, END, and was given logits at 1 positions"):
        BETWEEN(torch.zeros(2, 4), MetricRows(ids, ids))
