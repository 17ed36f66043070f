"""A store that was damaged in any way gives no wrong value and no traceback; what is no store is left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.ablation import Store
from circuitspex.cli.main import main
from circuitspex.errors import FileFormatError
from circuitspex.games import FunctionGame

MASKS = np.random.default_rng(0).random((6, 4)) < 0.5


def weights(masks: np.ndarray) -> np.ndarray:
    return masks @ np.array([1.0, 2.0, 4.0, 8.0])


def game(path: Path) -> FunctionGame:
    return FunctionGame(weights, 4, store=path, identity="v1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = tmp_path / "runs.sqlite"
    kept = game(store)
    kept(MASKS)
    kept.store.close()
    return store


DAMAGE = {
    "a lost version": "PRAGMA user_version = 0",
    "a dropped table": "DROP TABLE ablations",
    "the other table": "DROP TABLE games",
    "facts that are no text": "UPDATE games SET facts = CAST(x'ff00fe' AS TEXT)",
    "facts of nothing": "UPDATE games SET facts = '[1, 2'",
    "an identity that is no text": "UPDATE games SET identity = CAST(x'ff00fe' AS TEXT)",
    "keys of another kind": "UPDATE ablations SET key = 'text'  WHERE key = (SELECT min(key) FROM ablations)",
    "values of another kind": "UPDATE ablations SET per_prompt = 5",
    "values of other rows": "UPDATE ablations SET per_prompt = (SELECT max(per_prompt) FROM ablations)",
}


@pytest.mark.filterwarnings("ignore:the store", "ignore:.* ablations in the store")
@pytest.mark.parametrize("statement", DAMAGE.values(), ids=list(DAMAGE))
def test_values_are_right_and_runs_are_listed_shown_and_deleted(path: Path, statement: str, capsys) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    assert main(["runs", "list", "--store", str(path)]) == 0
    np.testing.assert_array_equal(game(path)(MASKS), weights(MASKS))
    again = game(path)
    np.testing.assert_array_equal(again(MASKS), weights(MASKS))
    assert again.n_run == 0, "what was run again is kept again"
    assert main(["runs", "list", "--store", str(path)]) == 0
    assert "weights, 4 players" in capsys.readouterr().out
    for each in Store(path).games():
        if each.identity.isalnum():
            assert main(["runs", "show", each.identity, "--store", str(path)]) == 0
    assert main(["runs", "delete", "--all", "--yes", "--store", str(path)]) == 0
    assert Store(path).games() == []


def test_a_file_that_is_no_store_is_not_touched(tmp_path: Path, capsys) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    assert main(["runs", "list", "--store", str(notes)]) == 1
    assert "no store of finished ablations" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
    assert notes.read_text() == "my notes"


@pytest.mark.parametrize("name", ["task.jsonl", "model.safetensors", "notes"])
def test_no_other_file_of_the_user_is_taken_for_a_damaged_store(tmp_path: Path, name: str, monkeypatch, capsys) -> None:
    """Also where a search or the environment names it."""
    mine = tmp_path / name
    mine.write_text('{"prompt": "w1"}\n')
    with pytest.raises(FileFormatError, match=r"no store of finished ablations .* left as it is"):
        Store(mine)
    with pytest.raises(FileFormatError):
        cx.FunctionGame(weights, 4, store=mine)
    monkeypatch.setenv("CIRCUITSPEX_STORE", str(mine))
    assert main(["runs", "list"]) == 1
    assert "left as it is" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert mine.read_text() == '{"prompt": "w1"}\n'


def test_looking_into_a_store_makes_none(tmp_path: Path, capsys) -> None:
    for action in (["list"], ["show", "abc"], ["delete", "--all", "--yes"]):
        assert main(["runs", *action, "--store", str(tmp_path / "away" / "typo.sqlite")]) == 1
        assert capsys.readouterr().err == f"circuitspex: there is no store at {tmp_path / 'away' / 'typo.sqlite'}\n"
    assert list(tmp_path.iterdir()) == []
