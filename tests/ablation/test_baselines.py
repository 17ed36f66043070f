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
