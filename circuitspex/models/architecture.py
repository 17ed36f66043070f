"""What TransformerLens calls a class of models, which is known before any weights are read."""

from __future__ import annotations


def lens_name(model_class: str) -> str | None:
    """The name by which TransformerLens knows a class of transformers, or None.

    The two may spell it differently: 'PhimoeForCausalLM' is 'PhiMoEForCausalLM'.
    """
    from transformer_lens.factories.architecture_adapter_factory import (
        SUPPORTED_ARCHITECTURES,
        ArchitectureAdapterFactory,
    )

    ArchitectureAdapterFactory.discover_entry_points()
    if model_class in SUPPORTED_ARCHITECTURES:
        return model_class
    return next((name for name in SUPPORTED_ARCHITECTURES if name.lower() == model_class.lower()), None)
