"""Properties that every built-in task has, under tokenizers of different kinds."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
import torch

import circuitspex.tasks
from circuitspex.errors import TaskError
from circuitspex.tasks import TASKS, build
from circuitspex.tasks.builtin import N_REFERENCE

EVERY_TASK = pytest.mark.parametrize("name", list(TASKS))


@pytest.mark.some(4)
@EVERY_TASK
def test_same_seed_same_task_and_other_seed_another(name, any_model):
    task, again, other = (build(name, any_model, n_prompts=8, seed=seed) for seed in (3, 3, 4))
    assert task.examples == again.examples
    assert task.reference == again.reference
    assert task.identity == again.identity
    assert set(task.prompts) != set(other.prompts)
    assert task.identity != other.identity


@pytest.mark.some(3)
@EVERY_TASK
def test_every_prompt_has_one_length_and_single_token_answers(name, any_model):
    task = build(name, any_model, n_prompts=24, seed=1)
    assert len(task) == task.n_prompts == len(set(task.prompts)) == 24
    assert task.name == name
    assert task.tokens.shape == task.counterfactual_tokens.shape
    assert set(task.lengths.tolist()) == {task.tokens.shape[1]}
    assert len(task.groups) == 1
    assert bool((task.answers != task.wrong_answers).all())
    assert bool((task.tokens != task.counterfactual_tokens).any(dim=1).all())
    tokenizer = any_model.tokenizer
    for example, answer in zip(task.examples, task.answers.tolist(), strict=True):
        both = tokenizer(example.prompt + example.answer, add_special_tokens=False)["input_ids"]
        assert both[-1] == answer
        assert tokenizer.decode([answer]).strip() == example.answer.strip()
    if any_model.cfg.default_prepend_bos:
        assert set(task.tokens[:, 0].tolist()) == {tokenizer.bos_token_id}


@EVERY_TASK
def test_reference_prompts_differ_from_the_prompts_and_share_their_length(name, any_model):
    task = build(name, any_model, n_prompts=16)
    assert task.reference_tokens.shape == (N_REFERENCE, task.tokens.shape[1])
    assert not set(task.reference[: N_REFERENCE // 2]) & set(task.prompts)
    assert task.groups[0].reference_tokens.shape == task.reference_tokens.shape


@pytest.mark.some(3)
@EVERY_TASK
def test_fresh_prompts_are_new_and_keep_what_an_ablation_means(name, any_model):
    task = build(name, any_model, n_prompts=16, seed=0, metric="answer_logprob")
    for seed in (0, 1):
        fresh = task.fresh(16, seed=seed)
        assert not set(fresh.prompts) & set(task.prompts)
        assert fresh.tokens.shape == task.tokens.shape
        assert fresh.reference == task.reference
        assert fresh.metric == task.metric
        assert fresh.prompts == task.fresh(16, seed=seed).prompts
        assert fresh.identity != task.identity


@pytest.mark.some(3)
@EVERY_TASK
def test_words_stand_at_the_same_positions_in_all_prompts(name, any_model):
    """Where a prompt and its counterfactual differ is the same for all prompts, up to the two orders of names."""
    task = build(name, any_model, n_prompts=24)
    differing = (task.tokens != task.counterfactual_tokens).any(dim=0).sum()
    expected = {"ioi": 1, "greater_than": 2, "induction": 8, "capitals": 1, "gendered_pronoun": 1}
    assert int(differing) == expected[name]


def test_ioi_has_both_orders_and_names_a_third_person(any_model):
    task = build("ioi", any_model, n_prompts=32)
    orders = set()
    for example in task.examples:
        first, second, third = re.findall(r"When (\w+) and (\w+) .*, (\w+) ", example.prompt)[0]
        other = re.findall(r", (\w+) ", example.counterfactual)[0]
        assert other not in (first, second)
        assert {example.answer.strip(), third} == {first, second}
        assert example.wrong_answer.strip() == third
        orders.add(third == first)
    assert orders == {True, False}


def test_induction_answer_followed_the_repeated_word(any_model):
    for example in build("induction", any_model, n_prompts=8).examples:
        listed = example.prompt.split()[1:]
        assert example.answer.strip() == listed[listed.index(listed[-1]) + 1]
        assert example.wrong_answer.strip() in listed
        assert example.answer.strip() not in example.counterfactual.split()


def test_greater_than_compares_tens_digits(any_model):
    for example in build("greater_than", any_model, n_prompts=16).examples:
        begun = re.findall(r"year \d\d(\d\d)", example.prompt)[0]
        assert int(example.wrong_answer) < int(begun[0]) < int(example.answer)


def test_greater_than_compares_two_digit_tokens_where_there_are_any(two_digit_model):
    task = build("greater_than", two_digit_model, n_prompts=16)
    for example in task.examples:
        begun = re.findall(r"year \d\d(\d\d)", example.prompt)[0]
        assert len(example.answer) == len(example.wrong_answer) == 2
        assert int(example.wrong_answer) < int(begun) < int(example.answer)
    assert int((task.tokens != task.counterfactual_tokens).any(dim=0).sum()) == 1


def test_greater_than_refuses_tokenizers_that_cut_years_elsewhere(three_digit_model):
    with pytest.raises(TaskError, match="last two digits are tokens of their own"):
        build("greater_than", three_digit_model)


def test_pronoun_of_either_gender(any_model):
    task = build("gendered_pronoun", any_model, n_prompts=32)
    assert {(e.answer, e.wrong_answer) for e in task.examples} == {(" she", " he"), (" he", " she")}


@EVERY_TASK
def test_a_tokenizer_with_too_few_words_is_refused(name, poor_model):
    with pytest.raises(TaskError, match=r"use Task\.from_examples") as error:
        build(name, poor_model)
    assert "\n" not in str(error.value)


@EVERY_TASK
@pytest.mark.parametrize("n", [0, -2])
def test_no_prompts_is_an_error(name, n, word_model):
    with pytest.raises(TaskError, match=f"n_prompts must be at least 1, not {n}"):
        build(name, word_model, n_prompts=n)


@pytest.mark.long
def test_more_prompts_than_exist_is_an_error_that_says_how_many_do(word_model):
    with pytest.raises(TaskError, match=r"has only \d+ prompts") as error:
        build("capitals", word_model, n_prompts=5000)
    most = int(re.findall(r"at most (\d+)", str(error.value))[0])
    task = build("capitals", word_model, n_prompts=most)
    # Nothing is left for the reference, so the task's own prompts serve.
    assert len(task.reference) == N_REFERENCE
    with pytest.raises(TaskError, match="besides"):
        task.fresh(4, seed=0)


def test_build_takes_names_and_files(word_model, tmp_path):
    task = build("ioi", word_model, n_prompts=3, seed=2, metric="kl")
    assert (task.name, len(task), task.metric.name) == ("ioi", 3, "kl")
    task.to_jsonl(tmp_path / "mine.jsonl")
    again = build(tmp_path / "mine.jsonl", word_model, metric="answer_prob")
    assert (again.name, again.examples, again.metric.name) == ("mine", task.examples, "answer_prob")
    with pytest.raises(TaskError, match="unknown task 'iou'; known: ioi, greater_than, induction"):
        build("iou", word_model)
    with pytest.raises(TaskError, match="no option 'n_prompts'; its options are name, metric"):
        build(str(tmp_path / "mine.jsonl"), word_model, n_prompts=3)
    with pytest.raises(TaskError, match="no option 'budget'"):
        build("ioi", word_model, budget=3)


@EVERY_TASK
def test_tasks_run_on_a_bridge(name, tiny_bridge):
    task = build(name, tiny_bridge, n_prompts=6)
    with torch.no_grad():
        logits = tiny_bridge(task.tokens)[:, -1]
    rows = torch.arange(6)
    expected = (logits[rows, task.answers] > logits[rows, task.wrong_answers]).double().mean()
    assert task.accuracy(tiny_bridge) == pytest.approx(float(expected))
    assert task.accuracy(tiny_bridge, batch_size=1) == pytest.approx(float(expected))


def test_built_in_tasks_are_pickled_and_shown_by_name():
    for name in TASKS:
        task = getattr(circuitspex.tasks, name)
        assert pickle.loads(pickle.dumps(task)) is task
        assert repr(task) == f"<built-in task {name}>"
        assert next(iter(inspect.signature(task).parameters)) == "model"
        assert task.__doc__
