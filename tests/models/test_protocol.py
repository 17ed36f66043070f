"""What the package uses of a model is there in every family of bridges."""

from __future__ import annotations

import torch

from circuitspex.models import Model


def test_every_bridge_is_a_model(model):
    assert isinstance(model, Model)


def test_a_plain_module_is_none():
    assert not isinstance(torch.nn.Linear(2, 2), Model)
