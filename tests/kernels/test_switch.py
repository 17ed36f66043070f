"""The kernels can be switched off by the environment, and a wrong word there is named."""

from __future__ import annotations

import pytest
import torch

from circuitspex import kernels
from circuitspex.errors import UserError
from circuitspex.kernels import choice


def on_a_card() -> torch.Tensor:
    return torch.empty(2, device="cuda" if torch.cuda.is_available() else "cpu", dtype=torch.bfloat16)


def test_the_switch_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton can't be imported")
    monkeypatch.delenv("CIRCUITSPEX_KERNELS", raising=False)
    assert kernels.use_triton(on_a_card())
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "on")
    assert kernels.use_triton(on_a_card())
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    assert not kernels.use_triton(on_a_card())
    assert "CIRCUITSPEX_KERNELS is off" in kernels.describe()


def test_switched_off_the_plain_definition_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fast() -> torch.Tensor:
        raise AssertionError("a kernel ran")

    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    plain = torch.ones(3)
    assert choice.with_fallback("some operator", on_a_card(), fast, lambda: plain) is plain


def test_another_word_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "of")
    with pytest.raises(UserError, match="CIRCUITSPEX_KERNELS is 'of'; allowed: on, off"):
        kernels.use_triton(on_a_card())
