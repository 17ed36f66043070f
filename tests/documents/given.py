"""What blocks take as given, made when the first of them asks for it: models, a task, a circuit and its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from blocks import ROOT, blocks

import circuitspex as cx
from circuitspex.circuits.evidence.curve import SHARES
from circuitspex.models.cache import cache_folder, sha256_of
from circuitspex.models.catalogue import CATALOGUE, RECEIPT, fetch, folder_of

ASKED: dict[str, Any] = {"n_heldout": 24, "n_contexts": 4, "n_random": 2, "progress": False}


def miniature(cache: Path) -> None:
    """A cache whose smollm2-135m has the layers, heads and tokenizer of the real one, but is narrow and random."""
    entry = CATALOGUE["smollm2-135m"]
    real = fetch(entry)
    folder = cache / folder_of(entry).relative_to(cache_folder())
    if folder.exists():
        return
    config = transformers.AutoConfig.from_pretrained(real, local_files_only=True)
    config.hidden_size, config.intermediate_size, config.head_dim = 36, 48, 4
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)  # so that what components do stands out
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(real, local_files_only=True).save_pretrained(folder)
    files = {path.name: sha256_of(path) for path in folder.iterdir()}
    (folder / RECEIPT).write_text(json.dumps({"source": entry.sha256, "files": files}))


class Given:
    """Values and files by name; each is made once for all pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values: dict[str, Any] = {}

    def put(self, name: str, page: dict[str, Any], here: Path) -> None:
        """Give it to a page that runs in the folder ``here``."""
        if name in FILES:
            made = self.folder / name
            if not made.exists():
                FILES[name](self, made)
            target = here / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if made.is_dir():
                shutil.copytree(made, target, dirs_exist_ok=True)  # an earlier block may have written there
            else:
                shutil.copy(made, target)
        elif name not in page:
            page["cx"] = cx
            page[name] = self.value(name)

    def value(self, name: str) -> Any:
        """A value by its name."""
        if name not in self.values:
            self.values[name] = VALUES[name](self)
        return self.values[name]


def _circuit(given: Given, folder: Path) -> None:
    found = given.value("found")
    folder.mkdir(parents=True)
    found.circuit.save(folder / "circuit.json")
    found.interactions.save(folder / "interactions.json")


def _edges(given: Given, folder: Path) -> None:
    """What a search among edges leaves."""
    found = cx.find_circuit(given.value("model"), given.value("task"), "edges", budget=12, max_nodes=3, **ASKED)
    folder.mkdir(parents=True)
    found.circuit.save(folder / "circuit.json")
    found.edges.save(folder / "edges.json")


def _fine_tuned(given: Given, folder: Path) -> None:
    """The folder of the same model: one that was never wrapped, which every version of transformers can save."""
    source = fetch(CATALOGUE["smollm2-135m"])
    transformers.AutoModelForCausalLM.from_pretrained(source, local_files_only=True).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source, local_files_only=True).save_pretrained(folder)


def _changed(given: Given) -> Any:
    """The model with one head switched off."""
    model = cx.load_model("smollm2-135m")
    attention = model.original_model.model.layers[20].self_attn
    with torch.no_grad():
        width = attention.o_proj.weight.shape[1] // 9
        attention.o_proj.weight[:, :width] = 0
    return model


def _ten_circuits(given: Given) -> list[list[str]]:
    """Of each of MIB's sizes, the first of all heads and MLPs."""
    names = cx.ComponentGame(given.value("model"), given.value("task"), "heads+mlps", "resample").names
    return [list(names[: int(share * len(names))]) for share in SHARES]


VALUES: dict[str, Callable[[Given], Any]] = {
    "cx": lambda given: cx,
    "ten_circuits": _ten_circuits,
    "model": lambda given: cx.load_model("smollm2-135m"),
    "task": lambda given: cx.tasks.ioi(given.value("model"), n_prompts=4, seed=0),
    "heldout": lambda given: cx.tasks.ioi(given.value("model"), n_prompts=4, seed=9),
    "found": lambda given: cx.find_circuit(given.value("model"), given.value("task"), "heads", budget=40, **ASKED),
    "circuit": lambda given: given.value("found").circuit,
    "tokens": lambda given: given.value("task").tokens.to(given.value("model").cfg.device),
    "before": lambda given: given.value("model"),
    "after": _changed,
    "models": lambda given: {"step 0": given.value("before"), "step 100": given.value("after")},
}
GAME = """class Game:
    n_players = 6

    def __call__(self, masks):
        return masks[:, 0] * 2.0 - masks[:, 1] * masks[:, 2]
"""


def _first_block(page: str) -> str:
    return blocks(ROOT / "docs" / page)[0].text


FILES: dict[str, Callable[[Given, Path], Any]] = {
    "runs/ioi": _circuit,
    "runs/edges": _edges,
    "ioi.graphml": lambda given, path: given.value("circuit").export("graphml", path),
    "fine-tuned": _fine_tuned,
    "my_game.py": lambda given, path: path.write_text(GAME),
    "prices.py": lambda given, path: path.write_text(_first_block("own_games.md")),
    "opposites.jsonl": lambda given, path: _opposites(path, ["hot", "big", "up", "day", "old", "rich", "wet", "open"]),
    "more_opposites.jsonl": lambda given, path: _opposites(path, ["top", "in", "left", "high"]),
}
_PAIRS = {
    "hot": "cold",
    "big": "small",
    "up": "down",
    "day": "night",
    "old": "new",
    "rich": "poor",
    "wet": "dry",
    "open": "closed",
    "top": "bottom",
    "in": "out",
    "left": "right",
    "high": "low",
}


def _opposites(path: Path, words: list[str]) -> None:
    rows = []
    for i, word in enumerate(words):
        other = words[(i + 1) % len(words)]
        rows.append(
            {
                "prompt": f"The opposite of {word} is",
                "counterfactual": f"The opposite of {other} is",
                "answer": f" {_PAIRS[word]}",
                "wrong_answer": f" {_PAIRS[other]}",
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
