"""Whether what the package says of a family of models is what plain PyTorch says: every kind, baseline and executor."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from family import VOCABULARY, Family
from plain import NotThereError, Plain
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from circuitspex import ComponentGame, Example, Task, load_model
from circuitspex.components import model_structure, select
from circuitspex.errors import UserError

KINDS = ("head", "query", "key", "value", "attention", "mlp", "neurons", "residual", "expert", "expert_neurons")
BASELINES = ("zero", "mean", "resample")
EXECUTORS = ("auto", "batched", "hooks")
GATES = ((0, 1, 1), (0, 0, 0), (1, 0.5, 1), (0.5, 0.3, 0.7))
# Relative to the largest effect of the rows above: sums in another order, in float32, through three layers.
TOLERANCE = 5e-4
# Relative to the largest logit difference: a small effect is a difference of large numbers, which are rounded.
ROUNDING = 5e-6


@dataclass(frozen=True)
class Outcome:
    """``status`` is 'right', 'refused', 'wrong' or 'error'; ``detail`` how far off, or the reason."""

    status: str
    detail: str

    def __post_init__(self) -> None:
        assert self.status in ("right", "refused", "wrong", "error")


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    words = {word: i for i, word in enumerate(["<unk>", "<s>", "<pad>", *(f"w{i}" for i in range(VOCABULARY - 3))])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "<s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


def some_task() -> Task:
    """Three prompts of seven words with their counterfactuals.

    No model takes part: transformers reads the tokenizers of some families in their own way, whatever was saved.
    """
    rng = np.random.default_rng(5)

    def text() -> str:
        return " ".join(f"w{i}" for i in rng.integers(0, 40, 7))

    of_words = SimpleNamespace(tokenizer=tokenizer(), cfg=None)
    return Task.from_examples(of_words, [Example(text(), text(), f" w{40 + i}", f" w{50 + i}") for i in range(3)])


def examine(
    family: Family,
    kinds: Sequence[str] = KINDS,
    baselines: Sequence[str] = BASELINES,
    executors: Sequence[str] = EXECUTORS,
    gates: Sequence[Sequence[float]] = GATES,
) -> Iterator[tuple[str, Outcome]]:
    """The outcomes of one family, kind by kind; 'load' first, alone where the model is refused or can't be made."""
    try:
        made = family.make()
    except Exception as error:
        yield "load", Outcome("error", f"can't be made: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        try:
            model = load_model(folder, device="cpu")
        except UserError as error:
            yield "load", Outcome("refused", _reason(error, folder))
            return
        except Exception as error:
            yield "load", Outcome("error", f"{type(error).__name__}: {_reason(error, folder)}")
            return
        again = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    plain, task = Plain(family, again.eval()), some_task()
    own = plain.logits(task.tokens, {})
    with torch.no_grad():
        apart = float((model(task.tokens, use_cache=False)[:, -1] - own).abs().max() / own.std())
    yield "load", Outcome("right" if apart < TOLERANCE else "wrong", f"{apart:.0e}")
    for kind in kinds:
        yield kind, _kind(model, plain, task, kind, baselines, executors, gates)


def _kind(
    model: Any,
    plain: Plain,
    task: Task,
    kind: str,
    baselines: Sequence[str],
    executors: Sequence[str],
    gates: Sequence[Sequence[float]],
) -> Outcome:
    try:
        structure = model_structure(model)
        offered = [i for i, layer in enumerate(structure.layers) if layer.part(kind).hook is not None]
        if not offered:
            reasons = dict.fromkeys(str(layer.part(kind).why) for layer in structure.layers)
            return Outcome("refused", "; ".join(reasons))
        names = _some_names(structure, kind, offered)
        components = select(structure, names)
    except UserError as error:
        return Outcome("refused", _reason(error))
    except Exception as error:
        return Outcome("error", f"{type(error).__name__}: {_reason(error)}")
    worst = 0.0
    rows = [list(row)[: len(components)] for row in gates]
    for baseline in ("zero",) if kind == "expert" else baselines:
        try:
            expected = plain.values(task, components, [[1.0] * len(components), *rows], baseline).numpy()
        except NotThereError as error:
            return Outcome("error", f"offered, and {error}")
        except Exception as error:
            return Outcome("error", f"the reference: {type(error).__name__}: {_reason(error)}")
        effect = float(np.abs(expected[1:] - expected[0]).max())
        if not effect > 1e-6:
            return Outcome("error", f"the reference: ablating {names} has no effect")
        taken = ""
        for executor in executors:
            if executor == "batched" and taken.startswith("batched"):
                continue  # 'auto' was this one
            try:
                game = ComponentGame(model, task, names, baseline, executor=executor)
                taken = game.executor
                got = game.evaluate(np.array(rows, dtype=float), progress=False).per_prompt
            except UserError as error:
                return Outcome("refused", _reason(error))
            except Exception as error:
                return Outcome("error", f"{executor}, {baseline}: {type(error).__name__}: {_reason(error)}")
            apart = np.abs(np.asarray(got) - expected[1:]).max(1) / effect
            if not apart.max() < TOLERANCE + ROUNDING * np.abs(expected).max() / effect:
                row = rows[int(np.nanargmax(apart))]
                return Outcome("wrong", f"{executor}, {baseline}, gates {row}: off by {apart.max():.1e} of the effect")
            worst = max(worst, float(apart.max()))
    return Outcome("right", f"{worst:.0e}" + ("" if len(offered) == structure.n_layers else f", layers {offered}"))


def _some_names(structure: Any, kind: str, offered: Sequence[int]) -> list[str]:
    """Three components of a kind, over the layers that have it."""
    from circuitspex.components import KINDS as TABLE

    about = TABLE[kind]
    names = []
    for i, pick in enumerate((0, len(offered) // 2, len(offered) - 1)[: len(offered)]):
        layer = offered[pick]
        n = structure.layers[layer].part(kind).n_units
        if about.form == "whole":
            place = ""
        elif about.form == "range":
            place = ("3", "0:16", "5:9")[i]
        else:
            place = str((1, 2, 0)[i] % n)
        expert = f"E{i}" if about.in_expert else ""
        names.append(f"L{layer}{expert}{about.letter}{place}{about.suffix}")
    return list(dict.fromkeys(names))


def _reason(error: Exception, folder: str = "") -> str:
    text = " ".join(str(error).split())[:300]
    return text.replace(folder, "it") if folder else text


def as_fields(outcomes: dict[str, Outcome]) -> dict[str, dict[str, str]]:
    """For a JSON file."""
    return {kind: asdict(outcome) for kind, outcome in outcomes.items()}


os.environ.setdefault("CIRCUITSPEX_STORE", "off")
