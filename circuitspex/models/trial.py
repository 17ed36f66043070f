"""A model is run once, on two short prompts, before it is taken in: it must run, be itself, and look at no later token.

The prompts differ only in their last token. A causal model's logits at all earlier positions are the same for both. A
small difference can be rounding (a mixture of experts sums in another order); whether a later token takes part is then
told by the gradient, which is exactly zero where it does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models.causal import BIDIRECTIONAL

if TYPE_CHECKING:
    import torch

LENGTH = 4
# How far TransformerLens's logits may be from the model's own, relative to how much these differ among themselves.
_SAME = {"torch.float64": 1e-6, "torch.float32": 1e-3, "torch.bfloat16": 0.2, "torch.float16": 0.1}
# Differences above this share of the spread are no rounding, in any dtype.
_NO_ROUNDING = 0.2


def trial_prompts(model: Any) -> torch.Tensor:
    """Tokens ``[2, LENGTH]`` of a Hugging Face model: ordinary ones, and two prompts that differ in the last."""
    import torch

    ordinary = ordinary_tokens(model)
    chosen = [ordinary[(7 * i + 3) % len(ordinary)] for i in range(LENGTH + 1)]
    return torch.tensor([chosen[:LENGTH], [*chosen[: LENGTH - 1], chosen[LENGTH]]])


def ordinary_tokens(model: Any) -> list[int]:
    """Up to 200 tokens of a Hugging Face model that are no special ones, images for example."""
    size = int(model.get_input_embeddings().weight.shape[0])
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    special: set[Any] = set()
    for about in (config, model.config):
        for name, value in vars(about).items():
            if name.endswith(("_token_id", "_token_index", "_token_ids")):
                special.update(value if isinstance(value, (list, tuple)) else [value])
    return [token for token in range(min(size, 200)) if token not in special] or [0]


def own_logits(model: Any, tokens: torch.Tensor, where: str) -> torch.Tensor:
    """The logits ``[2, LENGTH, vocab]`` of the Hugging Face model by itself, on the CPU.

    Raises:
        ModelNotFoundError: it can't run.
    """
    import torch

    try:
        with torch.no_grad():
            logits: torch.Tensor = model(input_ids=tokens.to(_device_of(model)), use_cache=False).logits
    except Exception as error:  # whatever a model raises
        raise ModelNotFoundError(f"{where} loads but can't run: {_reason(error)}") from error
    return logits.float().cpu()


def check_runs(bridge: Any, tokens: torch.Tensor, own: torch.Tensor, where: str) -> None:
    """Refuse a model that TransformerLens can't run, runs as another one, or that is not causal.

    Args:
        bridge: the wrapped model.
        tokens: of ``trial_prompts``.
        own: the logits of the model before it was wrapped, of ``own_logits``.
        where: the model came from, for the message.

    Raises:
        ModelNotFoundError: one line with the reason.
    """
    import torch

    kind = type(bridge.original_model).__name__
    tokens = tokens.to(_device_of(bridge))
    try:
        with torch.no_grad():
            wrapped = bridge(tokens, use_cache=False)
    except Exception as error:
        raise ModelNotFoundError(
            f"TransformerLens wraps {where} ({kind}) but can't run it: {_reason(error)}"
        ) from error
    if not isinstance(wrapped, torch.Tensor) or wrapped.ndim != 3 or wrapped.shape[:2] != tokens.shape:
        got = tuple(wrapped.shape) if isinstance(wrapped, torch.Tensor) else type(wrapped).__name__
        raise ModelNotFoundError(f"{where} ({kind}) gives {got} for {tuple(tokens.shape)} tokens, not logits for each")
    dtype, wrapped = str(wrapped.dtype), wrapped.float().cpu()
    wide = spread(own)
    apart = float((wrapped - own).abs().max()) / wide if wrapped.shape == own.shape else float("inf")
    if wide > 0 and apart > _SAME.get(dtype, 0.2):  # numbers that are none are named where they come up
        raise ModelNotFoundError(
            f"TransformerLens runs {where} ({kind}) as another model: its logits are off by {apart:.1g} of their spread"
        )
    if _later_tokens_matter(bridge, tokens, wrapped):
        raise ModelNotFoundError(f"{where} is bidirectional ({kind}): {BIDIRECTIONAL}")
    found_causal(bridge)


def found_causal(bridge: Any) -> None:
    """A bridge of a model that ``check_runs`` has let pass."""
    _causal.add(bridge)


def check_causal(model: Any) -> None:
    """Refuse a model, whoever wrapped it, whose logits depend on later tokens; it is run once for this.

    Raises:
        UserError: one line that says so.
    """
    import torch

    if model in _causal:
        return
    own = model.original_model
    if not hasattr(own, "get_input_embeddings"):  # a model that is not of transformers
        return
    tokens = trial_prompts(own).to(_device_of(model))
    with torch.no_grad():
        logits = model(tokens, use_cache=False).float().cpu()
    if _later_tokens_matter(model, tokens, logits):
        name = getattr(model.cfg, "model_name", None) or "this model"
        raise UserError(f"{name} is bidirectional ({type(own).__name__}): {BIDIRECTIONAL}")
    _causal.add(model)


_causal: WeakSet[Any] = WeakSet()
"""Models that were found to be causal."""


def _later_tokens_matter(bridge: Any, tokens: torch.Tensor, logits: torch.Tensor) -> bool:
    """Whether the last token has a part in the logits before it."""
    import torch

    earlier = logits[:, :-1]
    change = float((earlier[0] - earlier[1]).abs().max())
    if not change > 0:  # no numbers at all included
        return False
    if change > _NO_ROUNDING * spread(earlier):
        return True
    embedded: list[torch.Tensor] = []

    def watch(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    hook = bridge.original_model.get_input_embeddings().register_forward_hook(watch)
    try:
        with torch.enable_grad():
            bridge(tokens, use_cache=False)[:, :-1].float().square().sum().backward(inputs=embedded[:1])
    except Exception:  # no gradients: quantised weights and the like; the numbers alone then speak for rounding
        return False
    finally:
        hook.remove()
    slope = embedded[0].grad
    return slope is not None and bool(slope[:, -1].abs().max() > 0)


def spread(logits: torch.Tensor) -> float:
    """How much the logits of a position differ among themselves."""
    return float(logits.std(dim=-1).mean())


def _device_of(model: Any) -> torch.device:
    found: torch.device = next(model.parameters()).device
    return found


def _reason(error: Exception) -> str:
    """The first cause of an error, in one line."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = " ".join(str(error).split())
    if absent := re.search(r"Original component not set for ([\w.]+)\.", text):
        return f"it has no {absent[1]}, without which TransformerLens does not run models of this class"
    return f"{type(error).__name__}: {text[:200]}"
