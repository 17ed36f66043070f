"""A transformer whose circuit is planted by hand, so that what should be found is known exactly.

Every head attends evenly and copies one feature of the tokens (+1 in prompts, -1 in counterfactuals, so that the mean
is 0) into a direction of its own. The last MLP computes from these directions, with ``kept`` 1 and ablated 0::

    value = min(a + b, 1) + max(c + d - 1, 0) + max(e + f + g - 2, 0)

a backup pair (redundant), an AND pair (synergistic) and a triple, each with members in both layers. The decoy has by far
the largest output, in a direction that nothing reads.
"""

from __future__ import annotations

from itertools import chain, combinations, product
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from circuitspex.tasks import Example, Task

HEADS = tuple(f"L{layer}H{head}" for layer in range(2) for head in range(4))
BACKUP, BOTH, TRIPLE, DECOY = ("L0H0", "L1H0"), ("L0H1", "L1H1"), ("L0H2", "L0H3", "L1H2"), "L1H3"
WORDS = ("on0", "on1", "off0", "off1", "yes", "no")
FEATURE, OUT, D_HEAD, D_MODEL, D_MLP = 0, 10, 2, 16, 4

Effects = dict[tuple[str, ...], float]


def build() -> Any:
    """The planted model, with a tokenizer of one token a word."""
    sizes = {"d_model": D_MODEL, "d_head": D_HEAD, "n_heads": 4, "n_layers": 2, "n_ctx": 8, "d_mlp": D_MLP}
    cfg = TransformerBridgeConfig(**sizes, d_vocab=len(WORDS) + 1, act_fn="relu", normalization_type=None, seed=0)
    model = TransformerBridge.boot_native(cfg)
    weights = {name.replace("_original_component.", ""): p.data for name, p in model.named_parameters()}
    for weight in weights.values():
        weight.zero_()
    for i, word in enumerate(WORDS):
        weights["tok_embed.weight"][i + 1, FEATURE] = 1.0 if word.startswith("on") else -1.0
    for i, name in enumerate(HEADS):
        layer, head = divmod(i, 4)
        weights[f"layers.{layer}.attn.v.weight"][head * D_HEAD, FEATURE] = 50.0 if name == DECOY else 1.0
        weights[f"layers.{layer}.attn.o.weight"][1 + i, head * D_HEAD] = 1.0
    neurons = ((BACKUP, 0.0, 1.0), (BACKUP, -1.0, -1.0), (BOTH, -1.0, 1.0), (TRIPLE, -2.0, 1.0))
    for neuron, (members, bias, out) in enumerate(neurons):
        for member in members:
            weights["layers.1.mlp.fc_in.weight"][neuron, 1 + HEADS.index(member)] = 1.0
        weights["layers.1.mlp.fc_in.bias"][neuron] = bias
        weights["layers.1.mlp.fc_out.weight"][OUT, neuron] = out
    weights["head.weight"][1 + WORDS.index("yes"), OUT] = 1.0
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(("<s>", *WORDS))}, unk_token="<s>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<s>", pad_token="<s>")
    return model.eval()


def task(model: Any) -> Task:
    """All prompts of three 'on' words; 'yes' rather than 'no' comes next."""
    examples = [
        Example(" ".join(f"on{i}" for i in kinds), " ".join(f"off{i}" for i in kinds), " yes", " no")
        for kinds in product(range(2), repeat=3)
    ]
    return Task.from_examples(model, examples, name="planted", prepend_bos=False)


def subsets(members: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The non-empty subsets of ``members``."""
    return list(chain.from_iterable(combinations(members, k) for k in range(1, len(members) + 1)))


def intended() -> Effects:
    """The effect of every set that was planted: its difference, averaged over whether the others are kept."""
    effects = {members: 0.5 ** (len(unit) - len(members)) for unit in (BOTH, TRIPLE) for members in subsets(unit)}
    return effects | {BACKUP[:1]: 0.5, BACKUP[1:]: 0.5, BACKUP: -1.0}


def truth(masks: np.ndarray, values: np.ndarray, names: tuple[str, ...], threshold: float = 0.05) -> Effects:
    """The effects up to order 3 from values of all ``2**n`` masks, but those under ``threshold`` of the largest."""
    signs = 2.0 * masks - 1.0
    places = {name: i for i, name in enumerate(names)}
    sets = [members for k in range(1, 4) for members in combinations(names, k)]
    effects = {s: float(2.0 ** len(s) * (signs[:, [places[m] for m in s]].prod(1) * values).mean()) for s in sets}
    largest = max(map(abs, effects.values()))
    return {s: effect for s, effect in effects.items() if abs(effect) > threshold * largest}
