"""A model that runs with only a circuit, without it, or with its components scaled, for as long as a block lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from numbers import Real
from typing import Any
from weakref import WeakSet

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.use.edges_ready import edges_ready
from circuitspex.circuits.use.parts import check_lens, of_edges
from circuitspex.circuits.use.ready import ready, warn_of_other_weights
from circuitspex.circuits.use.stand_ins import Prompts, baseline_for, check_for_any_prompt, rows_of, tokens_of
from circuitspex.components import Latents, Selector, model_structure
from circuitspex.components._select_edges import check_edge_selector
from circuitspex.components.edges import EdgeSelector, is_of_edges
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
    gate, others = gates_of(keep, scale)
    edges = of_edges(circuit)
    if not edges:
        check_lens(circuit)
    elif latents is not None:
        raise UserError("this is a circuit of edges, which has no latents; leave them out")
    elif not circuit.nodes:
        raise UserError("the circuit has no edges")
    name = baseline_for(circuit, baseline)
    model = model_of(model)

    def made() -> AbstractContextManager[None]:
        structure = model_structure(model, latents)
        warn_of_other_weights(circuit, model, stacklevel=6)
        if not edges:
            options: dict[str, Any] = {"baseline": name, "prompts": prompts, "among": among}
            return ready(circuit, model, structure, gate=gate, others=others, **options).hooked(model)
        kind: Any = _searched(circuit) if among is None else among
        return edges_ready(
            [node.name for node in circuit.nodes],
            model,
            structure,
            gate=gate,
            others=others,
            among=kind,
            rows=None if name == "zero" else rows_of(circuit, model, prompts),
        ).hooked(model)

    with _in_place(model, made) as same:
        yield same


@contextlib.contextmanager
def applied_edges(
    names: Sequence[str],
    model: GivenModel,
    *,
    keep: bool | None = None,
    scale: float | None = None,
    baseline: str = "mean_vector",
    prompts: Prompts | None = None,
    among: EdgeSelector = "edges",
) -> Iterator[Model]:
    """Within the block the model runs so, on any prompt; see ``EdgeCircuit.applied``."""
    gate, others = gates_of(keep, scale)
    name = check_for_any_prompt(baseline)
    if not len(names):
        raise UserError("the circuit has no edges")
    check_edge_selector(among)
    if prompts is None and name != "zero":
        raise UserError("means are over prompts; give prompts=…, a task or a list of texts, or baseline='zero'")
    model = model_of(model)

    def made() -> AbstractContextManager[None]:
        rows = None if prompts is None or name == "zero" else tokens_of(model, prompts)
        structure = model_structure(model)
        return edges_ready(names, model, structure, gate=gate, others=others, among=among, rows=rows).hooked(model)

    with _in_place(model, made) as same:
        yield same


@contextlib.contextmanager
def _in_place(model: Model, made: Callable[[], AbstractContextManager[None]]) -> Iterator[Model]:
    """The model within what ``made`` gives, alone.

    Raises:
        UserError: a circuit is applied to it already.
    """
    key = getattr(model, "original_model", None) or model
    with alone(model):
        if key in _busy:
            raise UserError("a circuit is applied to this model already; end that block before another begins")
        hooked = made()
        _busy.add(key)
        try:
            with hooked:
                yield model
        finally:
            _busy.discard(key)


def _searched(circuit: Circuit) -> str:
    """The selector of edges that the search was among; all of them where it does not say."""
    said = str((circuit.run.get("edges") or {}).get("searched") or "")
    return said if is_of_edges(said) else "edges"


def gates_of(keep: bool | None, scale: float | None) -> tuple[float, float]:
    """The gate of the circuit's own parts, and that of the others.

    Raises:
        UserError: no such ``keep`` or ``scale``, or the two don't go together.
    """
    return _gate(keep, scale), 0.0 if keep is True or (keep is None and scale is None) else 1.0


_LARGEST_SCALE = 1e4
"""Far beyond what any model stands, and within what half precision holds."""


def _gate(keep: Any, scale: Any) -> float:
    """The gate of the circuit's own components.

    Raises:
        UserError: no such ``keep`` or ``scale``, or the two don't go together.
    """
    if keep is not None and not isinstance(keep, bool):
        raise UserError(f"keep is True (only the circuit), False (all but the circuit) or None, not {keep!r}")
    if scale is None:
        return 0.0 if keep is False else 1.0
    if isinstance(scale, bool) or not isinstance(scale, Real) or not abs(float(scale)) <= _LARGEST_SCALE:
        raise UserError(
            f"scale is a finite number of at most {_LARGEST_SCALE:g}, such as 0.5 or 2, not {str(scale)[:40]}"
        )
    if keep is False:
        raise UserError("keep=False ablates the circuit's components, so there is nothing to scale; leave one out")
    return float(scale)
