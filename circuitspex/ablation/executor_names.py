"""The names of the ways to run a pass, and of the precisions that they have."""

from __future__ import annotations

from typing import Literal, get_args

from circuitspex.errors import UserError

Executor = Literal["auto", "fused", "batched", "hooks"]
Precision = Literal["model", "bfloat16"]


def check_executor(executor: str, precision: str = "model") -> None:
    """Nothing where there are such an executor and such a precision, and they go together.

    Raises:
        UserError: they don't; what is allowed is listed.
    """
    if executor not in get_args(Executor):
        raise UserError(f"unknown executor '{executor}'; allowed: {', '.join(get_args(Executor))}")
    if precision not in get_args(Precision):
        raise UserError(f"unknown precision '{precision}'; allowed: {', '.join(get_args(Precision))}")
    if precision != "model" and executor in ("batched", "hooks"):
        raise UserError(f"precision '{precision}' needs the executor 'fused'; '{executor}' uses the model's own")
