"""Tasks keep their prompts in circuit.json: text, tokens, named positions; a bounded number of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import circuitspex as cx
from circuitspex.errors import UserError
from circuitspex.export.files import circuit as json_file
from circuitspex.tasks import Example, Task, build
from circuitspex.tasks.record import MOST_CHARACTERS, task_record
from tests.export.drawn_circuits import realistic

TEXTS = ("prompt", "counterfactual", "answer", "wrong_answer")


def test_prompts_are_kept_in_the_order_of_the_task(any_model):
    task = build("ioi", any_model, n_prompts=5)
    record = task_record(task, any_model.tokenizer)
    assert record["n_prompts"] == len(record["prompts"]) == 5
    for i, (kept, example) in enumerate(zip(record["prompts"], task.examples, strict=True)):
        assert {name: kept[name] for name in TEXTS} == {name: getattr(example, name) for name in TEXTS}
        assert kept["tokens"] == [any_model.tokenizer.decode([int(token)]) for token in task.tokens[i]]
        assert {name: tuple(span) for name, span in kept["positions"].items()} == {
            name: task.spans(name)[i] for name in ("IO", "S1", "S2")
        }
        assert kept["tokens"][kept["positions"]["IO"][0]].strip() == example.answer.strip()
    assert record["example"]["tokens"] == record["prompts"][0]["tokens"]
    assert task_record(task, None)["prompts"][0]["tokens"] == []


def test_answers_of_several_tokens_are_kept_as_tokens(word_model):
    example = Example("So Mary", "So Paul", " store park", " garden", positions={"name": -1})
    task = Task.from_examples(word_model, [example], metric="logprob_diff")
    kept = task_record(task, word_model.tokenizer)["prompts"][0]
    assert (kept["answer_tokens"], kept["wrong_answer_tokens"]) == (["store", "park"], ["garden"])
    assert "answer_tokens" not in task_record(build("ioi", word_model, n_prompts=2), word_model.tokenizer)["prompts"][0]


def test_padding_is_no_token(word_model):
    short = Example("So Mary", "So Paul", " store", " park", positions={"name": -1})
    long = Example("When Mary and John went to the", "When Mary and Paul went to the", " store", " park")
    record = task_record(Task.from_examples(word_model, [short, long], group_by_length=True), word_model.tokenizer)
    assert record["prompts"][0]["tokens"] == ["So", "Mary"]
    assert record["prompts"][0]["positions"] == {"name": [1]}
    assert "positions" not in record["prompts"][1]


@pytest.mark.long
def test_very_long_prompts_are_left_out_at_the_end(word_model):
    text = " ".join(["Mary and John went to the"] * 5000)
    example = Example(text, text, " store", " park")
    task = Task.from_examples(word_model, [example] * 20)
    record = task_record(task, word_model.tokenizer)
    assert record["n_prompts"] == 20
    assert 0 < len(record["prompts"]) < 20
    assert record["prompts"] == [record["prompts"][0]] * len(record["prompts"])
    kept = sum(len(each[name]) for each in record["prompts"] for name in TEXTS)
    assert kept < MOST_CHARACTERS


def test_a_search_writes_them_and_they_come_back(tiny_bridge, tmp_path):
    task = build("capitals", tiny_bridge, n_prompts=6)
    circuit = cx.explain(cx.ComponentGame(tiny_bridge, task, "heads"), budget=64, progress=False).circuit
    prompts = circuit.task["prompts"]
    assert [each["prompt"] for each in prompts] == list(task.prompts)
    assert all(len(node.per_prompt) == len(prompts) for node in circuit.nodes if node.per_prompt)
    again = cx.Circuit.load(circuit.save(tmp_path / "circuit.json"))
    assert again.task["prompts"] == prompts


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ([{"tokens": ["a", "b"], "positions": {"x": [2]}}], r"prompts\[0\].positions: 'x' is at \[2\]; .* 2 tokens"),
        ([{"tokens": ["a", "b"], "positions": {"x": []}}], r"prompts\[0\].positions: 'x' is at \[\]"),
        ([{"tokens": ["a"]}] * 3, "task.prompts has 3 entries; n_prompts says 2"),
        ([{"tokens": ["a"]}] * 50_001, "task.prompts has 50,001 entries; at most 50,000 are read"),
        ([{"tokens": [3]}], r"task.prompts\[0\].tokens\[0\]"),
    ],
)
def test_prompts_that_can_not_be_are_refused(prompts, says):
    texts = {"prompt": "a b", "answer": " c", "wrong_answer": " d"}
    circuit = realistic(3)
    task = {**circuit.task, "n_prompts": 2, "prompts": [{**texts, **each} for each in prompts]}
    with pytest.raises(UserError, match=says) as error:
        json_file.from_json({**json.loads(json_file.dumps(circuit)), "task": task})
    assert "\n" not in str(error.value)
    good = {**task, "prompts": [{**texts, "tokens": ["a", "b"], "positions": {"x": [0, 1]}}]}
    assert json_file.from_json({**json.loads(json_file.dumps(circuit)), "task": good}) == replace(circuit, task=good)
