"""Which function launches the Triton kernel of each operator; imported only where Triton is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from circuitspex.kernels.triton_activate import activate
from circuitspex.kernels.triton_attention import attention
from circuitspex.kernels.triton_norm import add_norm, norm
from circuitspex.kernels.triton_project_in import project_in
from circuitspex.kernels.triton_project_out import project_out

LAUNCHERS: dict[str, Callable[..., Any]] = {
    "norm": norm,
    "add_norm": add_norm,
    "activate": activate,
    "project_in": project_in,
    "project_out": project_out,
    "attention": attention,
}
"""By the operator's name; the arguments are the operator's own."""
