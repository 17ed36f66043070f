"""The table of baselines: light to import, listed in the docs and the command line, and open to others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitspex import ComponentGame
from circuitspex.ablation import BASELINES, Baseline, check_baseline
from circuitspex.cli.main import main
from circuitspex.errors import UserError


def test_the_table_imports_nothing_heavy():
    code = "import circuitspex.ablation.baselines, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "circuitspex.ablation.baselines" in loaded
    assert not set(loaded) & {"torch", "numpy", "transformers", "transformer_lens"}


def test_the_docs_and_the_help_list_every_baseline(capsys):
    page = (Path(__file__).parents[2] / "docs" / "components.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["find", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, baseline in BASELINES.items():
        assert f"| `{name}` | {baseline.about} | {baseline.needs}".rstrip() in page
        assert f"{name}: {baseline.about}" in shown


def test_an_unknown_one_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match=f"^unknown baseline 'median'; allowed: {', '.join(BASELINES)}$"):
        check_baseline("median")


def test_one_of_ones_own_is_gated_like_the_others(monkeypatch, tiny):
    """The largest over the prompts themselves, which no other baseline gives, against plain hooks."""
    model = tiny.bridge("llama")
    task = tiny.task(model)
    seen = {}

    def largest(model, sites, group):
        for site in sites:
            keep = [(site.hook, lambda z, hook: seen.update({hook.name: z.amax(0, keepdim=True)}))]
            model.run_with_hooks(group.tokens, fwd_hooks=keep, use_cache=False)
        return {site.hook: seen[model.hook_dict[site.hook].name] for site in sites}

    monkeypatch.setattr(BASELINES, "_entries", dict(BASELINES._entries))
    BASELINES.add("largest", Baseline("the largest over the prompts", "", largest))
    game = ComponentGame(model, task, "L1H0+L2M", "largest")
    found = game.evaluate(np.array([[False, False]]), progress=False).values

    def head(z, hook):
        z = z.clone()
        z[:, :, 0] = seen[hook.name][:, :, 0]
        return z

    with torch.no_grad():
        hooks = [
            ("blocks.1.attn.hook_z", head),
            ("blocks.2.hook_mlp_out", lambda z, hook: seen[hook.name].expand_as(z)),
        ]
        logits = model.run_with_hooks(task.tokens, fwd_hooks=hooks)[:, -1]
    right, wrong = (logits.gather(1, answers[:, None]) for answers in (task.answers, task.wrong_answers))
    np.testing.assert_allclose(found, [float((right - wrong).mean())], atol=1e-4)


@pytest.mark.parametrize("executor", ["hooks", "batched", "fused"])
def test_the_mean_vector_is_one_over_all_positions_of_all_reference_prompts(tiny, executor):
    """Against plain hooks, for prompts of two lengths, with reference prompts of a third."""
    model = tiny.bridge("llama")
    task = tiny.task(model, lengths=(5, 5, 4), reference=["w1 w2 w3 w4 w5", "w6 w7 w8 w9", "w3 w1"])
    places = {"blocks.1.attn.hook_z": 0, "blocks.2.hook_mlp_out": None}
    kept = {place: [] for place in places}
    with torch.no_grad():
        for row, n in zip(task.reference_tokens, task.reference_lengths.tolist(), strict=True):
            hooks = [(place, lambda z, hook, place=place: kept[place].append(z[0])) for place in places]
            model.run_with_hooks(row[None, :n], fwd_hooks=hooks)
    vectors = {place: torch.cat(rows).mean(0) for place, rows in kept.items()}
    assert all(len(rows) == 3 for rows in kept.values())

    def put(z, hook, place):
        z = z.clone()
        if places[place] is None:
            return vectors[place].expand_as(z)
        z[:, :, 0] = vectors[place][0]
        return z

    wanted = []
    for row, n, right, wrong in zip(task.tokens, task.lengths, task.answers, task.wrong_answers, strict=True):
        hooks = [(place, lambda z, hook, place=place: put(z, hook, place)) for place in places]
        with torch.no_grad():
            logits = model.run_with_hooks(row[None, : int(n)], fwd_hooks=hooks)[0, -1]
        wanted.append(float(logits[right] - logits[wrong]))
    game = ComponentGame(model, task, "L1H0+L2M", "mean_vector", executor=executor)
    run = game.evaluate(np.array([[False, False]]), progress=False)
    np.testing.assert_allclose(run.per_prompt[0], wanted, atol=1e-4)


def test_reference_prompts_of_other_lengths_are_no_other_game_unless_they_count(tiny):
    """With a mean by position they change nothing; with one over positions the store must tell the two apart."""
    model = tiny.bridge("llama")
    tasks = [tiny.task(model, lengths=(5, 5), reference=["w1 w2 w3 w4 w5", other]) for other in ("w6", "w7 w8")]
    facts = {b: [ComponentGame(model, task, "heads", b)._facts() for task in tasks] for b in ("mean", "mean_vector")}
    assert facts["mean"][0] == facts["mean"][1]
    assert facts["mean_vector"][0] != facts["mean_vector"][1]


def test_a_mean_over_no_prompts_is_refused(tiny):
    from circuitspex.ablation.mean_vectors import mean_vectors

    with pytest.raises(UserError, match=r"^there are no prompts to take the mean over"):
        mean_vectors(tiny.bridge("llama"), [], [[]])
