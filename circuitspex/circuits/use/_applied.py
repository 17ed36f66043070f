"""A model that runs with only a circuit, without it, or with its components scaled, for as long as a block lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any
from weakref import WeakSet

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.use.parts import check_lens
from circuitspex.circuits.use.ready import ready, warn_of_other_weights
from circuitspex.circuits.use.stand_ins import Prompts, baseline_for
from circuitspex.components import Latents, Selector, model_structure
from circuitspex.errors import UserError
from circuitspex.models.alone import alone
from circuitspex.models.given import GivenModel, model_of
from circuitspex.models.protocol import Model

_busy: WeakSet[Any] = WeakSet()
"""The models that a circuit is applied to at the moment."""


@contextlib.contextmanager
def applied(
    circuit: Circuit,
    model: GivenModel,
    *,
    keep: bool | None = None,
    scale: float | None = None,
    baseline: str | None = None,
    prompts: Prompts | None = None,
    among: Selector | None = None,
    latents: Latents | Sequence[Latents] | None = None,
) -> Iterator[Model]:
    """Within the block the model runs so, on any prompt; see ``Circuit.applied``."""
    gate = _gate(keep, scale)
    check_lens(circuit)
    name = baseline_for(circuit, baseline)
    model = model_of(model)
    key = getattr(model, "original_model", None) or model
    with alone(model):
        if key in _busy:
            raise UserError("a circuit is applied to this model already; end that block before another begins")
        others = 0.0 if keep is True or (keep is None and scale is None) else 1.0
        structure = model_structure(model, latents)
        made = ready(circuit, model, structure, gate=gate, others=others, baseline=name, prompts=prompts, among=among)
        warn_of_other_weights(circuit, model, stacklevel=3)
        _busy.add(key)
        try:
            with made.hooked(model):
                yield model
        finally:
            _busy.discard(key)


def _gate(keep: bool | None, scale: float | None) -> float:
    """The gate of the circuit's own components.

    Raises:
        UserError: no such ``keep`` or ``scale``, or the two don't go together.
    """
    if keep is not None and not isinstance(keep, bool):
        raise UserError(f"keep is True (only the circuit), False (all but the circuit) or None, not {keep!r}")
    if scale is None:
        return 0.0 if keep is False else 1.0
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not isfinite(scale):
        raise UserError(f"scale is a finite number, such as 0.5 or 2, not {scale!r}")
    if keep is False:
        raise UserError("keep=False ablates the circuit's components, so there is nothing to scale; leave one out")
    return float(scale)
