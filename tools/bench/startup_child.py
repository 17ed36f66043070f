"""One start, with its processor time by phase on the last line of standard error; ``startup.py`` runs this.

Phases are functions that are wrapped as soon as their module is imported, so that nothing is imported for the sake of
measuring; what one phase does within another counts for the inner one.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

IMPORTS, REST = "imports", "everything else"
PHASES = {
    "circuitspex.models.catalogue": {"fetch": "checksums of the model's files"},
    "circuitspex.models.identity": {
        "weights_hash": "identity of the weights",
        "remember_identity": "reading the model's state",
    },
    "circuitspex.models.state": {"model_state": "reading the model's state"},
    "circuitspex.models.load": {
        "_read": "reading weights and tokenizer",
        "_bridge": "TransformerLens's wrapping",
    },
    "circuitspex.models.trial": {
        "own_logits": "trial: the model alone and wrapped, later tokens",
        "check_runs": "trial: the model alone and wrapped, later tokens",
    },
    "circuitspex.components.proof.proofs": {"_prove": "trial: what the names of components promise"},
    "circuitspex.ablation.executors.agreement": {"disagreement": "trial: the fused way beside plain hooks"},
    "circuitspex.ablation.executors.dense": {"dense_model": "weights joined and packed for the fused way"},
    "circuitspex.ablation.executors.clean": {"clean_pass": "the unablated pass"},
    "circuitspex.ablation.baselines": {"baselines_of": "baseline activations"},
    "circuitspex.tasks.catalogue": {"build": "prompts of the task"},
    "circuitspex.tasks.report": {"run_plain": "logits of the prompts, for the task's report"},
}
_stack = [REST]
_spent: dict[str, float] = {}
_mark = 0.0


def cpu() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def phase(name: str) -> Iterator[None]:
    """What is done within counts for this phase."""
    _charge()
    _stack.append(name)
    try:
        yield
    finally:
        _charge()
        _stack.pop()


def _charge() -> None:
    global _mark
    now = cpu()
    _spent[_stack[-1]] = _spent.get(_stack[-1], 0.0) + now - _mark
    _mark = now


def watch() -> None:
    """Count imports, and the functions of ``PHASES`` once they are there."""
    for loader in (importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader):
        for name in ("create_module", "exec_module"):
            setattr(loader, name, _counted(getattr(loader, name)))


def _counted(load: Callable[..., Any]) -> Callable[..., Any]:
    def counted(self: Any, given: Any) -> Any:
        with phase(IMPORTS):
            found = load(self, given)
        module = getattr(given, "__name__", None)
        for function, name in PHASES.get(module or "", {}).items():
            setattr(given, function, _wrapped(getattr(given, function), name))
        return found

    return counted


def _wrapped(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with phase(name):
            return function(*args, **kwargs)

    return wrapped


def end(*_: Any, **__: Any) -> None:
    """Say it and go."""
    _charge()
    sys.stdout.flush()
    os.write(2, f"\n{json.dumps({**_spent, 'in all': cpu()})}\n".encode())
    os._exit(0)


def bare(folder: str) -> None:
    """What a script without this package does."""
    import torch  # noqa: F401
    import transformer_lens  # noqa: F401
    import transformers  # noqa: F401
    from transformer_lens.model_bridge import TransformerBridge

    with phase("reading weights and tokenizer, and TransformerLens's wrapping"):
        TransformerBridge.boot_transformers(folder, device="cpu")
    end()


def find(model: str) -> None:
    """``circuitspex find`` up to the first masks."""
    from circuitspex.cli.main import main

    importlib.import_module("circuitspex.ablation.engine").AblationEngine.evaluate = end
    line = f"find --model {model} --task ioi --components heads --prompts 8 --budget 100 --store off"
    sys.exit(main(line.split()) or 3)  # the engine should have been asked


if __name__ == "__main__":
    watch()
    {"bare": bare, "find": find}[sys.argv[1]](sys.argv[2])
