"""Whether a model's architecture is verified: the fast way's logits beside those of plain hooks, before it is used.

In half precision what was read is judged in float32, where a part that was misread can't hide behind rounding; and the
rounding of the fast way by that of plain hooks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense import DenseModel, NotDenseError, dense_model
from circuitspex.ablation.executors.float32_parts import of_float32
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import BatchedForward, GroupForward, HooksForward
from circuitspex.ablation.executors.trial_masks import trial_gates
from circuitspex.ablation.shapes import Gates, ReadLogits
from circuitspex.components import ModelStructure
from circuitspex.models.float32_products import exact_products
from circuitspex.models.in_float32 import asked_in_float32, in_float32, is_half
from circuitspex.models.protocol import Model
from circuitspex.models.remembered_of_model import unless_passed
from circuitspex.models.rounding import differ, differ_in_half
from circuitspex.models.state import ModelState

_known: WeakKeyDictionary[Any, dict[torch.dtype | None, tuple[ModelState, DenseModel]]] = WeakKeyDictionary()


def parts_of(
    model: Model,
    structure: ModelStructure,
    products: torch.dtype | None,
    state: ModelState,
    *,
    quantized: bool = False,
) -> DenseModel:
    """``dense_model``, taken apart once for each model and dtype, and again when the model is in another state.

    ``quantized`` says whether the caller computes with weights of few bits, which are no matrices.

    Raises:
        NotDenseError: a part is missing or of another kind.
    """
    kept = _known.setdefault(model, {})
    if products not in kept or kept[products][0] != state:
        kept[products] = state, dense_model(model, structure, products=products)
    if kept[products][1].is_quantized and not quantized:
        raise NotDenseError("its weights are quantised")
    return kept[products][1]


def disagreement(
    fused: FusedForward, hooks: HooksForward, n_players: int, first: tuple[int, int], state: ModelState | None = None
) -> str | None:
    """None if both give the same logits under the masks of ``trial_gates``, else a reason.

    In half precision on top of the two ways there are one block of the model in float32, or its unembedding, and the
    activations of the trial's rows. What an earlier process has tried on these weights, with the same components and
    prompts of this length, is not tried again.

    Args:
        fused: the fast way.
        hooks: the reference, on the same prompts.
        n_players: how many components there are.
        first: the first layer and the first position that any component has.
        state: what the model is now; without it nothing of earlier processes is used.
    """
    if state is not None:
        about = {"players": n_players, "first": list(first), **_told(hooks)}
        return unless_passed(hooks.model, state, "fused", about, lambda: disagreement(fused, hooks, n_players, first))
    parameter = next(hooks.model.parameters())
    masks, prompts = _tried(parameter.device.type, len(hooks.tokens))
    gates = trial_gates(hooks.sites, n_players)[masks].to(parameter)

    def by_mask(run: Callable[[Gates], ReadLogits], gates: Gates) -> torch.Tensor:
        parts = in_parts(len(gates), len(gates), lambda rows: run(gates[rows]))
        logits = torch.cat(parts).to(parameter.device)
        return logits.reshape(len(gates), -1, *logits.shape[1:])

    def why() -> str | None:
        found = by_mask(lambda some: fused(some, prompts, *first), gates)
        plain = by_mask(lambda some: _through_hooks(hooks, some, prompts), gates)
        if not is_half(parameter.dtype) or fused.dense.is_quantized:  # these can't be asked in float32
            return differ(found, plain)
        with in_float32(hooks.model):
            wide = hooks.of_float32()
            exact = by_mask(lambda some: _through_hooks(wide, some, prompts), gates.float())
            read = of_float32(fused.dense, clean_pass(hooks.model, hooks.tokens[prompts]), wide, n_players, prompts)
            found_exactly = by_mask(lambda some: read(some, slice(None), *first), gates.float())
        return differ_in_half(found, plain, found_exactly, exact)

    with exact_products():  # products rounded to TF32 would differ with the shapes of batches
        return _reason(why)


def _told(hooks: HooksForward) -> dict[str, Any]:
    """What the trial's outcome depends on beside the model: what is gated where, and the form of prompts."""
    members = [(site.hook, repr(site.layout), [(i, str(c)) for i, c in site.members]) for site in hooks.sites]
    shapes = {hook: None if base is None else list(base.shape[1:]) for hook, base in hooks.baselines.items()}
    return {
        "components": hashlib.sha256(repr(members).encode()).hexdigest(),
        "baselines": shapes,
        "length": int(hooks.tokens.shape[1]),
        "reads": list(hooks.reads.shape[1:]),
    }


def rows_disagree(batched: BatchedForward, hooks: HooksForward, n_players: int) -> str | None:
    """None if two masks at once give what one at a time gives, else a reason: hooks of the user may mix rows.

    Models of half precision are asked in float32.
    """
    parameter = next(hooks.model.parameters())
    gates, prompts = trial_gates(hooks.sites, n_players)[:2].to(parameter), slice(0, 2)

    def why(wide: bool) -> str | None:
        fast, slow, some = (
            (batched.of_float32(), hooks.of_float32(), gates.float()) if wide else (batched, hooks, gates)
        )
        one_by_one = torch.cat([slow(some[row : row + 1], prompts, 0) for row in (0, 1)])
        return differ(fast(some, prompts, 0), one_by_one)

    return _reason(lambda: asked_in_float32(hooks.model, why))


def _tried(device: str, n_prompts: int) -> tuple[slice, slice]:
    """Which of the trial's masks, on which prompts.

    All masks on two prompts, which kernels treat apart from masks. On a CPU, where starting takes time, what all masks
    go through is one product: two masks on one prompt take every path.
    """
    return (slice(2), slice(1)) if device == "cpu" else (slice(3), slice(min(2, n_prompts)))


def _through_hooks(hooks: GroupForward, gates: Gates, prompts: slice) -> ReadLogits:
    """Plain hooks with these masks along the batch axis, every layer."""
    n_masks = len(gates)
    rows, reads = hooks.tokens[prompts].repeat(n_masks, 1), hooks.reads[prompts].repeat(n_masks, 1)
    return hooks.logits(rows, hooks.hooks(gates, prompts, 0), reads)


def _reason(why: Callable[[], str | None]) -> str | None:
    """What is wrong with a trial pass, beside the plain one."""
    try:
        with torch.no_grad():
            wrong = why()
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return f"a trial pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    return f"a trial pass gave other logits than plain hooks ({wrong})" if wrong else None
