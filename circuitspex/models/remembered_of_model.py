"""What is remembered of a model's weights: trials that they passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from circuitspex.models.float32_products import float32_products
from circuitspex.models.identity import model_identity
from circuitspex.models.protocol import Model
from circuitspex.models.remembered import is_on, recalled, remember
from circuitspex.models.state import ModelState

_PASSED = b"passed"


def facts_of(model: Model, state: ModelState) -> dict[str, Any] | None:
    """All that a model's passes depend on; None where that can't be said: it has hooks, or nothing is remembered.

    Args:
        model: the bridge.
        state: what it is now.
    """
    if state.foreign or not is_on():
        return None
    return {
        "weights": model_identity(model, state),
        "wrapped": type(model).__qualname__,
        **facts_of_class(getattr(model, "original_model", model)),
        "numerics": [list(each) for each in state.numerics],
    }


def facts_of_class(own: Any) -> dict[str, Any]:
    """What else of a Hugging Face model its passes depend on: its class, how it runs, in which numbers and where."""
    config = getattr(own, "config", None)
    return {
        "class": f"{type(own).__module__}.{type(own).__qualname__}",
        "attention": str(getattr(config, "_attn_implementation", None)),
        "experts": str(getattr(config, "_experts_implementation", None)),
        "dtypes": sorted({str(parameter.dtype) for parameter in own.parameters()}),
        "products": float32_products(),
        "devices": sorted({_name(parameter.device) for parameter in own.parameters()}),
    }


def unless_passed(
    model: Model, state: ModelState, trial: str, about: Mapping[str, Any], why: Callable[[], str | None]
) -> str | None:
    """What is wrong, as a trial finds it; None at once where it found nothing in an earlier process.

    Only what passed is remembered: a reason against a model is found anew each time.

    Args:
        model: the bridge.
        state: what it is now.
        trial: the trial's name.
        about: what else its outcome depends on, as JSON.
        why: the trial; None is passed.
    """
    facts = facts_of(model, state)
    if facts is None:
        return why()
    facts = {**facts, "trial": trial, **about}
    if recalled("trial", facts) == _PASSED:
        return None
    reason = why()
    if reason is None:
        remember("trial", facts, _PASSED)
    return reason


def _name(device: Any) -> str:
    """A device by what it is."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}"
