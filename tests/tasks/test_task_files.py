"""Task files: the round trip, and each way a line can be wrong."""

from __future__ import annotations

import json

import pytest

from circuitspex.errors import TaskError
from circuitspex.tasks import TASKS, Example, Task, build

GOOD = {
    "prompt": "When Mary and John went to the",
    "counterfactual": "When Mary and Paul went to the",
    "answer": " store",
    "wrong_answer": " park",
}


def line(**changes) -> str:
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not None})


@pytest.mark.some(3)
@pytest.mark.parametrize("name", list(TASKS))
def test_round_trip(name, any_model, tmp_path):
    task = build(name, any_model, n_prompts=5)
    path = tmp_path / "task.jsonl"
    task.to_jsonl(path)
    again = Task.from_jsonl(path, any_model, reference=task.reference)
    assert again.examples == task.examples
    assert again.identity == task.identity
    assert again.name == "task"
    assert len(path.read_text().splitlines()) == 5


def test_unusual_characters_survive(word_model, tmp_path):
    unusual = 'Zoë said "yes"\n\u2028 {} \\'
    task = Task.from_examples(word_model, [Example(unusual, unusual, " store", " park")])
    path = tmp_path / "unusual.jsonl"
    task.to_jsonl(path)
    assert Task.from_jsonl(path, word_model).examples == task.examples


def test_positions_survive_and_are_not_written_where_there_are_none(word_model, tmp_path):
    named = Example(*GOOD.values(), positions={"subject": 1, "verb": -3})
    task = Task.from_examples(word_model, [named, Example(*GOOD.values())])
    task.to_jsonl(tmp_path / "named.jsonl")
    first, second = map(json.loads, (tmp_path / "named.jsonl").read_text().splitlines())
    assert first == {**GOOD, "positions": {"subject": 1, "verb": -3}}
    assert second == GOOD
    again = Task.from_jsonl(tmp_path / "named.jsonl", word_model)
    assert again.examples == task.examples
    assert again.subset([0]).position("verb").tolist() == [4]
    assert again.position("END").tolist() == [6, 6]
    with pytest.raises(TaskError, match="not every prompt of task 'named' names the position 'verb'"):
        again.position("verb")


def test_blank_lines_windows_ends_and_byte_order_marks_are_allowed(word_model, tmp_path):
    path = tmp_path / "blank.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"\r\n{line()}\r\n\r\n{line(answer=' park', wrong_answer=' store')}".encode())
    assert len(Task.from_jsonl(path, word_model, name="two", metric="kl")) == 2


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{'prompt': 1}", "not JSON"),
        ("[1, 2]", "must be a JSON object with the fields prompt, counterfactual, answer, wrong_answer"),
        (line(wrong_answer=None), "missing field 'wrong_answer'; the fields are prompt, counterfactual"),
        (line(anwser=" x"), "unknown field 'anwser'; the fields are prompt"),
        (line()[:-1] + ', "answer": " park"}', "has the key 'answer' twice"),
        (line(positions={"subject": 10**500}), "which is too large"),
        (line(positions={"subject": 10**30}), "there is no position"),
        (line(more="[" * 200 + "]" * 200)[:-1], "not JSON"),
        ("[" * 5000 + "]" * 5000, "more than 100 deep"),
        (line(prompt="a " * 5_000_001), "at most 10,000,000 are read"),
        (line(answer=3), "field 'answer' must be a string, not int"),
        (line(answer=" store park"), "the answer ' store park' is 2 tokens"),
        (line(answer=" park"), "are the same token"),
        (line(positions=3), "positions map names to indices; not int"),
        (
            line(positions={"subject": "1"}),
            "the position 'subject' must be a whole number or a list of whole numbers, not '1'",
        ),
        (line(positions={"END": 1}), "a position needs a name of its own; 'END' is none"),
        (line(positions={"subject": 7}), r"there is no position 7 \('subject'\); the prompt has 7 tokens"),
        (
            line(positions={"names": [2, 1]}),
            r"the tokens of the position 'names' must be different and in order, not \[2, 1\]",
        ),
        (line(positions={"names": [1, -6]}), r"must be different and in order, not \[1, 1\]"),
        (line(positions={"names": []}), "must be a whole number or a list of whole numbers, not \\[\\]"),
        (line(positions={"names": [1, 7]}), "there is no position 7"),
        (line(counterfactual="When Mary"), "the counterfactual has 2 tokens and the prompt 7"),
    ],
)
def test_a_bad_line_is_named(bad, says, word_model, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{line()}\n\n{bad}\n")
    with pytest.raises(TaskError, match=says) as error:
        Task.from_jsonl(path, word_model)
    assert str(error.value).startswith("bad.jsonl line 3: ")
    assert "\n" not in str(error.value)


def test_unequal_lengths_name_both_lines(word_model, tmp_path):
    path = tmp_path / "lengths.jsonl"
    path.write_text(f"{line()}\n{line(prompt='So Mary', counterfactual='So Paul')}\n")
    with pytest.raises(TaskError, match=r"lengths.jsonl line 1 has 7 and lengths.jsonl line 2 has 2; use group_by"):
        Task.from_jsonl(path, word_model)
    assert len(Task.from_jsonl(path, word_model, group_by_length=True).groups) == 2


def test_files_that_cannot_be_read_or_written(word_model, tmp_path):
    with pytest.raises(TaskError, match=r"can't read task file .*: there is no such file"):
        Task.from_jsonl(tmp_path / "none.jsonl", word_model)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(TaskError, match="has no prompts"):
        Task.from_jsonl(tmp_path / "empty.jsonl", word_model)
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(TaskError, match=r"latin.jsonl line 1: the file is UTF-16"):
        Task.from_jsonl(tmp_path / "latin.jsonl", word_model)
    (tmp_path / "latin.jsonl").write_bytes(b"\n\xe9\n")
    with pytest.raises(TaskError, match=r"latin.jsonl line 2: not UTF-8 text \(the byte 0xe9\)"):
        Task.from_jsonl(tmp_path / "latin.jsonl", word_model)
    task = Task.from_examples(word_model, [Example(**GOOD)])
    with pytest.raises(TaskError, match="can't write task file"):
        task.to_jsonl(tmp_path / "nowhere" / "task.jsonl")


def test_positions_of_several_tokens_are_read_and_written(word_model, tmp_path):
    (tmp_path / "spans.jsonl").write_text(line(positions={"names": [1, 2, 3], "verb": [-3], "place": 6}) + "\n")
    task = Task.from_jsonl(tmp_path / "spans.jsonl", word_model)
    assert task.position_names == ("names", "verb", "place", "END")
    assert [task.spans(name) for name in task.position_names] == [((1, 2, 3),), ((4,),), ((6,),), ((6,),)]
    task.to_jsonl(tmp_path / "again.jsonl")
    assert json.loads((tmp_path / "again.jsonl").read_text())["positions"] == {
        "names": [1, 2, 3],
        "verb": [-3],
        "place": 6,
    }
    assert Task.from_jsonl(tmp_path / "again.jsonl", word_model).examples == task.examples
