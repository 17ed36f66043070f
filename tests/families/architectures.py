"""Every architecture that transformers calls a causal language model: tried, refused for a reason, or not tried."""

from __future__ import annotations

from functools import cache

import transformers
from table import FAMILIES, NOT_TRIED
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from circuitspex.errors import UserError
from circuitspex.models.causal import check_config


def architectures() -> dict[str, list[str]]:
    """The model types of each class in transformers' mapping of causal language models."""
    found: dict[str, list[str]] = {}
    for kind, names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        for name in (names,) if isinstance(names, str) else names:
            found.setdefault(name, []).append(kind)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


@cache
def tried() -> dict[str, list[str]]:
    """The families of the table, by their class."""
    found: dict[str, list[str]] = {}
    for name, family in FAMILIES.items():
        about = transformers.MODEL_FOR_CAUSAL_LM_MAPPING
        made = family.model or about[getattr(transformers, family.config)].__name__
        found.setdefault(made, []).append(name)
    return found


def outcomes_of_architectures() -> dict[str, tuple[str, str]]:
    """For each class: ('tried', ''), ('refused', the reason) or ('not tried', why not).

    Raises:
        LookupError: one is none of them.
    """
    return {name: outcome(name, kinds) for name, kinds in architectures().items()}


def outcome(name: str, kinds: list[str]) -> tuple[str, str]:
    """Of one class and its model types."""
    if name in tried():
        return "tried", ""
    if name in NOT_TRIED:
        return "not tried", NOT_TRIED[name]
    for kind in kinds:
        # What is called a causal language model is one: BERT and its kin say so in this field, and others have it not.
        fields = {"model_type": kind, "architectures": [name], "is_decoder": True}
        try:
            check_config(fields, "it")
        except UserError as error:
            return "refused", str(error)
    raise LookupError(f"{name} is neither in the table of families nor refused, nor is said why it is not tried")
