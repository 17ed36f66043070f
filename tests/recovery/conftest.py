"""What makes tests over all decoders quick."""

from importlib import import_module

import pytest

from circuitspex.recovery.decoders import proxyspex


@pytest.fixture
def fewer_trees():
    """An eighth of the boosting rounds: what is tested here does not depend on their number, the time does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxyspex, "_ROUNDS", [10, 25, 50])
        yield


@pytest.fixture
def no_learning_curve(monkeypatch):
    """The learning curve words a warning, and doubles the time where little is explained."""
    monkeypatch.setattr(import_module("circuitspex.recovery._decode"), "learning_curve", lambda *_: [])
