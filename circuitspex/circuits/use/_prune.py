"""A circuit as a checkpoint of its own: the model without the other components, for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.pruned import Pruned
from circuitspex.circuits.use.checkpoint import check_free, check_not_source, written
from circuitspex.circuits.use.cutting import cut_heads, cut_layers, cut_neurons
from circuitspex.circuits.use.draft import Draft
from circuitspex.circuits.use.parts import check_lens
from circuitspex.circuits.use.places import LayerPlaces, places_of
from circuitspex.circuits.use.ready import ready, warn_of_other_weights
from circuitspex.circuits.use.sizes import sizes_of
from circuitspex.circuits.use.stand_ins import Prompts, baseline_for
from circuitspex.circuits.use.switching_off import Left, check_kinds, switched_off
from circuitspex.components import Selector, model_structure
from circuitspex.errors import UserError
from circuitspex.models.alone import running
from circuitspex.models.given import GivenModel, model_of
from circuitspex.models.origin import origin_of
from circuitspex.models.protocol import Model
from circuitspex.models.quantization import is_quantized
from circuitspex.models.tokens import context_of
from circuitspex.models.trial import ordinary_tokens

_ROWS, _TRIED, _TIMED = 3, 12, 64
"""How many prompts of how many tokens are compared, and how many tokens are timed."""
_WITHIN = {torch.float64: 1e-6, torch.float32: 1e-4}
"""How far logits may be from those of the ablated model, relative to the largest where that is above 1."""
_WITHIN_HALF = 0.05


def prune(
    circuit: Circuit,
    model: GivenModel,
    path: str | Path,
    *,
    keep: bool = True,
    baseline: str | None = None,
    prompts: Prompts | None = None,
    among: Selector | None = None,
    overwrite: bool = False,
) -> Pruned:
    """Write the checkpoint; see ``Circuit.prune``."""
    path = Path(path)
    check_free(path, overwrite)
    check_lens(circuit)
    name = baseline_for(circuit, baseline)
    if not isinstance(keep, bool):
        raise UserError(f"keep is True (only the circuit) or False (all but the circuit), not {keep!r}")
    model = model_of(model)
    if (source := _source_of(model)) is not None:
        check_not_source(path, source)
    if is_quantized(model.original_model):
        raise UserError("quantised weights can't be pruned, which would round them again; load the model without that")
    with running(model), torch.no_grad():
        structure = model_structure(model)
        gate, others = (1.0, 0.0) if keep else (0.0, 1.0)
        made = ready(circuit, model, structure, gate=gate, others=others, baseline=name, prompts=prompts, among=among)
        warn_of_other_weights(circuit, model, stacklevel=3)
        check_kinds(made.ablated)
        whole = Draft.of_bridge(model)
        places = places_of(whole.empty(), structure.n_layers) if whole.tensors else None
        if places is None:
            raise UserError(f"{whole.of.__name__} can't be pruned: it is not known where the weights of its layers are")
        off = whole.copy()
        left = switched_off(off, made, places)
        tokens = _tokens(model, _ROWS, _TRIED)
        with made.hooked(model):
            wanted = model(tokens, use_cache=False).float()
        within = _WITHIN.get(next(model.parameters()).dtype, _WITHIN_HALF) * max(1.0, float(wanted.abs().max()))
        difference = float("inf")
        for draft, stay in _drafts(off, left, places, structure.layers[0].n_heads):
            with written(draft, model, path) as made_there:
                difference = made_there.difference(draft.of, tokens, wanted)
                if difference <= within:
                    made_there.put(path)
                    layers = stay
                    break
        else:
            raise UserError(
                f"{whole.of.__name__} can't be pruned so: its logits would differ from those of the ablated model by "
                f"{difference:.2g}" + ("" if name == "zero" else "; use baseline='zero'")
            )
        timed = _tokens(model, 1, _TIMED)
        width = structure.layers[0].part("head").width
        before, after = sizes_of([whole, draft], [structure.n_layers, len(layers)], width, timed)
    n_off = len(made.ablated)
    return Pruned(
        path=path,
        baseline=name,
        n_kept=len(made.parts.all) - n_off,
        n_ablated=n_off,
        before=before,
        after=after,
        layers=tuple(layers),
        difference=difference,
        n_tokens=int(timed.shape[1]),
        device=timed.device.type,
    )


def _source_of(model: Model) -> str | None:
    """Where a model was read from; None for one that was made here."""
    try:
        return origin_of(model).source
    except UserError:
        return None


def _tokens(model: Model, rows: int, length: int) -> torch.Tensor:
    """Prompts of random tokens."""
    ordinary = torch.tensor(ordinary_tokens(model.original_model))
    length = min(length, context_of(model) or length)
    chosen = torch.randint(len(ordinary), (rows, length), generator=torch.Generator().manual_seed(0))
    return ordinary[chosen].to(next(model.parameters()).device)


def _drafts(
    off: Draft, left: Sequence[Left], places: Sequence[LayerPlaces], n_heads: int
) -> Iterator[tuple[Draft, list[int]]]:
    """The smallest first, with the layers that each has. What a family computes otherwise than its configuration says
    is seen only when it runs, so the ones with less cut out follow, and at last the one with nothing cut out."""
    seen: set[tuple[bool, ...]] = set()
    for layers, heads, neurons in ((1, 1, 1), (0, 1, 1), (1, 0, 1), (0, 0, 1), (0, 1, 0), (0, 0, 0)):
        draft, stay = off, list(range(len(left)))
        if layers and (cut := cut_layers(draft, left, places)) is not None:
            draft, stay = cut
        own, at = [left[layer] for layer in stay], places[: len(stay)]
        by_heads = cut_heads(draft, own, at, n_heads) if heads and n_heads else None
        draft = by_heads or draft
        by_neurons = cut_neurons(draft, own, at) if neurons else None
        draft = by_neurons or draft
        done = len(stay) < len(left), by_heads is not None, by_neurons is not None
        if done not in seen:
            seen.add(done)
            yield draft, stay
