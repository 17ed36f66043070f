"""Tasks from the data sets of MIB's circuit track and of EAP-IG: their answers, their counterfactuals, wrong files."""

from __future__ import annotations

import json

import pytest

from circuitspex.errors import TaskError, UserError
from circuitspex.tasks import build, check_task, from_mib


def ioi(first, second, third, **more):
    text = "When {} and {} went to the school, {} gave a book to"
    return {
        "prompt": text.format(first, second, second),
        "metadata": {"indirect_object": first, "subject": second, "random_c": third},
        "s2_io_flip_counterfactual": {"prompt": text.format(first, second, first)},
        "abc_counterfactual": {"prompt": text.format(first, second, third)},
        **more,
    }


def choice(answer, other):
    text = "1 is red , 2 is green , the river is {} and the answer is"
    labels = {"label": ["1", "2"], "text": ["red", "green"]}
    return {
        "prompt": text.format("red"),
        "choices": labels,
        "answerKey": answer,
        "symbol_counterfactual": {"prompt": text.format("green"), "choices": labels, "answerKey": other},
    }


def total(label, other, counterfactual=True):
    found = {"prompt": "The year 12 and the year 4", "label": label, "operator": "+", "random_counterfactual": None}
    if counterfactual:
        found["random_counterfactual"] = {"prompt": "The year 15 and the year 2", "label": other}
    return found


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


@pytest.mark.parametrize("ending", ["json", "jsonl", "lines"])
def test_ioi_compares_the_two_names_under_the_benchmarks_counterfactual(ending, any_model, tmp_path):
    rows = [ioi("Mary", "John", "Paul"), ioi("Anna", "Mark", "Sarah")]
    path = write(tmp_path / f"ioi.{'jsonl' if ending == 'jsonl' else 'json'}", rows)
    if ending == "lines":  # as Hugging Face's datasets write a .json file
        path.write_text("\n".join(map(json.dumps, rows)))
    task = from_mib(path, any_model)
    assert (task.name, task.n_prompts, task.metric.name) == ("ioi", 2, "logit_diff")
    for example, (right, wrong) in zip(task.examples, [("Mary", "John"), ("Anna", "Mark")], strict=True):
        assert (example.answer.strip(), example.wrong_answer.strip()) == (right, wrong)
        assert example.counterfactual.endswith(f"{right} gave a book to")
    tokenizer = any_model.tokenizer
    assert task.answers.tolist() == [
        tokenizer(f" {n}", add_special_tokens=False).input_ids[0] for n in ("Mary", "Anna")
    ]
    assert build(path, any_model).identity == task.identity
    other = from_mib(path, any_model, counterfactual="abc_counterfactual")
    assert other.examples[0].counterfactual.endswith("Paul gave a book to")
    assert from_mib(path, any_model, n_prompts=1).n_prompts == 1
    check_task(path, n_prompts=1, counterfactual="abc_counterfactual")


def test_options_and_sums_are_compared_by_their_labels(word_model, tmp_path):
    task = from_mib(write(tmp_path / "arc.json", [choice(0, 1), choice(1, 0)]), word_model)
    assert [(e.answer.strip(), e.wrong_answer.strip()) for e in task.examples] == [("1", "2"), ("2", "1")]
    rows = [total(16, 17), total(8, 9), total(8, 9, counterfactual=False), total(8, 123456)]
    with pytest.warns(
        UserWarning, match="3 of the first 4 rows are left out: 2 whose answers or names have other numbers"
    ):
        task = from_mib(write(tmp_path / "sums.json", rows), word_model)
    assert [(e.answer.strip(), e.wrong_answer.strip()) for e in task.examples] == [("8", "9")]


def test_rows_that_can_not_be_used_are_counted(any_model, tmp_path):
    longer = ioi("Mary", "John", "Paul")
    longer["s2_io_flip_counterfactual"] = {"prompt": "When they went , Mary gave"}
    rows = [ioi("Mary", "John", "Paul"), longer, ioi("Mary", "Mary", "Paul"), ioi("Anna", "John", "Paul")]
    with pytest.warns(
        UserWarning, match="2 of the first 4 rows are left out: 1 whose counterfactual has another number"
    ):
        assert from_mib(write(tmp_path / "ioi.json", rows), any_model).n_prompts == 2
    with pytest.raises(TaskError, match=r"none of the 1 rows can be used with this tokenizer: 1 whose answers begin"):
        from_mib(write(tmp_path / "none.json", [rows[2]]), any_model)


def ids_of(model, *words):
    return [model.tokenizer(f" {word}", add_special_tokens=False).input_ids[0] for word in words]


@pytest.mark.parametrize(
    "columns",
    [
        ("correct_idx", "incorrect_idx"),
        ("country_idx", "corrupted_country_idx"),
        ("capital_idx", "corrupted_capital_idx"),
        ("clean_answer_idx", "corrupted_answer_idx"),
    ],
)
def test_csv_files_have_the_ids_of_both_answers(columns, any_model, tmp_path):
    right, wrong = ids_of(any_model, "Mary", "John")
    text = f",clean,corrupted,{','.join(columns)}\n"
    text += f'7,"Then, John gave a book to","Then, Mary gave a book to",{right},{wrong}\n'
    task = from_mib(write(tmp_path / "ioi.csv", text), any_model)
    assert task.prompts == ("Then, John gave a book to",)
    assert task.counterfactuals == ("Then, Mary gave a book to",)
    assert (task.answers.tolist(), task.wrong_answers.tolist()) == ([right], [wrong])


HEAD = "clean,corrupted,correct_idx,incorrect_idx\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "", "can't read task file .*a.json: not JSON"),
        ("a.json", "3", "must be a list of rows"),
        ("a.json", "{}", "a.json line 1: must be an object with a 'prompt'"),
        ("a.json", "[]", "has no rows"),
        ("a.json", [1], "a.json row 0: must be an object with a 'prompt'"),
        ("a.json", [{"prompt": "a"}], "row 0: is no row of MIB's data sets"),
        (
            "a.json",
            [{**ioi("Mary", "John", "Paul"), "s2_io_flip_counterfactual": 3}],
            "it has s2_io_flip_counterf.*, abc_",
        ),
        ("a.json", [{**choice(0, 1), "answerKey": 7}], "row 0: lacks a field of MIB's choices rows"),
        ("a.json", [{**choice(0, 1), "choices": None}], "row 0: lacks a field"),
        ("a.csv", "clean,other\n", "has no column 'corrupted'"),
        ("a.csv", "clean,corrupted,label\na,b,52\n", "no columns of a right and a wrong answer .*one label a row"),
        ("a.csv", HEAD, "has no rows"),
        ("a.csv", HEAD + "a,b,1\n", "row 0: incorrect_idx must be the id of a token, not 'None'"),
        ("a.csv", HEAD + "a,b,1,-2\n", "must be the id of a token, not '-2'"),
        ("a.csv", HEAD + '"a,b,1,2\n', "not a CSV file"),
        ("b.csv", HEAD + "a book,a river,1,99999999\n", "tokenizer has no token 99999999"),
        ("a.jsonl", [{"abc_counterfactual": 1}, 2], "line 1: must be an object with a 'prompt'"),
    ],
)
def test_a_wrong_file_is_one_line(name, content, said, any_model, tmp_path):
    path = write(tmp_path / name, content)
    with pytest.raises(TaskError, match=said) as caught:
        from_mib(path, any_model)
    assert "\n" not in str(caught.value)
    if name != "b.csv":  # which needs the tokenizer
        with pytest.raises(TaskError, match=said):
            check_task(path)


def test_a_missing_file_and_a_name_that_is_none(tmp_path):
    with pytest.raises(TaskError, match=r"can't read task file .*none.csv: there is no such file"):
        check_task(tmp_path / "none.csv")
    with pytest.raises(TaskError, match=r"or the path of a .jsonl, .json or .csv file"):
        check_task("none.txt")
    with pytest.raises(UserError, match="n_prompts must be at least 1, not 0"):
        from_mib(tmp_path / "none.csv", None, n_prompts=0)
