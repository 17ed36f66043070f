"""What the unablated pass leaves is the same whether blocks see all prompts or the first alone."""

from __future__ import annotations

import pytest
import torch

from circuitspex.ablation.executors import clean


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gpt_neox", "qwen3", "mixtral"])
def test_one_prompt_through_the_blocks_shows_what_all_show(family, tiny, monkeypatch) -> None:
    model = tiny.fresh_bridge(family)
    tokens = torch.randint(4, 50, (5, 7), generator=torch.Generator().manual_seed(0))
    ran = []
    real = clean._run
    monkeypatch.setattr(clean, "_run", lambda *args, short: (ran.append(short), real(*args, short=short))[1])
    found = clean.clean_pass(model, tokens)
    assert ran == [True]  # no family needs the whole batch

    def whole(*args, short):
        return real(*args, short=False)

    monkeypatch.setattr(clean, "_run", whole)
    plain = clean.clean_pass(model, tokens)
    assert torch.equal(found.entry, plain.entry)
    assert len(found.entry) == 5
    for one, other in zip(found.positions, plain.positions, strict=True):
        for name in ("cos", "sin", "allowed"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine is None) == (theirs is None)
            assert mine is None or torch.equal(mine, theirs)


def test_a_block_that_needs_all_rows_gets_them(tiny, monkeypatch) -> None:
    model = tiny.fresh_bridge("llama")
    tokens = torch.randint(4, 50, (5, 7), generator=torch.Generator().manual_seed(0))
    expected = clean.clean_pass(model, tokens)

    def picky(module, args, kwargs):
        if len(args[0] if args else kwargs["hidden_states"]) != 5:
            raise RuntimeError("5 rows, please")

    model.blocks[1].register_forward_pre_hook(picky, with_kwargs=True)
    found = clean.clean_pass(model, tokens)
    assert torch.equal(found.entry, expected.entry)
    assert len(found.positions) == len(model.blocks)
