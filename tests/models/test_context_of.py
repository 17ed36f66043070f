"""How many tokens a model's context holds is known of models that TransformerLens built, too."""

from __future__ import annotations

from types import SimpleNamespace

from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from circuitspex.models.tokens import context_of


def test_a_model_of_transformer_lens_holds_what_it_was_built_for():
    sizes = {"d_model": 8, "d_head": 4, "n_heads": 2, "n_layers": 1, "n_ctx": 13, "d_vocab": 7}
    cfg = TransformerBridgeConfig(**sizes, attn_only=True, act_fn="relu", normalization_type=None, seed=0)
    assert context_of(TransformerBridge.boot_native(cfg)) == 13


def test_a_configuration_without_a_context_says_nothing_whatever_the_bridge_says():
    original = SimpleNamespace(config=SimpleNamespace(hidden_size=8))
    assert context_of(SimpleNamespace(original_model=original, cfg=SimpleNamespace(n_ctx=2048))) is None
