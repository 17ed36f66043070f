"""Tasks of one's own: what they hold, what is made of them, and what is refused."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

from circuitspex.errors import TaskError
from circuitspex.tasks import Example, Task, ioi

SHORT = Example("When Mary and John went to the", "When Mary and Paul went to the", " store", " park")
OTHER = Example("When Anna and John went to the", "When Anna and Paul went to the", " park", " store")
LONG = Example("So Mary and John and Tom went to the", "So Mary and John and Paul went to the", " store", " park")


def mixed(model, **options) -> Task:
    return Task.from_examples(model, [SHORT, LONG, OTHER], group_by_length=True, **options)


def test_fields_of_a_custom_task(any_model):
    task = Task.from_examples(any_model, [SHORT, OTHER], name="places")
    assert task.prompts == (SHORT.prompt, OTHER.prompt)
    assert task.counterfactuals == (SHORT.counterfactual, OTHER.counterfactual)
    assert task.reference == (*task.prompts, *task.counterfactuals)
    length = 7 + any_model.cfg.default_prepend_bos
    assert task.tokens.shape == task.counterfactual_tokens.shape == (2, length)
    assert task.lengths.tolist() == [length, length]
    assert task.answers.tolist() == task.wrong_answers.tolist()[::-1]
    assert repr(task) == f"Task('places', 2 prompts of {length} tokens, metric 'logit_diff')"
    for array in (task.tokens, task.answers, task.lengths, task.reference_tokens):
        assert array.dtype == torch.int64


def test_prepend_bos_can_be_chosen(word_model):
    plain = Task.from_examples(word_model, [SHORT], prepend_bos=False)
    begun = Task.from_examples(word_model, [SHORT], prepend_bos=True)
    assert begun.tokens[0].tolist() == [word_model.tokenizer.bos_token_id, *plain.tokens[0].tolist()]
    assert begun.answers.tolist() == plain.answers.tolist()


def test_groups_partition_the_prompts(any_model):
    task = mixed(any_model)
    assert [len(group) for group in task.groups] == [2, 1]
    assert sorted(i for group in task.groups for i in group.indices.tolist()) == [0, 1, 2]
    for group in task.groups:
        assert group.tokens.shape == group.counterfactual_tokens.shape == (len(group), group.length)
        assert group.reference_tokens.shape == (2 * len(group), group.length)
        for row, i in enumerate(group.indices.tolist()):
            alone = Task.from_examples(any_model, [task.examples[i]])
            assert group.tokens[row].tolist() == alone.tokens[0].tolist()
            assert group.counterfactual_tokens[row].tolist() == alone.counterfactual_tokens[0].tolist()
            assert group.answers[row] == alone.answers[0]
            assert group.wrong_answers[row] == alone.wrong_answers[0]


def test_identity_follows_what_is_measured_and_nothing_else(word_model):
    task = mixed(word_model)
    assert task.identity == mixed(word_model, name="renamed").identity
    assert len(task.identity) == 64
    # Padding is no part of it: the same prompts within a longer array.
    assert (
        task.subset([0, 2]).identity
        == Task.from_examples(word_model, [SHORT, OTHER], reference=task.reference).identity
    )
    swapped = [dataclasses.replace(SHORT, answer=" park", wrong_answer=" store"), LONG, OTHER]
    others = [
        task.with_metric("kl"),
        task.subset([2, 1, 0]),
        task.subset([0, 1]),
        mixed(word_model, prepend_bos=True),
        mixed(word_model, reference=[SHORT.prompt, LONG.prompt]),
        Task.from_examples(word_model, swapped, group_by_length=True),
    ]
    assert len({task.identity, *(other.identity for other in others)}) == len(others) + 1


def test_subset_keeps_reference_and_order(word_model):
    task = mixed(word_model)
    part = task.subset([2, 0])
    assert part.prompts == (OTHER.prompt, SHORT.prompt)
    assert part.tokens.shape[1] == 7
    assert part.reference == task.reference
    assert len(part.groups) == 1
    for indices, says in (([], "at least one prompt"), ([3], "prompts 0 to 2"), ([-1], "prompts 0 to 2")):
        with pytest.raises(TaskError, match=says):
            task.subset(indices)


@pytest.mark.parametrize("n", [2, 3, 16])
@pytest.mark.parametrize("holdout", [0.01, 0.25, 0.99])
def test_split_is_a_partition_with_prompts_on_both_sides(n, holdout, word_model):
    task = ioi(word_model, n_prompts=n)
    kept, held = task.split(holdout, seed=1)
    assert len(kept) >= 1
    assert len(held) >= 1
    assert {*kept.prompts, *held.prompts} == set(task.prompts)
    assert len(kept) + len(held) == n
    assert kept.split(0.5)[0].prompts == kept.split(0.5)[0].prompts if len(kept) > 1 else True
    assert task.split(holdout, seed=1)[1].prompts == held.prompts


def test_split_of_sixteen_depends_on_the_seed(word_model):
    task = ioi(word_model)
    assert len(task.split()[1]) == 4
    assert len({task.split(seed=seed)[1].prompts for seed in range(5)}) > 1


def test_split_refusals(word_model):
    with pytest.raises(TaskError, match="needs at least 2"):
        ioi(word_model, n_prompts=1).split()
    for holdout in (0.0, 1.0, -0.5):
        with pytest.raises(TaskError, match="between 0 and 1"):
            ioi(word_model).split(holdout)


def test_fresh_needs_a_generator(word_model):
    with pytest.raises(TaskError, match="can't make new prompts; hold some of its own out with split"):
        mixed(word_model).fresh(2, seed=0)
    with pytest.raises(TaskError, match="at least 1"):
        ioi(word_model).fresh(0, seed=0)


@pytest.mark.parametrize(
    ("examples", "says"),
    [
        ([], "at least one prompt; there are none"),
        ([SHORT, LONG], "prompt 0 has 7 and prompt 1 has 9; use group_by_length=True"),
        ([dataclasses.replace(SHORT, counterfactual="When Mary")], "prompt 0: the counterfactual has 2 tokens and the"),
        ([SHORT, dataclasses.replace(OTHER, answer=" big store")], r"prompt 1: the answer ' big store' is 2 tokens \("),
        ([dataclasses.replace(SHORT, wrong_answer="")], "the wrong answer '' has no tokens"),
        ([dataclasses.replace(SHORT, wrong_answer=" store")], "are the same token; they must differ"),
        ([dataclasses.replace(SHORT, prompt="", counterfactual="")], "prompt 0: the prompt '' has no tokens"),
        ([SHORT, "When"], "prompt 1: must be an Example, not str"),
    ],
)
def test_examples_that_are_refused(examples, says, word_model):
    with pytest.raises(TaskError, match=says) as error:
        Task.from_examples(word_model, examples)
    assert "\n" not in str(error.value)


def test_tokens_of_a_long_answer_are_shown(any_model):
    with pytest.raises(
        TaskError, match=r"is 2 tokens \('.?store' \+ '.?park'\), and metric 'logit_diff' takes one; .*logprob_diff"
    ):
        Task.from_examples(any_model, [dataclasses.replace(SHORT, answer=" store park")])


def test_other_refusals(word_model):
    with pytest.raises(TaskError, match="unknown metric 'loss'"):
        Task.from_examples(word_model, [SHORT], metric="loss")
    with pytest.raises(TaskError, match="no reference prompt has 9 tokens"):
        mixed(word_model, reference=[SHORT.prompt])
    with pytest.raises(TaskError, match="not one string"):
        mixed(word_model, reference=SHORT.prompt)
    with pytest.raises(TaskError, match="answer must be a string, not int"):
        Example("a", "b", 3, " c")


def test_accuracy_counts_and_batches(word_model, planned_model):
    task = ioi(word_model, n_prompts=10)
    for right in (0, 7, 10):
        model = planned_model(task, right, word_model.tokenizer)
        assert task.accuracy(model, batch_size=4) == right / 10
        assert model.batches == [4, 4, 2]
    with pytest.raises(TaskError, match="batch_size must be at least 1"):
        task.accuracy(model, batch_size=0)


def test_accuracy_runs_lengths_apart(word_model, planned_model):
    task = mixed(word_model)
    assert task.accuracy(planned_model(task, 2, word_model.tokenizer)) == pytest.approx(2 / 3)


def test_ties_are_not_correct(word_model, planned_model):
    task = mixed(word_model)
    model = planned_model(task, 3, word_model.tokenizer)
    torch.nn.init.zeros_(model.scale)
    assert task.accuracy(model) == 0.0


@pytest.mark.parametrize(("metric", "value"), [("logit_diff", 3.0 * (2 - 1) / 3), ("kl", 0.0)])
def test_report_of_a_model_that_fails_warns(metric, value, word_model, planned_model):
    task = mixed(word_model, metric=metric)
    model = planned_model(task, 2, word_model.tokenizer)
    with pytest.warns(UserWarning, match="answers only 67% of task 'custom' correctly") as caught:
        report = task.report(model)
    assert "\n" not in str(caught[0].message)
    assert report.accuracy == pytest.approx(2 / 3)
    assert report.mean_metric == pytest.approx(value, abs=1e-6)
    assert report.n_prompts == 3
    assert report.top_predictions[0][0].strip() == "store"
    text = str(report)
    assert "accuracy 66.7%" in text
    assert SHORT.prompt in text
    assert len(text.splitlines()) == 4


def test_report_of_a_model_that_can_do_it_is_silent(word_model, planned_model):
    task = ioi(word_model)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the model answers only")
        report = task.report(planned_model(task, 12, word_model.tokenizer))
    assert report.accuracy == 0.75


def test_report_names_the_prompt_on_which_a_metric_fails(word_model, planned_model):
    def metric(logits, rows):
        return torch.where(rows.answers == int(task.answers[2]), torch.nan, logits[:, 0])

    task = mixed(word_model)
    with pytest.raises(TaskError, match="'metric' gave nan on prompt 2"):
        task.with_metric(metric).report(planned_model(task, 3, word_model.tokenizer))
