"""A model in a folder, and a task file of the tests' own vocabulary."""

import pytest

LINES = [
    f'{{"prompt": "w{i} w2 w3", "counterfactual": "w4 w{i} w5", "answer": " w{i + 6}", "wrong_answer": " w40"}}\n'
    for i in range(10)
]


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "mine.jsonl"
    path.write_text("".join(LINES))
    return path


@pytest.fixture
def folder(tiny, tmp_path):
    tiny.hf_model("llama").save_pretrained(tmp_path / "llama")
    tiny.tokenizer.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"
