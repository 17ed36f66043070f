"""Checks of arrays at the door: shapes, NaN and infinities are refused with one clear line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitspex.errors import UserError
from circuitspex.typing import FloatArray, Masks

MAX_NAME = 1000
"""The most characters of the name of a component, word, example or another player."""


def check_name_lengths(names: Iterable[str]) -> None:
    """Refuse names that no file holds and no picture shows.

    Raises:
        UserError: one has more than ``MAX_NAME`` characters.
    """
    for name in names:
        if len(name) > MAX_NAME:
            raise UserError(f"a name has at most {MAX_NAME:,} characters; {name[:40]!r}… has {len(name):,}")


def plain(given: Any) -> Any:
    """What NumPy can read: tensors and tables of other packages as arrays, alone or in a list.

    PyTorch tensors of any dtype, on any device, with or without gradients; pandas' Series and DataFrames, whose missing
    values become NaN. Anything else is given back as it is.
    """
    if isinstance(given, list | tuple):
        return [plain(each) for each in given] if any(_is_tensor(each) for each in given) else given
    if _is_tensor(given):
        tensor = given.detach().cpu()
        tensor = tensor.to_dense() if tensor.layout is not _torch().strided else tensor
        # NumPy has no bfloat16; every number of it, and of the other half-precision types, is one of float64.
        return (tensor.double() if tensor.is_floating_point() else tensor.resolve_conj().resolve_neg()).numpy()
    if hasattr(given, "to_numpy") and hasattr(given, "index"):
        array = given.to_numpy()
        return given.to_numpy(dtype=np.float64, na_value=np.nan) if array.dtype == object else array
    return given


def _is_tensor(given: Any) -> bool:
    torch = _torch()
    return torch is not None and isinstance(given, torch.Tensor)


def _torch() -> Any:
    """PyTorch, where somebody has imported it; without it nothing is a tensor."""
    return sys.modules.get("torch")


def _as_array(array: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(plain(array))
    except ValueError as error:  # rows of different lengths
        raise UserError(f"{what} must be one array of numbers, all rows of the same length") from error


def check_masks(masks: Any, n_players: int | None = None) -> Masks:
    """``masks`` as a bool array ``(K, n)``; 0/1 numbers are taken as False/True.

    Raises:
        UserError: another shape, another number of players, or entries that are neither 0 nor 1.
    """
    array = _as_array(masks, "masks")
    if array.ndim != 2:
        raise UserError(f"masks must have two axes (masks, components), not shape {array.shape}")
    if n_players is not None and array.shape[1] != n_players:
        raise UserError(f"masks have {array.shape[1]} columns, but there are {n_players} components")
    if array.dtype != np.bool_:
        if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise UserError("masks must be True (kept) or False (ablated), or 1 and 0; other entries were found")
        array = array.astype(np.bool_)
    return array


def check_gates(gates: Any, n_players: int) -> FloatArray:
    """Masks or gates as a float array ``(K, n)`` of numbers from 0 (ablated) to 1 (kept).

    Raises:
        UserError: another shape, NaN, or a number outside [0, 1].
    """
    array = _as_array(gates, "gates")
    if array.dtype.kind != "f":
        return check_masks(array, n_players).astype(np.float64)
    if array.ndim != 2 or array.shape[1] != n_players:
        raise UserError(f"gates must have shape (masks, {n_players}), not {array.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise UserError("gates must lie between 0 (ablated) and 1 (kept), without NaN")
    return array.astype(np.float64)


def check_gates_or_masks(gates: Any, n_players: int) -> FloatArray | Masks:
    """As ``check_gates``, but masks stay booleans: with many players that is an eighth of the memory."""
    array = _as_array(gates, "gates")
    return check_gates(array, n_players) if array.dtype.kind == "f" else check_masks(array, n_players)


def distinct_rows(rows: FloatArray | Masks) -> tuple[Any, NDArray[np.int64]]:
    """The distinct rows in lexicographic order, and for each row its place among them."""
    packed: Any = np.packbits(rows.astype(np.bool_, copy=False), axis=1) if rows.dtype == np.bool_ else rows
    _, first, back = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return rows[first], back.reshape(-1)


def check_finite(array: Any, shape: tuple[int | None, ...], what: str) -> FloatArray:
    """``array`` as float64, with the given shape (None = any size) and only finite numbers.

    Raises:
        UserError: another shape, or NaN or infinities in it; the first place is named.
    """
    numbers = _as_array(array, what)
    if numbers.dtype == object:
        numbers = _of_objects(numbers, what)
    if numbers.dtype.kind not in "biuf":
        raise UserError(f"{what} must be real numbers, not {numbers.dtype}")
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float64, copy=False)
    wanted = tuple("any" if size is None else size for size in shape)
    if numbers.ndim != len(shape) or any(w is not None and w != s for w, s in zip(shape, numbers.shape, strict=True)):
        raise UserError(f"{what} must have shape {wanted}, not {numbers.shape}".replace("'", ""))
    if not np.isfinite(numbers).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise UserError(f"{what} must be finite; there is {numbers[place]} at index {place}")
    return numbers


def _of_objects(numbers: NDArray[Any], what: str) -> NDArray[Any]:
    """Python's own whole numbers of any size, and other real numbers that are no NumPy type, as float64."""
    if not all(isinstance(each, Real) for each in numbers.flat):
        return numbers
    try:
        return np.array([float(each) for each in numbers.flat]).reshape(numbers.shape)
    except OverflowError:
        raise UserError(f"{what} must be numbers of at most {sys.float_info.max:.2g}; a larger one was found") from None
