"""How many heads a layer says it has, and how many of them share a key and a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from circuitspex.models.protocol import Model

_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "num_query_heads")
_KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_head_kv")


def heads_said(model: Model, layer: int) -> list[int]:
    """The number of heads as the layer's attention module says it, and as the configuration does; each once."""
    return _said(model, layer, _HEADS)


def key_value_heads_said(model: Model, layer: int) -> list[int]:
    """Likewise, of the heads that keys and values have."""
    return _said(model, layer, _KEY_VALUE_HEADS)


def _said(model: Model, layer: int, names: Iterable[str]) -> list[int]:
    attention = getattr(getattr(model.blocks[layer], "attn", None), "original_component", None)
    config: Any = getattr(model.original_model, "config", None)
    text: Any = config.get_text_config() if hasattr(config, "get_text_config") else config
    found: dict[int, None] = {}
    for place in (attention, getattr(attention, "config", None), text):
        for name in names:
            value: Any = getattr(place, name, None)
            if isinstance(value, (list, tuple)) and layer < len(value):
                value = value[layer]
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                found[value] = None
    return list(found)
