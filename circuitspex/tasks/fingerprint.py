"""A short hash of a user's own function, so that values measured with one function are never taken for another's.

Two functions share a fingerprint only when their code, their defaults and the plain values that they close over are
the same. What can't be read for certain (an object of unknown state) makes the fingerprint unique, so that stored
values are not used again. Global variables that a function reads are not followed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import uuid
from collections.abc import Callable, Iterable
from types import CodeType, EllipsisType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN = (type(None), bool, int, float, complex, str, bytes, EllipsisType, torch.dtype, torch.device)


def fingerprint(function: Callable[..., Any]) -> str:
    """Sixteen hex digits for ``function``."""
    return hashlib.sha256(_describe(function, ()).encode()).hexdigest()[:16]


def _describe(value: Any, within: tuple[int, ...]) -> str:
    """A text that is the same for equal values; ``within`` are the ids of the values around this one."""
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__}={value!r}"
    if id(value) in within:
        return f"again[{within.index(id(value))}]"
    within = (*within, id(value))
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}{_list(value, within)}"
    if isinstance(value, (set, frozenset)):
        return f"set[{','.join(sorted(_describe(v, within) for v in value))}]"
    if isinstance(value, dict):
        return f"dict{_list(value.items(), within)}"
    if isinstance(value, slice):
        return f"slice{_list((value.start, value.stop, value.step), within)}"
    if isinstance(value, Tensor):
        return f"tensor[{value.dtype},{_describe(value.detach().cpu().double().numpy(), within)}]"
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"array[{value.dtype},{value.shape},{hashlib.sha256(value.tobytes()).hexdigest()}]"
    return _describe_code(value, within)


def _describe_code(value: Any, within: tuple[int, ...]) -> str:
    if isinstance(value, CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars)
        return f"code[{value.co_code.hex()},{names!r},{_describe(value.co_consts, within)}]"
    if isinstance(value, functools.partial):
        return f"partial{_list((value.func, value.args, value.keywords), within)}"
    if isinstance(value, FunctionType):
        try:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
        except ValueError:  # a cell that is still empty
            return _unknown()
        return f"function{_list((value.__code__, value.__defaults__, value.__kwdefaults__, cells), within)}"
    if isinstance(value, ModuleType):
        return f"module[{value.__name__}]"
    if isinstance(value, type):
        return f"type[{value.__module__}.{value.__qualname__}]"
    if dataclasses.is_dataclass(value):
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"dataclass{_list((type(value), held), within)}"
    return _unknown()


def _list(values: Iterable[Any], within: tuple[int, ...]) -> str:
    return f"[{','.join(_describe(value, within) for value in values)}]"


def _unknown() -> str:
    return f"unknown[{uuid.uuid4().hex}]"
