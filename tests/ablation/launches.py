"""Counting what a pass would launch on a card, and where it would wait for it, on tensors that are not on one.

Every operator that reaches the dispatcher is a launch, but for views and allocations; the operators of ``circuitspex``
are one each, since each is one kernel. Reading a number back, or an operator whose result's shape depends on numbers,
is a wait.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

FREE = {
    "empty", "empty_strided", "new_empty", "detach", "lift_fresh", "_unsafe_view", "_reshape_alias", "alias",
}  # fmt: skip
"""Operators that launch nothing, besides views."""

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_consecutive", "_unique2"}
"""Operators for which the host waits."""

READS = {"cpu", "numpy", "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "__array__", "nonzero"}
"""Methods of tensors that read numbers back."""


class Launches(TorchDispatchMode):
    """Counts launches, and operators that make the host wait, while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITS or _by_truth(name, args):
            self.waits.append(name)
        if not _is_view(func) and name not in FREE:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class Reads(TorchFunctionMode):
    """Notes where numbers of tensors are read back while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        # Where everything is on the CPU, a move to the device of another tensor says ``torch.device("cpu")``.
        named = [each for each in (*args[1:], (kwargs or {}).get("device")) if isinstance(each, str)]
        if name in READS or (name == "to" and any(each.startswith("cpu") for each in named)):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def _is_view(func: Any) -> bool:
    """Whether an operator only looks at what it is given in another way."""
    results = func._schema.returns
    return bool(results) and all(each.alias_info is not None and not each.alias_info.is_write for each in results)


def _by_truth(name: str, args: Any) -> bool:
    """Whether this picks places by a tensor of truth values, of which nobody knows beforehand how many there are."""
    if name not in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return False
    return any(isinstance(each, torch.Tensor) and each.dtype in (torch.bool, torch.uint8) for each in args[1])
