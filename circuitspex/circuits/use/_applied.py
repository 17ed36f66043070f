"""A model that runs with only a circuit, without it, or with its components scaled, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any
from weakref import WeakSet

from circuitspex.ablation.passes import Hook
from circuitspex.ablation.sites import sites_of
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.use.parts import check_lens, parts_of
from circuitspex.circuits.use.stand_ins import Prompts, baseline_for, stand_ins
from circuitspex.components import Latents, Selector, model_structure
from circuitspex.errors import UserError
from circuitspex.models import model_identity
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
        only = keep is True or (keep is None and scale is None)
        hooks = _hooks(circuit, model, only, gate, name, prompts, among, latents)
        named = [(place, function) for place, function in hooks if isinstance(place, str)]
        with contextlib.ExitStack() as stack:
            _busy.add(key)
            stack.callback(_busy.discard, key)
            for place, function in hooks:
                if not isinstance(place, str):
                    stack.callback(place.register_forward_hook(function, with_kwargs=True).remove)
            stack.enter_context(model.hooks(named))
            yield model


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


def _hooks(
    circuit: Circuit,
    model: Model,
    only: bool,
    gate: float,
    baseline: str,
    prompts: Prompts | None,
    among: Selector | None,
    latents: Any,
) -> list[Hook]:
    """What changes the activations in each pass."""
    structure = model_structure(model, latents)
    parts = parts_of(circuit, structure, among)
    _warn_of_other_weights(circuit, model)
    parameter = next(model.parameters())
    gates = parameter.new_ones((1, len(parts.all) + 1))
    gates[:, : len(parts.members)] = gate
    if only:
        gates[:, len(parts.members) : -1] = 0.0
    sites = sites_of(structure, parts.all)
    # A position axis of length 1: whatever the pass is, all of a prompt or the next token, each token is gated alike.
    chosen = [(site, site.unit_index(len(parts.all), 1).to(parameter.device)) for site in sites]
    chosen = [(site, index) for site, index in chosen if bool((gates[:, index] != 1).any())]
    instead = stand_ins(circuit, model, [site for site, _ in chosen], baseline, prompts)
    return [hook for site, index in chosen for hook in site.hooks(gates, index, instead[site.hook], 1)]


def _warn_of_other_weights(circuit: Circuit, model: Model) -> None:
    wanted = circuit.model.get("identity")
    if wanted and model_identity(model) != wanted:
        warnings.warn(
            "these are not the weights that the circuit was found in: what was measured of it need not hold here",
            stacklevel=5,
        )
