"""Which masks to run."""

from circuitspex.masks.sample import check_keep, sample_masks

__all__ = ["check_keep", "sample_masks"]
