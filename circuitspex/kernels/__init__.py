"""The fused ablation operators: projections and attention under a different mask for each group of rows.

Each operator has a plain PyTorch definition (``reference``), which is its specification, and a Triton kernel that skips
what is ablated. Gates are 1 for kept and 0 for ablated.
"""

from circuitspex.kernels.choice import describe, use_triton
from circuitspex.kernels.ops import (
    baseline_contribution,
    gated_attention,
    gated_input_projection,
    gated_neurons_projection,
    gated_output_projection,
)

__all__ = [
    "baseline_contribution",
    "describe",
    "gated_attention",
    "gated_input_projection",
    "gated_neurons_projection",
    "gated_output_projection",
    "use_triton",
]
