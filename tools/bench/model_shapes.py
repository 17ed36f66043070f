"""The sizes of the models whose shapes are benchmarked: everything that decides what a pass costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder; ``kv`` is the number of key/value heads, ``gated`` whether MLPs have a gate beside up."""

    layers: int
    d_model: int
    heads: int
    kv: int
    d_head: int
    d_mlp: int
    vocab: int
    gated: bool = True

    def llama(self) -> dict[str, int]:
        """The fields of a Llama's configuration."""
        return {
            "hidden_size": self.d_model,
            "intermediate_size": self.d_mlp,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv,
            "head_dim": self.d_head,
            "vocab_size": self.vocab,
        }


SMOLLM2 = ModelShape(30, 576, 9, 3, 64, 1536, 49152)
LLAMA_1B = ModelShape(16, 2048, 32, 8, 64, 8192, 128256)
LLAMA_8B = ModelShape(32, 4096, 32, 8, 128, 14336, 128256)
# For trying the benchmarks themselves, on a machine where nothing larger would end.
TINY = ModelShape(2, 64, 4, 2, 16, 64, 64)

# By the names under which the benchmarks know them.
LLAMAS = {"smollm2-135m-shape": SMOLLM2, "llama-3.2-1b": LLAMA_1B, "llama-3.1-8b": LLAMA_8B, "tiny": TINY}
