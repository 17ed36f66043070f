"""Compiles RASP programs with Tracr into small transformers whose circuit is known; ``tests/ground_truth/tracr``.

    python3.11 -m venv tracr-env && tracr-env/bin/pip install tracr-pypi safetensors
    tracr-env/bin/python tools/make_tracr.py

Tracr (Lindner et al., 'Tracr: Compiled Transformers as a Laboratory for Interpretability', 2023) needs JAX and Haiku,
so it runs in an environment of its own; the project reads only the files: the weights by the names of TransformerLens'
native model, and one JSON file with each program's configuration, its circuit, and what it means.

The vocabulary is the program's input tokens followed by its output values (written '=value'), so that an answer is a
token. 'outputs' has what the program means at the last position, for all sequences in the order of
``itertools.product``, null where it is left open; the compiled model is checked against it. The circuit is where the
compiler put anything: all layers get as many heads as the widest one needs, and those in which no part of the program
sits are not part of it. Attention is causal and there is no layer norm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tracr.compiler import compiling, lib
from tracr.rasp import rasp

FOLDER = Path(__file__).parent.parent / "tests" / "ground_truth" / "tracr"
BOS = "bos"
LETTERS = ("a", "b", "c")
LENGTH = 5


def second_last() -> Any:
    """The token before the previous one, fetched in two steps of one."""
    return lib.shift_by(1, lib.shift_by(1, rasp.tokens))


def induction() -> Any:
    """What came after the same token before: the previous token's head, and a head that looks it up."""
    before = lib.shift_by(1, rasp.tokens)
    return rasp.Aggregate(rasp.Select(before, rasp.tokens, rasp.Comparison.EQ), rasp.tokens, default=None)


def times_of_previous() -> Any:
    """How often the previous token had occurred by then."""
    return lib.shift_by(1, lib.make_hist())


def rare() -> Any:
    """How many tokens so far had occurred at most once by then."""
    return lib.make_count_less_freq(1)


def pattern() -> Any:
    """Whether the last four tokens were a, b, c, a."""
    return lib.detect_pattern(rasp.tokens, "abca")


def count(letter: str) -> Any:
    """How often a letter has occurred so far."""
    return rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, lambda key, query: key == letter))


def more_after_c() -> Any:
    """Whether a has occurred more often than b, and the previous token was c."""
    more = rasp.SequenceMap(lambda a, b: a > b, count("a"), count("b"))
    return more & lib.shift_by(1, rasp.tokens == "c")


def often_after_b() -> Any:
    """Whether c has occurred twice or more, and the token before the previous one was b."""
    often = rasp.Map(lambda times: times > 1, count("c"))
    return often & lib.shift_by(1, lib.shift_by(1, rasp.tokens == "b"))


def after_same(words: Sequence[str]) -> str | None:
    """Of the tokens that followed the last one before: it, where they are all the same."""
    after = {words[i + 1] for i in range(len(words) - 1) if words[i] == words[-1]}
    return after.pop() if len(after) == 1 else None


def seen(words: Sequence[str]) -> list[int]:
    """How often each token has occurred up to its place."""
    return [words[: i + 1].count(word) for i, word in enumerate(words)]


# Each with what it means for the last position, in plain Python; None where the program leaves it open.
PROGRAMS: dict[Callable[[], Any], Callable[[Sequence[str]], Any]] = {
    second_last: lambda words: words[-3],
    induction: after_same,
    times_of_previous: lambda words: seen(words)[-2],
    rare: lambda words: sum(count <= 1 for count in seen(words)),
    pattern: lambda words: tuple(words[-4:]) == tuple("abca"),
    more_after_c: lambda words: words.count("a") > words.count("b") and words[-2] == "c",
    often_after_b: lambda words: words.count("c") > 1 and words[-3] == "b",
}


def weights(model: Any, label: str, n_inputs: int, outputs: list[Any]) -> dict[str, np.ndarray]:
    """By the names of TransformerLens' native model; the rows of the vocabulary are inputs, then outputs."""
    parameters = {
        f"{module}.{name}": np.asarray(value) for module, of in model.params.items() for name, value in of.items()
    }
    labels = list(model.residual_labels)
    embedded = parameters["token_embed.embeddings"][:n_inputs]
    width = embedded.shape[1]
    head = np.zeros((n_inputs + len(outputs), width))
    for row, value in enumerate(outputs):
        head[n_inputs + row, labels.index(f"{label}:{value}")] = 1
    found = {
        "tok_embed.weight": np.concatenate([embedded, np.zeros((len(outputs), width))]),
        "pos.weight": parameters["pos_embed.embeddings"],
        "head.weight": head,
    }
    ours = {"attn.q": "attn/query", "attn.k": "attn/key", "attn.v": "attn/value", "attn.o": "attn/linear"}
    ours |= {"mlp.fc_in": "mlp/linear_1", "mlp.fc_out": "mlp/linear_2"}
    for layer in range(model.model_config.num_layers):
        for here, there in ours.items():
            found[f"layers.{layer}.{here}.weight"] = parameters[f"transformer/layer_{layer}/{there}.w"].T
            found[f"layers.{layer}.{here}.bias"] = parameters[f"transformer/layer_{layer}/{there}.b"]
    return {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in found.items()}


def circuit(tensors: dict[str, np.ndarray], n_layers: int, n_heads: int) -> list[str]:
    """The heads and MLPs that the compiler put something in: those that write to the residual stream."""
    found = []
    for layer in range(n_layers):
        out = tensors[f"layers.{layer}.attn.o.weight"]
        size = out.shape[1] // n_heads
        found += [f"L{layer}H{h}" for h in range(n_heads) if np.abs(out[:, h * size : (h + 1) * size]).any()]
        if np.abs(tensors[f"layers.{layer}.mlp.fc_out.weight"]).any():
            found.append(f"L{layer}M")
    return found


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    facts = {}
    for program, meaning in PROGRAMS.items():
        name, expression = program.__name__, program()
        model = compiling.compile_rasp_to_model(
            expression, vocab=set(LETTERS), max_seq_len=LENGTH, causal=True, compiler_bos=BOS
        )
        code = model.input_encoder.encoding_map
        inputs = [word for word in sorted(code, key=code.__getitem__) if word != "compiler_pad"]
        assert [code[word] for word in inputs] == list(range(len(inputs)))
        code = model.output_encoder.encoding_map
        outputs = sorted(code, key=code.__getitem__)
        tensors = weights(model, expression.label, len(inputs), outputs)
        save_file(tensors, FOLDER / f"{name}.safetensors")
        said = []
        for words in product(LETTERS, repeat=LENGTH):
            wanted = meaning(words)
            assert wanted is None or model.apply([BOS, *words]).decoded[-1] == wanted, (name, words)
            said.append(None if wanted is None else f"={wanted}")
        of = model.model_config
        facts[name] = {
            "says": (program.__doc__ or "").strip(),
            "config": {
                "n_layers": of.num_layers,
                "n_heads": of.num_heads,
                "d_head": of.key_size,
                "d_mlp": of.mlp_hidden_size,
                "d_model": tensors["tok_embed.weight"].shape[1],
                "n_ctx": tensors["pos.weight"].shape[0],
                "d_vocab": len(inputs) + len(outputs),
            },
            "vocabulary": [*inputs, *(f"={value}" for value in outputs)],
            "circuit": circuit(tensors, of.num_layers, of.num_heads),
            "outputs": said,
        }
        kib = sum(t.nbytes for t in tensors.values()) // 1024
        print(name, facts[name]["config"], facts[name]["circuit"], f"{kib} KiB")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in facts.items())
    (FOLDER / "programs.json").write_text(f"{{\n{lines}\n}}\n")
    for path in FOLDER.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    main()
