"""What of a model is not as its class builds it from its configuration: attributes and buffers that were changed."""

from __future__ import annotations

import copy
from typing import Any

from circuitspex.models.state import ModelState, model_state


def changed_since_built(hf_model: Any, state: ModelState) -> list[Any]:
    """Descriptions of what was changed, the same in every process; all there is where the class can't build another.

    Weights and buffers that are saved with the model are not looked at: they are hashed as they are.
    """
    try:
        skeleton = _skeleton(hf_model)
        built = set(model_state(skeleton).described)
        buffers = _changed_buffers(hf_model, skeleton)
    except Exception:  # a class of the user's own, an adapter around a model: nothing to compare with
        return [*state.described, *((path, digest.hex()) for path, digest in state.buffers)]
    return [*(each for each in state.described if each not in built), *buffers]


def _skeleton(hf_model: Any) -> Any:
    """A model of the same class and configuration without numbers."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return type(hf_model)(copy.deepcopy(hf_model.config)).eval()


def _changed_buffers(hf_model: Any, skeleton: Any) -> list[Any]:
    """Buffers that are made of the configuration (rotary frequencies), where they are not what it says."""
    import torch

    from circuitspex.models.contents import checksum

    found = []
    fresh = dict(skeleton.named_modules())
    for path, module in hf_model.named_modules():
        names = [name for name in module._non_persistent_buffers_set if module._buffers.get(name) is not None]
        if not names:
            continue
        same = fresh[path].to_empty(device="cpu", recurse=False)
        for buffer in same._buffers.values():
            if buffer is not None:
                buffer.zero_()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            skeleton._init_weights(same)
        for name in sorted(names):
            now, built = module._buffers[name].detach().cpu(), same._buffers[name]
            if now.shape != built.shape or not torch.equal(now, built.to(now.dtype)):
                found.append((f"{path}.{name}", checksum([now]).hex()))
    return found
