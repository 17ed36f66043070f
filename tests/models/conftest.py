"""A task file for models of the tests' own vocabulary."""

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
