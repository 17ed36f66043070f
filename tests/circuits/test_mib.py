"""MIB's protocol: its evaluation written a second time on plain Hugging Face modules, and what its report says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import MIBReport, mib_scores
from circuitspex.circuits.evidence.curve import SHARES, sizes_of
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
from attribution_reference import Plain


@pytest.fixture(scope="module")
def nodes(tiny: SimpleNamespace) -> tuple[Any, Any]:
    model = tiny.bridge("gpt2")
    task = tiny.task(model, (5,) * 8)
    return cx.ComponentGame(model, task, "heads+mlps", "resample"), task


def plain_metric(plain: Plain, task: Any, kept: set[str]) -> np.ndarray:
    """The logit difference of each prompt where other heads and MLPs give what they give on the counterfactual."""
    pairs = zip(task.tokens, task.counterfactual_tokens, task.answers, task.wrong_answers, strict=True)
    return np.array([plain_difference(plain, *each, kept) for each in pairs])


def plain_difference(plain: Plain, tokens: Any, other: Any, answer: Any, wrong: Any, kept: set[str]) -> float:
    """The same of one prompt."""
    corrupt: dict[str, torch.Tensor] = {}

    def heads(module: Any, args: Any, layer: int) -> Any:
        z = args[0]
        if f"z{layer}" not in corrupt:
            corrupt[f"z{layer}"] = z
            return None
        gate = torch.tensor([f"L{layer}H{h}" in kept for h in range(plain.n_heads)])
        gate = gate.repeat_interleave(z.shape[-1] // plain.n_heads)
        return (torch.where(gate, z, corrupt[f"z{layer}"]),)

    def mlp(module: Any, args: Any, output: Any, layer: int) -> Any:
        if f"m{layer}" not in corrupt:
            corrupt[f"m{layer}"] = output
            return None
        return output if f"L{layer}M" in kept else corrupt[f"m{layer}"]

    handles = []
    for layer, block in enumerate(plain.layers):
        pre = plain.out_projection(layer).register_forward_pre_hook
        handles.append(pre(lambda m, a, layer=layer: heads(m, a, layer)))
        handles.append(block.mlp.register_forward_hook(lambda m, a, o, layer=layer: mlp(m, a, o, layer)))
    with torch.no_grad():
        plain.model(input_ids=other[None])
        logits = plain.model(input_ids=tokens[None]).logits[0, -1]
    for handle in handles:
        handle.remove()
    return float(logits[answer] - logits[wrong])


def test_areas_are_those_of_mibs_evaluation(tiny: SimpleNamespace, nodes: tuple[Any, Any]) -> None:
    game, task = nodes
    plain = Plain(tiny.hf_model("gpt2"))
    scores = np.random.default_rng(3).normal(size=game.n_players)
    report = mib_scores(game, {"mine": scores}, progress=False)
    with torch.no_grad():
        runs = [
            plain.model(input_ids=task.counterfactual_tokens[i : i + 1]).logits[0, -1] for i in range(task.n_prompts)
        ]
    corrupted = np.mean([float(r[a] - r[w]) for r, a, w in zip(runs, task.answers, task.wrong_answers, strict=True)])
    baseline = plain_metric(plain, task, set(game.names)).mean()
    assert report.empty == pytest.approx(corrupted, abs=1e-4)
    assert report.full == pytest.approx(baseline, abs=1e-4)
    for name, keys in (("mine", scores), ("|mine|", np.abs(scores))):
        f = []
        for share in SHARES:
            best = sorted(range(game.n_players), key=lambda i, keys=keys: -keys[i])[: int(share * game.n_players)]
            kept = plain_metric(plain, task, {game.names[i] for i in best}).mean()
            f.append((kept - corrupted) / (baseline - corrupted))
        curve = report.curves[name]
        np.testing.assert_allclose([v.value for v in curve.values], f, atol=1e-3)
        under = sum((SHARES[i + 1] - SHARES[i]) * (f[i] + f[i + 1]) / 2 for i in range(9))
        from_one = sum((SHARES[i + 1] - SHARES[i]) * (abs(1 - f[i]) + abs(1 - f[i + 1])) / 2 for i in range(9))
        assert curve.cpr.value == pytest.approx(under, abs=1e-3)
        assert curve.cmd.value == pytest.approx(from_one, abs=1e-3)


def test_edges_of_a_circuit_of_nodes_are_all_between_kept_ones(nodes: tuple[Any, Any]) -> None:
    game, _ = nodes
    report = mib_scores(game, {"a": np.arange(game.n_players)[::-1]}, progress=False)
    # By hand: 3 layers of 4 heads and an MLP. Each head reads q, k and v of the embeddings and of all kept before it.
    n = 0
    before = 1
    for _ in range(3):
        n += 4 * 3 * before
        before += 4
        n += before
        before += 1
    assert report.edges["a"][-1] == n + before
    assert report.edges["a"][0] == 1  # from the embeddings to the logits
    size = report.sizes[-3]
    assert (size, report.edges["a"][-3]) == (3, 3 * 3 + 1 + 3)  # three heads of layer 0


def test_a_decoded_function_gives_its_circuits_and_gains(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    game, task = nodes
    masks = cx.sample_masks(game.n_players, 40, seed=1)
    run = game.evaluate(masks, gradients=True, progress=False)
    function = cx.decode(run.masks, run.values, gradients=run.gradients, names=game.names)
    ways = {"decoded": function, "NAP": cx.attribution_scores(game, progress=False)}
    report = mib_scores(game, ways, task, progress=False)
    assert list(report.curves) == ["chosen", "matched", "NAP", "|NAP|"]
    assert report.passes == {"chosen": 40, "matched": 40, "NAP": 1, "|NAP|": 1}
    assert {(g.way, g.other) for g in report.gains} == {(a, b) for a in ("chosen", "matched") for b in ("NAP", "|NAP|")}
    by_hand = report.curves["chosen"].cpr.value - report.curves["NAP"].cpr.value
    assert report.gains[0].cpr.value == pytest.approx(by_hand)
    text = str(report)
    for said in ("MIB's protocol over 15 nodes", "0.1 %", "100 %", "CPR", "CMD", "chosen over NAP"):
        assert said in text
    data = json.loads(report.save(tmp_path / "mib.json").read_text())
    assert data["format"] == "circuitspex.mib"
    assert data["curves"]["NAP"]["cpr"]["value"] == pytest.approx(report.curves["NAP"].cpr.value)
    assert str(MIBReport.load(tmp_path / "mib.json")) == text
    assert report.plot(tmp_path / "mib.png").stat().st_size > 5000


def test_ten_circuits_are_taken_as_they_are(nodes: tuple[Any, Any]) -> None:
    game, _ = nodes
    order = list(np.random.default_rng(5).permutation(game.n_players))
    scores = -np.argsort(order).astype(float)
    sizes = sizes_of(game.n_players)
    by_name = [[game.names[i] for i in order[:size]] for size in sizes]
    report = mib_scores(game, {"ranked": scores, "given": by_name}, passes={"given": 3}, progress=False)
    assert report.curves["given"].cpr == report.curves["ranked"].cpr
    assert report.passes["given"] == 3
    with pytest.raises(UserError, match=r"keeps 1 of 15 where MIB's 0\.1% are 0"):
        mib_scores(game, {"given": [["L0H0"], *by_name[1:]]}, progress=False)
    with pytest.raises(UserError, match="keeps L9H9, which is not among the 15"):
        mib_scores(game, {"given": [*by_name[:-1], ["L9H9"]]}, progress=False)
    with pytest.raises(UserError, match="has 9 circuits"):
        mib_scores(game, {"given": by_name[1:]}, progress=False)


def test_what_chooses_by_size_gives_chosen_and_matched(nodes: tuple[Any, Any]) -> None:
    game, _ = nodes
    order = [game.names[i] for i in np.random.default_rng(2).permutation(game.n_players)]

    class Finder:
        names = game.names
        passes = 9

        def chosen(self, size: int) -> Any:
            return SimpleNamespace(names=order[:size])

        def matched(self, size: int) -> Any:
            return SimpleNamespace(names=order[::-1][:size])

    sizes = sizes_of(game.n_players)
    given = {"one": [order[:size] for size in sizes], "other": [order[::-1][:size] for size in sizes]}
    report = mib_scores(game, {"found": Finder(), **given}, progress=False)
    assert list(report.curves) == ["chosen", "matched", "one", "other"]
    assert report.curves["chosen"].cpr == report.curves["one"].cpr
    assert report.curves["matched"].cpr == report.curves["other"].cpr
    assert report.passes["chosen"] == 9


def test_what_is_no_protocol_of_mib_is_one_line(tiny: SimpleNamespace, nodes: tuple[Any, Any]) -> None:
    game, task = nodes
    scores = np.zeros(game.n_players)
    mean = cx.ComponentGame(game.model, task, "heads+mlps", "mean")
    with pytest.raises(UserError, match="the baseline 'resample', not 'mean'"):
        mib_scores(mean, {"a": scores})
    heads = cx.ComponentGame(game.model, task, "heads", "resample")
    with pytest.raises(UserError, match="has 12 of 15; take 'heads\\+mlps'"):
        mib_scores(heads, {"a": scores[:12]})
    with pytest.raises(UserError, match="no way to choose"):
        mib_scores(game, {})
    with pytest.raises(UserError, match="have no rank"):
        mib_scores(game, {"a": scores * np.nan})
    with pytest.raises(UserError, match="the game has 15 players"):
        mib_scores(game, {"a": scores[:12]})
    other = cx.attribution_scores(heads, progress=False)
    with pytest.raises(UserError, match="'NAP' is of 12 other components"):
        mib_scores(game, {"NAP": other})
    function = cx.FunctionGame(lambda masks: masks.sum(1) * 1.0, 4)
    with pytest.raises(UserError, match="a ComponentGame or an EdgeGame"):
        mib_scores(function, {"a": np.zeros(4)})
