"""Try an installed circuitspex, with nothing of the checkout and no network: ``python smoke_test.py FOLDER``.

Needs only what circuitspex needs. A small Llama with random weights is written to the folder, ablated, and compared
with plain PyTorch; every result is written in every format. The last line is the word of success; any other end is a
failure. ``--without-torch`` is for Pythons that have no PyTorch: the package, its metadata and its help.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

SUCCESS = "smoke test passed"
WORDS = [f"w{i}" for i in range(29)]
HEAD = 2
"""Of layer 1: ablated by hand, too."""


def command(*arguments: str) -> str:
    """What the installed command says; fails where it does."""
    script = Path(sys.executable).with_name("circuitspex")
    done = subprocess.run([script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"circuitspex {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_files() -> None:
    """What is installed is the package and its data: its place, its version, no tests, and all the schemas say."""
    import circuitspex

    at = Path(circuitspex.__file__).parent
    assert at.is_relative_to(sys.prefix), f"{at} is not in {sys.prefix}: this is not the installed package"
    installed = distribution("circuitspex")
    assert circuitspex.__version__ == installed.version != "0+unknown"
    assert command("--version").split() == ["circuitspex", installed.version]
    files = {str(file) for file in installed.files or ()}
    tops = {file.split("/")[0] for file in files if not file.startswith("..")}
    assert tops == {"circuitspex", f"circuitspex-{installed.version}.dist-info"}, tops
    kernels = ("norm", "activate", "project_in", "project_out", "attention")
    needed = {f"circuitspex/kernels/triton_{name}.py" for name in kernels} | {"circuitspex/py.typed"}
    assert needed <= files, needed - files
    for kind in ("json", "css", "js", "html", "pyi"):
        assert any(file.endswith(f".{kind}") for file in files), kind
    assert "circuitspex find" in command("find", "--help")
    for verb in ("find", "compare", "export", "info"):
        assert verb in command("--help")


def make_model(folder: Path) -> Any:
    """A Llama of two layers, with a tokenizer of one token a word, as files; the model."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "<pad>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(vocabulary), max_position_embeddings=32, attn_implementation="eager", **sizes)
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "<s>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return model


def check_values(folder: Path, plain: Any) -> Any:
    """Ablated and not, the model gives what plain PyTorch gives; the task."""
    import numpy as np
    import torch

    import circuitspex as cx

    model = cx.load_model(folder / "model")
    examples = [cx.Example(f"w1 w{i} w3 w4", f"w1 w{i + 9} w3 w4", f" w{i}", f" w{i + 9}") for i in range(2, 10)]
    task = cx.Task.from_examples(model, examples, name="smoke")
    game = cx.ComponentGame(model, task, components="heads", baseline="zero", store=None)
    masks = np.ones((2, game.n_players), dtype=bool)
    masks[1, list(game.names).index(f"L1H{HEAD}")] = False
    values = game.evaluate(masks, progress=False).values

    width = plain.config.hidden_size // plain.config.num_attention_heads

    def without_head(module: Any, inputs: tuple[Any]) -> tuple[Any]:
        changed = inputs[0].clone()
        changed[..., HEAD * width : (HEAD + 1) * width] = 0
        return (changed,)

    def logit_difference() -> float:
        with torch.no_grad():
            logits = plain(torch.as_tensor(task.tokens)).logits[:, -1]
        right, wrong = (torch.as_tensor(each).reshape(-1, 1) for each in (task.answers, task.wrong_answers))
        return float((logits.gather(1, right) - logits.gather(1, wrong)).mean())

    expected = [logit_difference()]
    with_hook = plain.model.layers[1].self_attn.o_proj.register_forward_pre_hook(without_head)
    expected.append(logit_difference())
    with_hook.remove()
    assert abs(expected[0] - expected[1]) > 1e-3, "the head does nothing, so that this shows nothing"
    np.testing.assert_allclose(values, expected, atol=1e-4)
    task.to_jsonl(folder / "task.jsonl")
    return task


def check_search(folder: Path) -> None:
    """The command line finds a circuit, and every format of it is written."""
    from circuitspex.circuits import Circuit, formats

    out = folder / "run"
    given = ["--model", str(folder / "model"), "--task", str(folder / "task.jsonl"), "--components", "heads+mlps"]
    few = ["--budget", "40", "--heldout-masks", "40", "--contexts", "8", "--seed", "0"]
    said = json.loads(command("find", *given, *few, "--out", str(out), "--json"))
    assert said, "no result"
    circuit = Circuit.load(out / "circuit.json")
    for name in formats.names("Circuit"):
        written = formats.write(circuit, name, folder / f"circuit-{name}.{formats.ending('Circuit', name)}")
        assert written.exists(), name
    command("export", str(out / "circuit.json"), "--to", "svg,html,dot,mermaid,graphml", "--out", str(folder / "again"))


def check_decoding() -> None:
    """A planted function of eight players comes back, by each decoder that takes any masks."""
    import numpy as np

    import circuitspex as cx

    masks = cx.sample_masks(8, 200, seed=0)
    x = np.where(masks, 1.0, -1.0)
    values = 1.0 + 2.0 * x[:, 0] - x[:, 1] + 1.5 * x[:, 2] * x[:, 3]
    new = cx.sample_masks(8, 50, seed=1)
    y = np.where(new, 1.0, -1.0)
    for method in ("auto", "proxyspex"):
        found = cx.decode(masks, values, method=method, seed=0)
        error = found.predict(new) - (1.0 + 2.0 * y[:, 0] - y[:, 1] + 1.5 * y[:, 2] * y[:, 3])
        assert np.abs(error).max() < 0.1, (method, np.abs(error).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what is written lies here")
    parser.add_argument("--without-torch", action="store_true", help="the package, its metadata and its help only")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "CIRCUITSPEX_CACHE": str(options.folder / "cache"),
        "CIRCUITSPEX_STORE": "off",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    check_files()
    if not options.without_torch:
        assert "torch" in command("info")
        check_decoding()
        check_values(options.folder, make_model(options.folder / "model"))
        check_search(options.folder)
    print(SUCCESS)


if __name__ == "__main__":
    main()
