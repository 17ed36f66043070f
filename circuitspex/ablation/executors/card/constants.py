"""What is the same for all masks, computed once: norms in pieces, baselines as rows, and what they give projected."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float

from circuitspex.ablation.executors.linear import Linear
from circuitspex.ablation.executors.norms import Norm
from circuitspex.ablation.executors.prepared import Prepared

Rows = Float[torch.Tensor, "rows width"]


class Constants:
    """Kept for the prompts and positions that passes ask for."""

    def __init__(self, given: Prepared) -> None:
        self._given = given
        self._known: dict[Any, torch.Tensor | None] = {}
        self._norms: dict[tuple[int, torch.device], dict[str, Any]] = {}

    def norm(self, norm: Norm, device: torch.device) -> dict[str, Any]:
        """The arguments of ``kernels.norm`` for a norm that has ``parts``."""
        key = id(norm), device  # a layer's first norm is also computed on the device of the layer before it
        if key not in self._norms:
            assert norm.parts is not None
            shift = norm.parts.shift
            self._norms[key] = {
                "scale": norm.parts.scale.to(device),
                "shift": None if shift is None else shift.to(device),
                "eps": norm.parts.eps,
                "centred": norm.parts.centred,
            }
        return self._norms[key]

    def baseline(self, index: int, kind: str, prompts: slice, where: slice, dtype: torch.dtype) -> Rows | None:
        """What the units output at gate 0, ``[prompts or 1 * positions, width]``; None is zero."""
        key = (index, kind, prompts.start, prompts.stop, where.start, dtype)
        if key not in self._known:
            base = self._given.gates[index, kind].base(prompts, where)
            rows = None if base is None else base[0].reshape(base.shape[1] * base.shape[2], -1)
            self._known[key] = None if rows is None else rows.to(dtype).contiguous()
        return self._known[key]

    def added(
        self, index: int, kind: str | None, project: Linear, prompts: slice, where: slice, dtype: torch.dtype
    ) -> Rows | None:
        """``baseline W' + bias``, ``[rows, outputs]``; without a kind that is gated here, the bias."""
        key: Any = (id(project), dtype)
        if kind is not None:
            key = (index, kind, prompts.start, prompts.stop, where.start, dtype, "projected")
        if key not in self._known:
            bias = None if project.bias is None else project.bias.float()[None]
            base = None if kind is None else self.baseline(index, kind, prompts, where, project.weight.dtype)
            found = bias if base is None else (base @ project.weight.T).float()
            if base is not None and found is not None and bias is not None:
                found = found + bias
            self._known[key] = None if found is None else found.to(dtype)
        return self._known[key]
