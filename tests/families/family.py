"""What is known of a family of models: how to make a tiny one, and where its parts are in the Hugging Face module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers

VOCABULARY = 61
WIDTH = 32
IDS = {"pad_token_id": 2, "bos_token_id": 1, "eos_token_id": 1}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One configuration of one architecture.

    A path may name several, with | between them: the first that a layer has.

    Args:
        config: the name of its configuration class.
        fields: sizes, and what makes it this variant of its architecture.
        model: the name of its class, where the configuration class has several.
        layers: the path of the list of layers; the paths below are within a layer.
        attention: the module whose output attention adds to the residual stream.
        mlp: the module whose output the MLP adds.
        adds_residual: of these two, those that add the residual stream themselves: it is taken off again.
        heads: the module that reads the heads' outputs side by side: the output projection.
        neurons: the module that reads the neurons' activations.
        query, key, value: the modules that give them, head after head; with ``fused`` one module gives all three.
        fused: how that one module lays them out: 'one after the other', or 'by head' (each group of query heads with
            its key and value), or 'by head, value before key'; or 'entering attention': no
            module gives them, and they are taken where attention begins. 'query and gate by head': each gives its own,
            and that of queries gives a gate beside each.
        router: of a mixture of experts, whose ``weight`` has a row for each expert.
        experts: the module of all experts, whose ``down_proj`` their neurons are given to.
        scale: of the random weights.
        n_heads: of queries.
        n_key_heads: of keys and of values; as many as of queries if 0.
    """

    config: str
    fields: Mapping[str, Any]
    model: str = ""
    layers: str = "model.layers"
    attention: str = "self_attn"
    mlp: str = "mlp"
    adds_residual: tuple[str, ...] = ()
    heads: str = "self_attn.o_proj"
    neurons: str = "mlp.down_proj"
    query: str = "self_attn.q_proj"
    key: str = "self_attn.k_proj"
    value: str = "self_attn.v_proj"
    fused: str = ""
    router: str = "mlp.gate"
    experts: str = "mlp.experts"
    scale: float = 0.3
    n_heads: int = 4
    n_key_heads: int = 0

    def configuration(self) -> Any:
        """Its configuration, tiny."""
        made = getattr(transformers, self.config)(**{"vocab_size": VOCABULARY, **IDS, **self.fields})
        made._attn_implementation = "eager"
        return made

    def make(self, seed: int = 0) -> Any:
        """A random model in which every part matters to the logits."""
        config = self.configuration()
        auto = transformers.AutoModelForCausalLM
        made = getattr(transformers, self.model)(config) if self.model else auto.from_config(config)
        made = made.float().eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in made.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                if parameter.ndim == 1:  # scales of norms stay near what they were, biases become visible
                    parameter.add_(0.2 * noise)
                else:
                    parameter.copy_(self.scale * noise)
        return made
