"""The benchmarks for a GPU run to their end on a CPU, on shapes that take no time, and fill their tables."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.ablation.executors.card import forward
from circuitspex.kernels import choice, definitions, operators

BENCH = Path(__file__).parents[2] / "tools/bench"


@pytest.fixture(autouse=True)
def plain_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter, which other tests run kernels in, would take minutes."""
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    monkeypatch.syspath_prepend(str(BENCH))


def ran(monkeypatch: pytest.MonkeyPatch, script: str, *options: str) -> int:
    """The exit status of a script, started as a user starts it but in this process, where everything is imported."""
    monkeypatch.setattr(sys, "argv", [f"tools/bench/{script}", *options])
    try:
        runpy.run_path(str(BENCH / script), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def rows(table: str) -> list[list[str]]:
    """The cells of a table, its heading first."""
    lines = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


KERNELS = ("--device", "cpu", "--dtype", "float32", "--shapes", "tiny", "--all-rows", "24", "--seconds", "0")


def test_every_operator_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "kernels.md"
    assert ran(monkeypatch, "gpu_kernels.py", *KERNELS, "--rows", "3", "6", "--out", str(out)) == 0
    text = out.read_text()
    assert text.endswith("No operator failed, gave other numbers, or gave way to plain PyTorch.\n")
    heading, *found = rows(text)
    assert len({row[0] for row in found}) == 8
    assert [row[2] for row in found] == ["8 × 3", "4 × 6"] * 8
    for row in found:
        assert len(row) == len(heading)
        assert re.fullmatch(r"[\d.]+, [\d.]+", row[3])
        assert all(re.fullmatch(r"[\d.]+, [\d.]+×, [\d.]+", cell) for cell in row[4:7])


def test_an_operator_that_fails_or_is_wrong_fails_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*given: object) -> torch.Tensor:
        raise RuntimeError("no\nkernel image")

    plain = definitions.norm
    monkeypatch.setattr(definitions, "activate", broken)
    monkeypatch.setattr(definitions, "norm", lambda *given: 1.1 * plain(*given))
    chosen = ("--operators", "activate: a gate a neuron", "norm: rows that are on", "attention")
    out = tmp_path / "kernels.md"
    assert ran(monkeypatch, "gpu_kernels.py", *KERNELS, *chosen, "--rows", "6", "--out", str(out)) == 1
    for text in (out.read_text(), capsys.readouterr().out):
        assert "FAILED activate: a gate a neuron, tiny, 6 rows: RuntimeError: no kernel image" in text
        assert re.search("FAILED norm: rows that are on, tiny, 6 rows: .* is 0.1 from plain PyTorch", text)
        assert "FAILED attention" not in text
        assert [row[3] for row in rows(text)[1:]] == ["failed", "failed", rows(text)[3][3]]


@pytest.mark.long
def test_the_table_of_the_engine_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = "--table gpu --device cpu --models tiny --components heads+mlps neurons:8 --masks 6 --single 2 --repeats 1"
    more = f"--length 5 --prompts 1 3 --rows 9 --out {tmp_path} --name engine"
    assert ran(monkeypatch, "ablation.py", *given.split(), *more.split()) == 0
    heading, *found = rows((tmp_path / "engine.md").read_text())
    assert [row[:2] for row in found] == [
        ["tiny, heads+mlps, 0.5", "6 × 1 × 5, 6"],
        ["tiny, neurons:8, 0.5", "6 × 1 × 5, 6"],
        ["tiny, heads+mlps, 0.5", "6 × 3 × 5, 9"],
        ["tiny, neurons:8, 0.5", "6 × 3 × 5, 9"],
    ]
    assert all(len(row) == len(heading) for row in found)
    assert all(float(row[-1]) < 1e-4 for row in found)
    assert found[0][heading.index("the same compiled, ms")] == "–"  # only where asked


def test_the_table_of_the_engine_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = "--device cpu --models tiny --components heads --masks 4 --single 1 --repeats 1 --length 5"
    assert ran(monkeypatch, "ablation.py", *given.split(), "--out", str(tmp_path)) == 0
    heading, row = rows((tmp_path / "ablation.md").read_text())
    assert heading[:4] == ["model", "components", "baseline, kept", "one at a time, ms"]
    assert row[:3] == ["tiny", "heads", "mean, 0.5"]
    assert float(row[-1]) < 1e-4


def test_the_first_line_says_that_no_kernel_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = "--shape tiny --device cpu --dtype float32 --masks 4 --length 5 --repeats 1"
    assert ran(monkeypatch, "gpu_first.py", *given.split()) == 1
    decides, fallback = capsys.readouterr().out.splitlines()
    assert re.match(r"decides: an ablated pass takes [\d.]+ of a plain one of the same batch, [\d.]+ of one", decides)
    assert "tiny, float32, 4 masks × 5 tokens" in decides
    assert fallback.startswith("fallback: plain PyTorch operators: ")


def test_what_gave_way_is_named_and_what_was_called_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from operator_counts import fallbacks, operators_called

    x = torch.randn(1, 2, 4)
    counts = operators_called(lambda: [operators.norm(x, x[0, 0], eps=1e-5) + x for _ in range(3)])
    assert counts == {"norm": 3}
    assert fallbacks("cpu") == [choice.describe()]
    monkeypatch.setattr(choice, "use_triton", lambda tensor: tensor.dtype != torch.float32)  # as on a card
    assert fallbacks("cpu") == sorted(choice._failed)
    monkeypatch.setattr(choice, "_failed", {"norm"})
    assert fallbacks("cpu") == ["norm"]


def test_passes_that_do_not_skip_are_named() -> None:
    from collections import Counter

    from operator_counts import not_as_it_should

    def game(executor: str, why: str | None, *, off: bool = False) -> SimpleNamespace:
        card = SimpleNamespace(_graphs=SimpleNamespace(_off=off))
        group = SimpleNamespace(forward=SimpleNamespace(why_no_kernels=why, _card=card))
        return SimpleNamespace(executor=executor, _engine=SimpleNamespace(_groups=[group]))

    called = Counter({"norm": 3})
    assert not_as_it_should(game("fused: shared and ablated work is skipped", None), called, "cuda") == []
    assert not_as_it_should(game("batched hooks", None), called, "cuda") == ["executor batched hooks"]
    assert not_as_it_should(game("fused", "heads wider than 256"), called, "cuda:0") == [
        "no passes on a card: heads wider than 256"
    ]
    assert not_as_it_should(game("fused", None), Counter(), "cuda") == ["the executor called none of the operators"]
    assert not_as_it_should(game("fused", None, off=True), called, "cuda") == [
        "passes could not be recorded as CUDA graphs"
    ]
    assert not_as_it_should(game("fused", "no kernels for torch.float32 on cpu"), Counter(), "cpu") == []


def test_passes_that_run_as_on_a_card_are_as_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real game: what is asked of its parts is there."""
    from ablation_models import build
    from operator_counts import not_as_it_should, operators_called

    monkeypatch.setattr(forward, "runs_on", lambda weight: True)
    model, _, task = build("tiny", "cpu", torch.bfloat16, 1, 5)
    game = cx.ComponentGame(model, task, "heads+mlps", "mean")
    gates = cx.sample_masks(game.n_players, 6, seed=0).astype(float)
    called = operators_called(lambda: game._engine.evaluate(gates))
    assert {"project_in", "attention", "norm", "activate", "add_norm"} <= set(called)
    assert not_as_it_should(game, called, "cuda") == []


def test_operations_are_counted_from_what_the_masks_keep() -> None:
    from ablation_models import build
    from ablation_on_card import Case, work_of
    from model_shapes import TINY
    from pass_cost import Batch, ablated_layer, ablated_pass, operations

    model, plain, task = build("tiny", "cpu", torch.float32, 2, 5)
    case = Case(model, plain, task, "heads+mlps", "mean", 0.5, 4, 8, 1, 1, None, TINY, 1.0)
    game = cx.ComponentGame(model, task, "heads+mlps", "mean")
    place = {name: number for number, name in enumerate(game.names)}
    masks = np.ones((4, game.n_players), dtype=bool)
    assert operations(work_of(case, game, masks)) == operations(ablated_pass(TINY, Batch(4, 2, 5)))
    # A whole key/value head of two in layer 0; one head of either in layer 1.
    masks[:, [place[name] for name in ("L0H0", "L0H1", "L1H0", "L1H2")]] = False
    masks[:2, [place["L0M"], place["L1M"]]] = False
    layers = [
        *ablated_layer(TINY, Batch(4, 2, 5, heads=0.5, kv=0.5, mlps=0.5)),
        *ablated_layer(TINY, Batch(4, 2, 5, heads=0.5, kv=1.0, mlps=0.5), tail=1),
    ]
    assert operations(work_of(case, game, masks)) == operations(layers) + 4 * 2 * 2 * TINY.d_model * TINY.vocab
    neurons = cx.ComponentGame(model, task, "neurons:8", "mean")
    assert work_of(case, neurons, np.ones((4, neurons.n_players), dtype=bool)) == []
