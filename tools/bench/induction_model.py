"""A second model for the recorded induction games: 48 heads in four layers, trained here to continue repeated words.

The two-layer model of ``tools/induction.py`` has eight heads, of which all masks can be run; in this one many heads
learn the same thing beside each other, as they do in language models.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

import circuitspex as cx

sys.path.append(str(Path(__file__).parents[1]))  # last: both folders have a plots.py
import induction as small

LAYERS, HEADS, WIDTH, INNER = 4, 12, 96, 192
STEPS, BATCH, RATE, SEED = 1500, 64, 2e-3, 0


def new_model() -> Any:
    """The untrained model."""
    sizes = {"d_model": WIDTH, "d_head": WIDTH // HEADS, "n_heads": HEADS, "n_layers": LAYERS, "d_mlp": INNER}
    cfg = TransformerBridgeConfig(**sizes, n_ctx=40, d_vocab=small.N_WORDS + 2, act_fn="gelu", seed=SEED)
    bridge = TransformerBridge.boot_native(cfg)
    bridge.tokenizer = small.tokenizer()
    return bridge.eval()


def load(folder: Path) -> Any:
    """The trained model: read from the folder, or trained (minutes, one thread) and kept there."""
    path = folder / "induction_model.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        save_file({name: p.detach().contiguous() for name, p in trained().named_parameters()}, part)
        part.replace(path)
    model, weights = new_model(), load_file(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model


def trained() -> Any:
    """Train it; prints the loss on sequences that training never sees."""
    torch.manual_seed(SEED)
    model, generator = new_model().train(), torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(STEPS + 1):
        if step % 250 == 0:
            with torch.no_grad():
                loss, accuracy = small.losses(model, *small.test_sequences())
            print(f"step {step}: loss {float(loss):.3f}, accuracy {accuracy:.3f}", flush=True)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100) * min(1, 2 * (1 - step / (STEPS + 1)))
        tokens, second = small.sequences(BATCH, generator)
        loss, _ = small.losses(model, tokens, second)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def task(model: Any, n_prompts: int, seed: int) -> cx.Task:
    """The word that comes next in a stretch of words that is repeated, rather than another word of it."""
    return small.task(model, n_prompts, seed)
