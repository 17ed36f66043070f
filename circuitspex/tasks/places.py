"""Which prompts of a task are meant: by their places, or by a mask."""

from __future__ import annotations

from collections.abc import Iterable

from circuitspex.errors import TaskError
from circuitspex.scale import MOST, whole


def places(indices: Iterable[int], n_prompts: int) -> list[int]:
    """Indices, or the places at which a mask with a bool for each prompt is True."""
    given = [each.item() if hasattr(each, "item") else each for each in indices]
    if given and all(isinstance(each, bool) for each in given):
        if len(given) != n_prompts:
            raise TaskError(f"a mask of prompts has a bool for each of the {n_prompts}, not {len(given)}")
        return [place for place, chosen in enumerate(given) if chosen]
    return [whole(each, "the index of a prompt", -MOST) for each in given]
