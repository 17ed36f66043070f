"""Norms with the scale that they had in a run, which makes them affine: what a part of their input becomes is a sum.

A layer norm, root-mean-square norm or the like gives ``y = k g * C x + b``, where C takes off the mean or does nothing,
g and b are its own numbers for each dimension, and only the scale k depends on x. Which it is, is found by asking the
module, not by its name, and proved on the run: no other number than k is free.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from circuitspex.components.proof.seen import rounding
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.protocol import Model


@dataclass(frozen=True)
class _Norm:
    """``gain`` and ``bias`` ``[d_model]``, and whether the mean is taken off; the gain is known up to a factor."""

    gain: Tensor
    bias: Tensor
    centred: bool

    def linear(self, x: Tensor) -> Tensor:
        """``g * C x``, ``[..., d_model]``."""
        return self.gain * (x - x.mean(-1, keepdim=True) if self.centred else x)


@dataclass
class Norms:
    """The norms of a model whose width is that of the residual stream, and the scales that they had in a run.

    ``scales`` are by the module and which call of it in a pass that is: ``[rows]``, rows of all passes together. What
    passes one of the hooks of ``changed`` is replaced: a norm that ends in one gives what was put there.
    """

    model: Model
    changed: frozenset[str] = frozenset()
    known: dict[Any, _Norm | None] = field(default_factory=dict)
    scales: dict[tuple[Any, int], list[Tensor]] = field(default_factory=dict)
    asking: bool = False
    """Whether what passes is no part of the run: a module is asked, which calls others and passes hooks."""

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within the block, one pass is looked at; what it shows at the last position is kept."""
        calls: dict[Any, int] = {}

        def look(module: Any, args: Any, options: Any, output: Any) -> None:
            x = _given(args, options)
            if self.asking or not self._is_stream(x, output):
                return
            self.asking = True
            try:
                self._fit(module, calls, x[:, -1], output[:, -1])
            finally:
                self.asking = False

        with self._hooked(look):
            yield

    @contextlib.contextmanager
    def frozen(self, prompts: Tensor) -> Iterator[dict[str, Tensor]]:
        """Within the block, in one pass, each row has the scales of one of the prompts that were looked at.

        Yields, by the names of hooks in which a norm ends, what it gives: filled in before that hook is reached.
        """
        calls: dict[Any, int] = {}
        given: dict[str, Tensor] = {}

        def linear(module: Any, x: Any) -> Tensor | None:
            norm = self.known.get(module)
            call = calls[module] = calls.get(module, -1) + 1
            if norm is None or (module, call) not in self.scales:
                return None
            scale = torch.cat(self.scales[module, call])[prompts.to(x.device)]
            return scale[:, None, None] * norm.linear(x) + norm.bias

        def freeze(module: Any, args: Any, options: Any, output: Any) -> Any:
            x = _given(args, options)
            return linear(module, x) if module not in self._ends and self._is_stream(x, output) else None

        def tell(module: Any, args: Any, options: Any) -> None:
            x = _given(args, options)
            found = linear(module, x) if self._is_stream(x, x) else None
            if found is not None:
                given[self._ends[module]] = found

        with contextlib.ExitStack() as stack:
            for module in self._ends:
                stack.callback(module.register_forward_pre_hook(tell, with_kwargs=True).remove)
            stack.enter_context(self._hooked(freeze))
            yield given

    def reorder(self, rows: Tensor) -> None:
        """Put the rows of all passes into this order; a call that was not made in every pass is forgotten."""
        whole = {key: torch.cat(scales) for key, scales in self.scales.items()}
        self.scales = {key: [each[rows.to(each.device)]] for key, each in whole.items() if len(each) == len(rows)}

    @functools.cached_property
    def _modules(self) -> list[Any]:
        """Modules without matrices, as norms are."""
        matrices = {id(p) for p in self.model.original_model.parameters() if p.ndim > 1}
        return [
            module
            for module in self.model.original_model.modules()
            if type(module).__name__ != "HookPoint" and not any(id(p) in matrices for p in module.parameters())
        ]

    @functools.cached_property
    def _ends(self) -> dict[Any, str]:
        """Those that end in a hook where what passes is replaced, with its name."""
        hooks = self.model.hook_dict
        points = {id(hooks[name]): name for name in self.changed}
        return {
            module: points[id(end)]
            for module in self._modules
            if (end := getattr(module, "hook_out", None)) is not None and id(end) in points
        }

    @contextlib.contextmanager
    def _hooked(self, hook: Any) -> Iterator[None]:
        """Within the block, a plain hook on each module that may be a norm."""
        handles = []
        try:
            handles += [module.register_forward_hook(hook, with_kwargs=True) for module in self._modules]
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _is_stream(self, x: Any, output: Any) -> bool:
        return (
            isinstance(x, Tensor)
            and isinstance(output, Tensor)
            and x.ndim == 3
            and x.shape == output.shape
            and x.shape[-1] == int(self.model.cfg.d_model)
            and x.is_floating_point()
        )

    def _fit(self, module: Any, calls: dict[Any, int], x: Tensor, y: Tensor) -> None:
        if module not in self.known:
            self.known[module] = _asked(module, x)
        norm = self.known[module]
        if norm is None:
            return
        linear, given = norm.linear(x), y - norm.bias
        scale = (linear * given).sum(-1) / linear.square().sum(-1).clamp_min(1e-30)
        apart = (scale[:, None] * linear - given).abs()
        size = (scale[:, None] * norm.gain).abs() * x.abs().amax(-1, keepdim=True) + y.abs() + norm.bias.abs()
        if bool((apart <= 64 * rounding(x, y) * size).all()):
            call = calls[module] = calls.get(module, -1) + 1
            self.scales.setdefault((module, call), []).append(scale)
        else:
            self.known[module] = None


def _asked(module: Any, like: Tensor) -> _Norm | None:
    """What the module makes of zeros, of a vector of ones of either sign, and of that with a constant added."""
    width = like.shape[-1]
    ones = torch.ones(width, dtype=like.dtype, device=like.device)
    ones[torch.randperm(width, generator=torch.Generator().manual_seed(0))[: width // 2].to(like.device)] = -1
    try:
        bias, of_ones, of_more = module(torch.stack([0 * ones, ones, ones + 0.5])[:, None])[:, 0]
    except (TypeError, RuntimeError, ValueError) as error:  # it wants more than one tensor: no norm of the stream
        if is_out_of_memory(error):
            raise
        return None
    centred = bool((of_ones - of_more).abs().max() <= 1e-3 * (of_ones - bias).abs().max())
    gain = (of_ones - bias) / (ones - ones.mean() if centred else ones)
    return _Norm(gain, bias, centred) if bool((gain.isfinite() & bias.isfinite()).all()) else None


def _given(args: Any, options: Any) -> Any:
    return args[0] if args else options.get("hidden_states")
