"""How much a batch may take, and what a row of it does."""

from __future__ import annotations

import pytest
import torch

from circuitspex.errors import UserError
from circuitspex.models import pass_memory
from circuitspex.models.pass_memory import SETTING, bytes_a_row, for_a_batch, rows_that_fit

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def ten_gigabytes(monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)
    monkeypatch.setattr(pass_memory, "free_memory", lambda device: 10**10)


def test_half_of_what_is_free_unless_told_otherwise(monkeypatch):
    assert for_a_batch(CPU) == 5e9
    for said, found in (("0.2", 2e9), ("4GB", 4e9), ("500mb", 5e8), ("1.5 G", 1.5e9), (".5GB", 5e8), ("64GB", 1e10)):
        monkeypatch.setenv(SETTING, said)
        assert for_a_batch(CPU) == pytest.approx(found)


@pytest.mark.parametrize("said", ["half", "1.5", "0", "0GB", "-1GB", "4XB", "0.5GB!"])
def test_another_setting_is_refused_in_one_line(monkeypatch, said):
    monkeypatch.setenv(SETTING, said)
    with pytest.raises(UserError, match=rf"{SETTING}={said} is neither a share"):
        for_a_batch(CPU)


def test_as_many_rows_as_the_share_holds(tiny, monkeypatch):
    model = tiny.bridge("llama")
    one = bytes_a_row(model, 50, gradients=True)
    monkeypatch.setattr(pass_memory, "free_memory", lambda device: 2 * 7 * one + 1)
    assert rows_that_fit(model, 50, gradients=True) == 7
    monkeypatch.setenv(SETTING, "0.3")
    assert rows_that_fit(model, 50, gradients=True) == 4
    monkeypatch.setenv(SETTING, "1KB")
    assert rows_that_fit(model, 50, gradients=True) == 1


def test_scores_count_where_they_are_held(tiny):
    """Four times the length: four times the memory in one operator, up to sixteen where all scores are there."""
    plain, capped = tiny.bridge("llama"), tiny.bridge("gemma2")

    def grows(model, **how):
        long, short = (bytes_a_row(model, n, **how) - 16 * int(model.cfg.d_vocab) for n in (40_000, 10_000))
        return long / short

    assert grows(plain, fused=True) == pytest.approx(4, abs=0.01)
    assert grows(plain) == pytest.approx(16, abs=0.1)
    assert grows(capped, fused=True) == pytest.approx(16, abs=0.1)
    wide, half = (bytes_a_row(tiny.bridge("llama", dtype), 9) for dtype in (torch.float32, torch.bfloat16))
    assert wide == 2 * half
