"""Models for the benchmark of the engine: a real one, or random weights of the shape of a real one; and a task.

Each comes twice: wrapped by TransformerLens, and as Hugging Face runs it by itself.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from model_shapes import LLAMAS
from tokenizers import Tokenizer, models, pre_tokenizers

import circuitspex as cx
from circuitspex.models.catalogue import CATALOGUE, folder_of
from circuitspex.models.load import _bridge
from circuitspex.tasks import Example, Task

# Shape: the class, and the fields of its configuration that set the sizes.
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2-small": ("GPT2", {"n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257}),
    **{name: ("Llama", dict(shape.llama())) for name, shape in LLAMAS.items()},
}
_WORDS = [f"w{i}" for i in range(58)]


def build(name: str, device: str, dtype: torch.dtype, n_prompts: int, length: int) -> tuple[Any, Any, Task]:
    """The model wrapped and plain, and a task of prompts of one length: IOI for a real model, else random words."""
    if name not in SHAPES:
        model = cx.load_model(name, device=device, dtype=str(dtype).removeprefix("torch."))
        plain = transformers.AutoModelForCausalLM.from_pretrained(folder_of(CATALOGUE[name]), dtype=dtype).to(device)
        return model, plain.eval(), cx.tasks.ioi(model, n_prompts=n_prompts)
    family, sizes = SHAPES[name]
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "<pad>", *_WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="<s>", pad_token="<pad>"
    )
    kind = "GPT2LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    made = []
    for attention in ("eager", "sdpa"):
        config = getattr(transformers, f"{family}Config")(
            **sizes, bos_token_id=1, eos_token_id=1, pad_token_id=2, attn_implementation=attention
        )
        torch.manual_seed(0)
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device):
                made.append(getattr(transformers, kind)(config).eval())
        finally:
            torch.set_default_dtype(before)
    hf_model, plain = made
    hf_model.config.architectures = [type(hf_model).__name__]
    model = _bridge(name, hf_model, tokenizer, dtype, torch.device(device))
    generator = torch.Generator().manual_seed(0)

    def text() -> str:
        return " ".join(_WORDS[i] for i in torch.randint(50, (length,), generator=generator).tolist())

    examples = [Example(text(), text(), f" w{50 + i % 4}", f" w{54 + i % 4}") for i in range(n_prompts)]
    reference = [text() for _ in range(16)]
    return model, plain, Task.from_examples(model, examples, reference=reference)
