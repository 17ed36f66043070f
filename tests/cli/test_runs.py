"""``circuitspex runs``: what is kept, shown and deleted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuitspex.ablation import Store
from circuitspex.cli.main import main
from circuitspex.games import ComponentGame


@pytest.fixture
def path(tmp_path: Path, tiny) -> str:
    model = tiny.bridge("llama")
    where = tmp_path / "runs.sqlite"
    for baseline in ("mean", "zero"):
        game = ComponentGame(model, tiny.task(model), "heads", baseline, store=where)
        game.evaluate(np.eye(12, dtype=bool), gradients=baseline == "zero")
    return str(where)


def test_list_show_and_delete(path, capsys):
    assert main(["runs", "list", "--store", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "tiny-llama" in lines[1]
    assert "heads, zero, fused" in lines[1]
    assert "12" in lines[1]
    assert main(["runs", "list", "--json", "--store", path]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [row["with_gradients"] for row in rows] == [12, 0]
    prefix = rows[0]["id"][:8]
    assert main(["runs", "show", prefix, "--store", path]) == 0
    assert rows[0]["id"] in capsys.readouterr().out
    assert main(["runs", "delete", prefix, "--yes", "--store", path]) == 0
    assert capsys.readouterr().out == "deleted 1 runs with 12 ablations\n"
    assert [game.identity for game in Store(path).games()] == [rows[1]["id"]]
    assert main(["runs", "delete", "--all", "--yes", "--store", path]) == 0
    capsys.readouterr()
    assert main(["runs", "list", "--store", path]) == 0
    assert capsys.readouterr().out == f"nothing is kept in {path}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "which run? give the first letters of one id"),
        (["show", "zz"], "begins with 'zz'"),
        (["show", ""], "'' is short for 2 runs"),
        (["delete"], "delete which runs?"),
        (["delete", "a", "--all"], "delete which runs?"),
        (["delete", "--all"], "this would delete 2 runs with 24 ablations; say --yes"),
    ],
)
def test_wrong_calls_are_one_clear_line(path, capsys, arguments, message):
    assert main(["runs", *arguments, "--store", path]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert len(Store(path).games()) == 2


def test_no_store_and_a_foreign_file(tmp_path, capsys):
    assert main(["runs", "list", "--store", "off"]) == 1
    assert "there is no store" in capsys.readouterr().err
    assert main(["runs", "list", "--store", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().err
