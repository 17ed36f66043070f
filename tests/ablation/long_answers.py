"""Answers of several tokens a second time, in the plainest way: Hugging Face, plain torch hooks, a row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from circuitspex.tasks import Example, Task

# One token beside several, a beginning that is shared, and two that need a sequence each.
ANSWERS = (" w50 w51", " w52", " w53 w54 w55", " w50 w51", " w56 w50")
WRONG = (" w54", " w50 w51 w52", " w56 w57", " w50 w52", " w51 w56 w57")


def example_of(i: int, length: int) -> Example:
    """Some words, and their answers."""
    text, other = (
        " ".join(f"w{(a * i + b * k + c) % 50}" for k in range(length)) for a, b, c in ((7, 3, 0), (5, 4, 1))
    )
    return Example(text, other, ANSWERS[i], WRONG[i], positions={"subject": i % length})


def long_task(model: Any, metric: Any = "logprob_diff", lengths: Sequence[int] = (5,) * 5, **options: Any) -> Task:
    """Five prompts of these lengths with answers of one to three tokens."""
    examples = [example_of(i, n) for i, n in enumerate(lengths)]
    return Task.from_examples(model, examples, metric=metric, group_by_length=len(set(lengths)) > 1, **options)


def ids_of(text: str) -> list[int]:
    """The tokens of some words."""
    return [int(word[1:]) + 3 for word in text.split()]


class PlainLlama:
    """A Llama of Hugging Face whose heads (and MLPs) are gated by plain hooks; ``components`` name them."""

    def __init__(self, model: Any, task: Task, components: Sequence[Any], baseline: str, bos: bool = False) -> None:
        self.model, self.task, self.components, self.baseline, self.bos = model, task, components, baseline, bos

    def tokens(self, text: str) -> list[int]:
        return [*([1] if self.bos else []), *ids_of(text)]

    def logprob(self, i: int, answer: str, gates: np.ndarray) -> float:
        """The log-probability of an answer of prompt ``i``, each token after the true ones before it."""
        example = self.task.examples[i]
        prompt, ids = self.tokens(example.prompt), ids_of(answer)
        base: dict[str, Any] = {}
        if self.baseline == "resample":
            base = self.seen([*self.tokens(example.counterfactual), *ids[:-1]])
        elif self.baseline == "mean":
            base = self.means(len(prompt))
        with torch.no_grad():
            logits = self.run([*prompt, *ids[:-1]], base, gates, len(prompt))
        steps = torch.log_softmax(logits, -1)
        return float(sum(steps[len(prompt) - 1 + k, token] for k, token in enumerate(ids)))

    def places(self) -> dict[str, Any]:
        layers = self.model.model.layers
        found = {f"z{i}": layer.self_attn.o_proj for i, layer in enumerate(layers)}
        return found | {f"m{i}": layer.mlp for i, layer in enumerate(layers)}

    def seen(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """What the heads and the MLPs give on these tokens."""
        found: dict[str, torch.Tensor] = {}
        handles = []
        for name, module in self.places().items():
            if name[0] == "z":
                handles.append(module.register_forward_pre_hook(lambda m, a, n=name: found.update({n: a[0][0]})))
            else:
                handles.append(module.register_forward_hook(lambda m, a, out, n=name: found.update({n: out[0]})))
        with torch.no_grad():
            self.model(torch.tensor([ids]))
        for handle in handles:
            handle.remove()
        return found

    def means(self, length: int) -> dict[str, torch.Tensor]:
        """Over the prompts, each followed by its answer, and the counterfactuals, each by the wrong one, where there
        is a token."""
        rows = [(e.prompt, e.answer) for e in self.task.examples] + [
            (e.counterfactual, e.wrong_answer) for e in self.task.examples
        ]
        found = [self.seen([*self.tokens(t), *ids_of(a)[:-1]]) for t, a in rows if len(self.tokens(t)) == length]
        longest = max(len(each["z0"]) for each in found)
        return {
            name: torch.stack(
                [torch.stack([f[name][p] for f in found if len(f[name]) > p]).mean(0) for p in range(longest)]
            )
            for name in found[0]
        }

    def run(self, ids: list[int], base: dict[str, torch.Tensor], gates: np.ndarray, length: int) -> torch.Tensor:
        handles = []
        for name, module in self.places().items():

            def gated(value: torch.Tensor, name: str = name) -> torch.Tensor:
                result = value.clone()
                other = base[name][: value.shape[1]][None] if base else torch.zeros_like(value)
                width = value.shape[-1] // 4
                for component, gate in zip(self.components, gates, strict=True):
                    kind = {"head": "z", "mlp": "m"}[component.kind]
                    if f"{kind}{component.layer}" != name:
                        continue
                    at = slice(None) if component.position is None else [component.position % length]
                    units = (
                        slice(None) if kind == "m" else slice(component.start * width, (component.start + 1) * width)
                    )
                    mixed = other[:, at, units] + float(gate) * (value[:, at, units] - other[:, at, units])
                    result[:, at, units] = mixed
                return result

            if name[0] == "z":
                handles.append(module.register_forward_pre_hook(lambda m, a, g=gated: (g(a[0]),)))
            else:
                handles.append(module.register_forward_hook(lambda m, a, out, g=gated: g(out)))
        logits = self.model(torch.tensor([ids])).logits[0]
        for handle in handles:
            handle.remove()
        return logits

    def values(self, metric: str, masks: np.ndarray) -> np.ndarray:
        """The metric of each prompt under each mask."""

        def one(i: int, gates: np.ndarray) -> float:
            example = self.task.examples[i]
            right = self.logprob(i, example.answer, gates)
            n, m = len(ids_of(example.answer)), len(ids_of(example.wrong_answer))
            if metric in ("answer_logprob", "answer_logprob_mean", "answer_prob"):
                return {"answer_logprob": right, "answer_logprob_mean": right / n, "answer_prob": np.exp(right)}[metric]
            wrong = self.logprob(i, example.wrong_answer, gates)
            return right / n - wrong / m if metric == "logprob_diff_mean" else right - wrong

        return np.array([[one(i, gates) for i in range(self.task.n_prompts)] for gates in masks])
