"""What a token is to the position that attends, against loops that say the same in words."""

from __future__ import annotations

import pytest
import torch

from circuitspex.circuits.roles.kinds import KINDS, kinds_of, shares_of


def is_of(kind, tokens, answer, wrong, start, end):
    """One token and one position, by the words."""
    if end > start:
        return False
    if kind in ("answer", "wrong answer"):
        return tokens[end] == (answer if kind == "answer" else wrong)
    if end == start:
        return False
    if kind == "previous token":
        return end == start - 1
    if kind == "same token":
        return tokens[end] == tokens[start]
    return end > 0 and tokens[end - 1] == tokens[start]


@pytest.mark.parametrize("seed", range(3))
def test_kinds_and_shares_are_those_of_loops(seed):
    made = torch.Generator().manual_seed(seed)
    n_prompts, n = 3, int(torch.randint(1, 9, (1,), generator=made))
    tokens = torch.randint(0, 4, (n_prompts, n), generator=made)
    answers, wrong = torch.tensor([0, 1, 2]), torch.tensor([1, 3, 9])
    attention = torch.rand((n_prompts, n, n), generator=made).tril()
    attention = attention / attention.sum(2, keepdim=True)
    weights = torch.rand((n_prompts, n), generator=made)
    weights = weights / weights.sum(1, keepdim=True)
    kinds = kinds_of(tokens, answers, wrong)
    assert list(kinds) == list(KINDS)
    shares = shares_of(kinds, attention, weights)
    for kind, mask in kinds.items():
        for p in range(n_prompts):
            paid = even = 0.0
            for start in range(n):
                for end in range(n):
                    one = is_of(kind, tokens[p].tolist(), int(answers[p]), int(wrong[p]), start, end)
                    assert bool(mask[p, start, end]) == one
                    paid += float(weights[p, start] * attention[p, start, end]) * one
                    even += float(weights[p, start]) / (start + 1) * one
            assert float(shares[kind][0][p]) == pytest.approx(paid, abs=1e-5)
            assert float(shares[kind][1][p]) == pytest.approx(even, abs=1e-5)
