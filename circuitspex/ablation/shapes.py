"""Tensors of the ablation engine by name, with their shapes.

``rows`` are masks times prompts, all prompts of mask 0 first. An axis that may have length 1, for what is the same at
every place, is named ``…_or_1``.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

Tokens = Int[Tensor, "prompts pos"]
"""The prompts of one length."""

Gates = Float[Tensor, "masks players_and_one"]
"""1 = kept, 0 = ablated; the last column is all ones."""

UnitIndex = Int[Tensor, "pos_or_1 units"]
"""Which column of the gates each unit of a site takes, at each position."""

Activation = Float[Tensor, "rows pos *unit"]
"""What passes a hook."""

BaselineOfSite = Float[Tensor, "prompts_or_1 pos *unit"]
"""What stands in for an activation where its units are ablated."""

Logits = Float[Tensor, "rows vocab"]
"""Logits at the last position."""

Reads = Int[Tensor, "rows reads"]
"""The positions at which the logits of each row are read, on the CPU."""

ReadLogits = Float[Tensor, "rows reads vocab"]
"""Logits at the positions that are read."""

Stream = Float[Tensor, "prompts pos d_model"]
"""The residual stream at the entry of a block, nothing ablated."""

Shared = Float[Tensor, "masks_or_1 prompts pos *unit"]
"""An activation with an axis of masks, of length 1 while all masks share it."""

Allowed = Bool[Tensor, "queries keys"]
"""Which keys each query attends to."""
