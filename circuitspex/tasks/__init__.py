"""Tasks: prompts, their counterfactuals, the answers to compare, and metrics of the logits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
