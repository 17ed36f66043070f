"""Memory announced and taken: models that are loaded, batches on long prompts, and what a shared prefix saves.

Each case runs in a process of its own, whose peak is read beside what it held before (Linux). The models have random
weights and few layers of the width of models of 1B and 8B weights.

    python tools/bench/memory.py > docs/benchmarks/memory.md
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Width, neurons, heads, key and value heads, of Llama 3.2 1B and Llama 3.1 8B.
WIDTHS = {"1B": (2048, 8192, 32, 8), "8B": (4096, 14336, 32, 8), "small": (256, 1024, 4, 2)}
LOADED = [("1B", 2, "float32", "float32"), ("1B", 2, "bfloat16", "float32"), ("1B", 2, "bfloat16", "bfloat16")]
LOADED += [("8B", 1, "bfloat16", "bfloat16"), ("8B", 1, "bfloat16", "float32")]
RUN = [("small", 2, 1000, 32, "fused", False), ("small", 2, 1000, 32, "fused", True)]
RUN += [("small", 2, 1000, 32, "batched", False)]
STARTS = ("layers[0:12].heads", "layers[6:12].heads", "layers[9:12].heads", "heads@-1", "layers[9:12].heads@-1")


def write_model(folder: Path, width: str, n_layers: int, dtype: str) -> None:
    """A Llama with random weights and a small vocabulary."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    d_model, d_mlp, heads, kv = WIDTHS[width]
    config = LlamaConfig(
        hidden_size=d_model,
        intermediate_size=d_mlp,
        num_hidden_layers=n_layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        vocab_size=1000,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model = model.to_empty(device="cpu")
    drawn = torch.randn(1_000_003).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.fill_(1)
                continue
            flat = parameter.view(-1)
            for start in range(0, len(flat), len(drawn)):
                flat[start : start + len(drawn)] = drawn[: len(flat) - start]
            parameter.mul_(parameter.shape[1] ** -0.5)
    for module in model.modules():  # rotary frequencies, which are not among the parameters
        if hasattr(module, "inv_freq"):
            module.__init__(config)
    model.save_pretrained(folder)


class Peak:
    """The most bytes of this process since it was made, beside what it held then."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self.before = _status("VmRSS")

    def bytes(self) -> int:
        return _status("VmHWM") - self.before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def loaded(folder: str, dtype: str, **_: Any) -> dict[str, Any]:
    """Announced and measured bytes of loading a model."""
    import transformers.models.llama.modeling_llama  # noqa: F401
    from transformer_lens.model_bridge import TransformerBridge  # noqa: F401

    from circuitspex.models import load_model
    from circuitspex.models.memory import model_memory

    with tempfile.TemporaryDirectory() as other:  # what the first model of a process takes is not the weights'
        write_model(Path(other), "small", 1, dtype)
        load_model(other, dtype=dtype, device="cpu")
    announced = model_memory(folder, dtype=dtype, device="cpu")
    assert announced is not None
    peak = Peak()
    model = load_model(folder, dtype=dtype, device="cpu")
    return {"announced": announced.peak, "measured": peak.bytes(), "n": sum(p.numel() for p in model.parameters())}


def _task(n_tokens: int, n_prompts: int) -> Any:
    import torch

    from circuitspex.tasks import Example, Task
    from circuitspex.tasks.metrics import METRICS

    drawn = torch.randint(10, 1000, (2, n_prompts, n_tokens), generator=torch.Generator().manual_seed(0))
    answers = torch.arange(10, 10 + n_prompts)
    lengths = torch.full((n_prompts,), n_tokens)
    return Task(
        name="random tokens",
        examples=tuple(Example(f"prompt {i}", f"other {i}", " right", " wrong") for i in range(n_prompts)),
        tokens=drawn[0],
        counterfactual_tokens=drawn[1],
        lengths=lengths,
        answers=answers,
        wrong_answers=answers + 100,
        reference=tuple(f"other {i}" for i in range(n_prompts)),
        reference_tokens=drawn[1],
        reference_lengths=lengths,
        metric=METRICS["logit_diff"],
    )


def run(folder: str, n_tokens: int, n_masks: int, executor: str, gradients: bool, **_: Any) -> dict[str, Any]:
    """Announced and measured bytes of all masks in one batch, on one prompt."""
    from circuitspex.games import ComponentGame
    from circuitspex.masks import sample_masks
    from circuitspex.models import load_model

    model = load_model(folder, device="cpu")
    game = ComponentGame(model, _task(n_tokens, 1), "heads", executor=executor, batch_rows=n_masks)
    game.evaluate(sample_masks(game.n_players, 2, seed=1), gradients=gradients)
    masks = sample_masks(game.n_players, n_masks, seed=0)
    announced = game.plan(masks, gradients=gradients).memory
    peak, start = Peak(), time.perf_counter()
    game.evaluate(masks, gradients=gradients)
    return {"announced": announced, "measured": peak.bytes(), "seconds": time.perf_counter() - start}


def starts(folder: str, n_tokens: int, n_masks: int, **_: Any) -> dict[str, Any]:
    """Seconds of the same masks by where the first ablated component is."""
    from circuitspex.games import ComponentGame
    from circuitspex.masks import sample_masks
    from circuitspex.models import load_model

    model = load_model(folder, device="cpu")
    found = {}
    for selector in STARTS:
        game = ComponentGame(model, _task(n_tokens, 1), selector, "zero", executor="fused")
        game.evaluate(sample_masks(game.n_players, 2, seed=1))
        start = time.process_time()
        game.evaluate(sample_masks(game.n_players, n_masks, seed=0))
        found[selector] = time.process_time() - start
    return found


def alone(what: str, width: str, n_layers: int, stored: str, **about: Any) -> dict[str, Any]:
    """A case in a process of its own, on a model that is written for it."""
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), width, n_layers, stored)
        asked = json.dumps({"what": what, "folder": folder, **about})
        done = subprocess.run([sys.executable, __file__, "--case", asked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=json.loads)
    case = parser.parse_args().case
    if case is not None:
        print(json.dumps({"loaded": loaded, "run": run, "starts": starts}[case.pop("what")](**case)))
        return
    print("# Memory announced and taken\n\n`python tools/bench/memory.py`\n")
    print("Peaks of a process beside what it held before, on one CPU; models of random weights and 1,000 tokens.\n")
    print("## Loading\n\n| width of | layers | files | loaded as | announced, MB | measured, MB | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for width, n_layers, stored, dtype in LOADED:
        found = alone("loaded", width, n_layers, stored, dtype=dtype)
        print(f"| {width} | {n_layers} | {stored} | {dtype} | {_row(found)}", flush=True)
    print("\n## 1,000 tokens and 32 masks in one batch\n")
    print("Width 256, 4 heads, 2 layers, float32; heads are ablated.\n")
    print("| executor | gradients | announced, MB | measured, MB | ratio |\n| --- | --- | --- | --- | --- |")
    for width, n_layers, n_tokens, n_masks, executor, gradients in RUN:
        about = {"n_tokens": n_tokens, "n_masks": n_masks, "executor": executor, "gradients": gradients}
        found = alone("run", width, n_layers, "float32", **about)
        print(f"| {executor} | {'yes' if gradients else 'no'} | {_row(found)}", flush=True)
    print("\n## What a shared prefix saves\n")
    print("The same 8 masks on one prompt of 300 tokens, 12 layers of width 256; processor time, as a share of the")
    print("first row's.\n\n| components | share of the time |\n| --- | --- |")
    times = alone("starts", "small", 12, "float32", n_tokens=300, n_masks=8)
    for selector, seconds in times.items():
        print(f"| `{selector}` | {seconds / times[STARTS[0]]:.3f} |")


def _row(found: dict[str, Any]) -> str:
    announced, measured = found["announced"] / 1e6, found["measured"] / 1e6
    return f"{announced:,.0f} | {measured:,.0f} | {measured / announced:.2f} |"


if __name__ == "__main__":
    main()
