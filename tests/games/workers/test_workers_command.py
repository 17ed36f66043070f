"""``--workers`` on the command line: what it says where something is wrong, and that each verb's ablations go there."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from saved_models import saved

import circuitspex as cx
from circuitspex.cli.main import main
from circuitspex.games.workers.crew import Crew, Job
from circuitspex.games.workers.recipe import Recipe

GAME = """
class Game:
    n_players = 4

    def __call__(self, masks):
        return masks @ [1.0, 2.0, 4.0, 8.0]
"""


@pytest.fixture
def at_work(workers: cx.RayWorkers, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The workers that there are, in the place of those that a command would start; what was asked for."""
    asked: list[Any] = []

    @contextlib.contextmanager
    def given(address: str, *, gpus: float | None) -> Iterator[cx.RayWorkers]:
        asked.append((address, gpus))
        yield workers

    monkeypatch.setattr("circuitspex.games.workers.ray_workers.RayWorkers", given)
    return asked


def ran(workers: cx.RayWorkers) -> int:
    return sum(member.ablations for member in workers._crew._members)


def shown(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_each_verb_runs_there(
    workers: cx.RayWorkers,
    at_work: list[Any],
    folder: Path,
    task_file: Path,
    tiny: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = saved(tiny, tmp_path / "other", seed=1)
    (tmp_path / "far_game.py").write_text(GAME)
    small = ("--budget", "12", "--heldout-masks", "8", "--contexts", "4")
    verbs = [
        ("find", "--model", str(folder), "--task", str(task_file), "--store", "off", *small),
        ("tokens", "--model", str(folder), "--prompt", "w1 w2 w3", "--answer", " w4", "--store", "off"),
        ("compare", "--model", str(folder), "--model", str(other), "--task", str(task_file), "--store", "off", *small),
        ("explain", f"{tmp_path / 'far_game.py'}:Game", *small),
    ]
    for verb in verbs:
        before = ran(workers)
        there = shown(capsys, *verb, "--workers", "local:2", "--worker-gpus", "0")
        assert ran(workers) > before, verb
        here = shown(capsys, *verb)
        assert found_in(there) == found_in(here, pytest.approx)
    assert at_work == [("local:2", 0.0)] * 4


def found_in(said: Any, number: Callable[..., Any] = lambda number, abs: number) -> Any:
    """What was found, without what differs from run to run: seconds and bytes."""
    if isinstance(said, dict):
        return {name: found_in(each, number) for name, each in said.items() if name not in ("run", "files")}
    if isinstance(said, list):
        return [found_in(each, number) for each in said]
    return number(said, abs=1e-4) if isinstance(said, float) else said


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    rows = [
        {"prompt": f"w{i} w2 w3", "counterfactual": f"w9 w{i} w4", "answer": " w5", "wrong_answer": " w6"}
        for i in range(8)
    ]
    path = tmp_path / "task.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--workers", "here"], "'here' is no address of workers; allowed: local:4"),
        (["--workers", "local:0"], "'local:0' is no address of workers"),
        (
            ["--workers", "local:99999999999"],
            "'local:99999999999' asks for too many processes on this machine; at most local:1024",
        ),
        (["--workers", "127.0.0.1:1"], "there is no Ray cluster at 127.0.0.1:1 (Connection refused); start one"),
        (["--workers", "ray://127.0.0.1:1"], "there is no Ray cluster at ray://127.0.0.1:1 (Connection refused)"),
        (["--worker-gpus", "1"], "--worker-gpus is of --workers: give their address"),
    ],
)
def test_wrong_addresses_are_one_line(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "--model", "smollm2-135m", "--task", "ioi", "--store", "off", *given]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"circuitspex: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ray": 3}, "ray must be further arguments of ray.init by name, not '3'"),
        ({"ray": {3: 4}}, "ray must be further arguments"),
        ({"cpus": 0, "gpus": 0}, "cpus and gpus are both 0"),
    ],
)
def test_wrong_arguments_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(cx.UserError, match=said):
        cx.RayWorkers("local:1", **options)


def test_what_ray_can_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", init)
    with pytest.raises(cx.UserError, match="Ray could not be started on this machine: The current node timed out"):
        cx.RayWorkers("local:2")


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(cx.UserError, match=r"Ray, which is not installed here: pip install 'circuitspex\[ray\]'"):
        cx.RayWorkers("local:2")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"gpus": 1.5}, "gpus must be a whole number, or a share"),
        ({"cpus": -1}, "cpus must be a finite number"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"gpus": 2}, "each worker asks for 2 GPUs and the largest machine of the cluster has 0"),
        ({"n": 5}, r"5 workers with 1 CPU each were asked for, and the cluster has room for 2 \(2 CPUs on 1 machine"),
        ({"cpus": 0}, "cpus and gpus are both 0"),
        ({"address": "local:2"}, "connected to a Ray cluster already"),
    ],
)
def test_more_than_there_is(workers: cx.RayWorkers, given: dict[str, Any], said: str) -> None:
    with pytest.raises(cx.UserError, match=said):
        cx.RayWorkers(**given)


def test_another_version_is_not_used(workers: cx.RayWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("circuitspex.games.workers.crew.running_code", lambda: {"version": "9.9", "code": "f00"})
    crew = Crew(1, 0, 0, "auto", retries=0, patience=60)
    with (
        pytest.warns(UserWarning, match=r"runs circuitspex .*, this is 9\.9 \(files f00\): install the same there"),
        pytest.raises(cx.UserError, match=r"no worker is left: .* this is 9\.9"),
    ):
        list(crew.run([Job(Recipe(dict), None, "keys")]))
    crew.close()


@pytest.mark.filterwarnings("ignore:.*was refused")
def test_a_source_that_workers_cant_read(workers: cx.RayWorkers, folder: Path, task: cx.Task, tmp_path: Path) -> None:
    there = tmp_path / "model"
    shutil.copytree(folder, there)
    game = cx.ComponentGame(cx.load_model(there), task, "heads", workers=workers)
    shutil.rmtree(there)
    with pytest.raises(cx.UserError, match=r"no worker is left: worker .* was refused: it can't load .*model"):
        game([[True] * game.n_players])


def test_a_model_in_memory_only(workers: cx.RayWorkers, tiny: Any) -> None:
    bridge = tiny.bridge("llama")
    with pytest.raises(cx.UserError, match="workers load the model themselves, and this one is in memory only"):
        cx.ComponentGame(bridge, tiny.task(bridge), "heads", workers=workers)([[True] * 12])
