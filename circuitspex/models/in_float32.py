"""A model of half precision run in float32, part by part: never are all of its weights there twice.

What a model computes but for rounding is asked where two ways to compute it are compared: rounding to 8 or 11 bits,
over many layers, hides what would be plain to see in float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from circuitspex.models.float32_products import exact_products
from circuitspex.models.protocol import Model

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@contextlib.contextmanager
def in_float32(model: Model) -> Iterator[None]:
    """Within the block, passes of the model compute in float32, with the weights it has.

    Each block's weights are float32 while it runs and are put back after it; so are those of the modules outside the
    blocks. The memory on top is that of one block, or of the matrix of embeddings, in float32. Float32 products are
    float32's own within the block, not TF32's, and there is no autocast. Nothing changes for models of other dtypes.
    """
    import torch

    running: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    handles = []
    parts = [*_parts(model)]
    devices = {tensor.device.type for _, tensors in parts for tensor in tensors()}
    try:
        for module, tensors in parts:

            def widen(module: Any, args: Any, tensors: Callable[[], list[torch.Tensor]] = tensors) -> None:
                if id(module) not in running:
                    running[id(module)] = [(tensor, tensor.data) for tensor in tensors()]
                    for tensor, _ in running[id(module)]:
                        tensor.data = tensor.data.float()

            def put_back(module: Any, *_: Any) -> None:
                for tensor, before in running.pop(id(module), []):
                    tensor.data = before

            handles.append(module.register_forward_pre_hook(widen))
            handles.append(module.register_forward_hook(put_back, always_call=True))
        with contextlib.ExitStack() as stack:
            if parts:
                stack.enter_context(exact_products())
            for device in devices - {"meta"}:
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        for handle in handles:
            handle.remove()
        for kept in reversed([*running.values()]):  # where a pass was left in the middle all the same
            for tensor, before in kept:
                tensor.data = before


def asked_in_float32(model: Model, ask: Callable[[bool], T]) -> T:
    """``ask(True)`` in float32 for a model of half precision, else ``ask(False)`` in the dtype that it has.

    So it is, too, where float32 can't be asked: quantised weights, whose products round in a dtype of their own, and
    hooks of the user that know one dtype only.
    """
    weights = list(model.parameters())
    quantised = any(not each.is_floating_point() or each.element_size() < 2 for each in weights)
    quantised |= bool(getattr(model.original_model, "is_quantized", False))
    if not quantised and any(is_half(each.dtype) for each in weights):
        try:
            with in_float32(model):
                return ask(True)
        except Exception:  # whatever they raise
            pass
    return ask(False)


def is_half(dtype: torch.dtype) -> bool:
    """Whether numbers of this dtype are of half precision."""
    import torch

    return dtype in (torch.bfloat16, torch.float16)


def _parts(model: Model) -> Iterator[tuple[Any, Callable[[], list[torch.Tensor]]]]:
    """The modules that run in float32 one at a time, each with what gives its weights.

    These are the blocks, and what is outside of them as whole as it is without a block in it: a wrapper reads the dtype
    of what it wraps before that runs.
    """
    blocks = {id(block): block for block in getattr(model, "blocks", ())}
    seen: set[int] = set()

    def visit(module: Any) -> Iterator[tuple[Any, Callable[[], list[torch.Tensor]]]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        whole = id(module) in blocks or not any(id(each) in blocks for each in module.modules())
        if _half(module, recurse=whole):
            yield module, lambda: _half(module, recurse=whole)
        if not whole:
            for child in module.children():
                yield from visit(child)

    for root in (*blocks.values(), model.original_model, model):
        yield from visit(root)


def _half(module: Any, *, recurse: bool) -> list[torch.Tensor]:
    """Its weights and buffers that are of half precision at this moment."""
    found = {id(t): t for kind in (module.parameters, module.buffers) for t in kind(recurse=recurse)}
    return [tensor for tensor in found.values() if is_half(tensor.dtype)]
