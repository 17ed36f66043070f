"""How large and how fast plain models are, side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from circuitspex.circuits.pruned import Size
from circuitspex.circuits.use.draft import Draft
from circuitspex.circuits.use.places import places_of

_PASSES = 7


def sizes_of(drafts: Sequence[Draft], n_layers: Sequence[int], width: int, tokens: torch.Tensor) -> list[Size]:
    """Of each model, timed in turn on the same tokens, so that what else the machine does falls on all of them alike.

    Args:
        drafts: the models.
        n_layers: how many layers each has.
        width: of a head.
        tokens: ``[1, tokens]``.
    """
    models = [draft.model() for draft in drafts]
    seconds: list[list[float]] = [[] for _ in models]
    with torch.no_grad():
        for turn in range(_PASSES + 1):
            for model, taken in zip(models, seconds, strict=True):
                start = time.perf_counter()
                model(input_ids=tokens, use_cache=False).logits.sum().item()
                if turn:  # the first warms up
                    taken.append(time.perf_counter() - start)
    del models
    return [
        _size(draft, n, width, statistics.median(taken))
        for draft, n, taken in zip(drafts, n_layers, seconds, strict=True)
    ]


def _size(draft: Draft, n_layers: int, width: int, seconds: float) -> Size:
    model = draft.empty()
    model.tie_weights()
    parameters = list(model.parameters())  # tied ones come once
    a_number = next(tensor.element_size() for tensor in draft.tensors.values() if tensor.is_floating_point())
    found = places_of(model, n_layers)
    first = None if found is None else found[0]
    n = sum(parameter.numel() for parameter in parameters)

    def count(place: str, of: int) -> int:
        projection = getattr(first, place, None)
        if projection is None or not of:
            return 0
        return int(projection.n_out if place == "key" else projection.n_in) // of

    return Size(
        layers=n_layers,
        heads=count("after_heads", width),
        key_value_heads=count("key", width),
        neurons=count("after_neurons", 1),
        parameters=n,
        megabytes=n * a_number / 1e6,
        ms=1e3 * seconds,
    )
