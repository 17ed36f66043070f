"""Which masks to run."""

from circuitspex.masks._pilot import Pilot, PilotRow, pilot
from circuitspex.masks.coded import CodedDesign
from circuitspex.masks.sample import Keep, check_keep, every_mask, mean_keep, sample_masks

__all__ = ["CodedDesign", "Keep", "Pilot", "PilotRow", "check_keep", "every_mask", "mean_keep", "pilot", "sample_masks"]
