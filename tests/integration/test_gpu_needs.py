"""The list of what a check on a GPU needs is complete, and says all that is missing at once."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("gpu_needs", ROOT / "tools/gpu_needs.py")
assert spec is not None
assert spec.loader is not None
gpu_needs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu_needs)

# Doesn't find what is named in the environment, or what is not named there.
FINDER = """
import os, sys
without, only = os.environ.get("WITHOUT", "").split(), os.environ.get("ONLY", "").split()
class Finder:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        there = top in sys.stdlib_module_names or top.startswith("_")
        if top in without or (only and not there and top not in only):
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = map(Finder, sys.meta_path)
"""
# What the tests and benchmarks of the check do, on a model that takes no time.
USE = """
import sys
import torch
sys.path[:0] = ["tools/bench"]
import ablation, ablation_models, gpu_first, gpu_kernels
import circuitspex as cx
model, plain, task = ablation_models.build("tiny", "cpu", torch.float32, 1, 5)
game = cx.ComponentGame(model, task, "heads+mlps", "mean")
masks = cx.sample_masks(game.n_players, 4, seed=0)
game.evaluate(masks, gradients=True, progress=False)
cx.ComponentGame(model, task, "L0.heads", "zero", executor="hooks").evaluate(masks[:, :4], progress=False)
print("ran")
"""


def run(folder: Path, code: str | None = None, **given: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(FINDER)
    path = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, str(ROOT / "tools/gpu_needs.py")] if code is None else [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path, **given}, timeout=300
    )


def closure(roots: set[str]) -> set[str]:
    """The modules of these packages and of all that they need."""
    todo, packages = list(roots), set()
    while todo:
        package = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if package in packages:
            continue
        packages.add(package)
        try:
            requires = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        todo += [re.split(r"[^\w.\-]", each, maxsplit=1)[0] for each in requires if "extra ==" not in each]
    owners = importlib.metadata.packages_distributions()
    return {m for m, owned in owners.items() if packages & {re.sub(r"[-_.]+", "-", each).lower() for each in owned}}


@pytest.mark.long
def test_nothing_else_is_imported(tmp_path: Path) -> None:
    by_hand = ("datasets", "transformer-lens")  # of these only what is listed may be used
    allowed = closure({package for package in gpu_needs.NEEDS.values() if package not in by_hand})
    allowed |= {
        *gpu_needs.NEEDS,
        "circuitspex",
        "sitecustomize",
        *(p.stem for p in (ROOT / "tools/bench").glob("*.py")),
    }
    done = run(tmp_path, USE, ONLY=" ".join(sorted(allowed)))
    assert done.stdout.endswith("ran\n"), done.stderr


def test_what_the_tests_on_a_gpu_import_is_listed() -> None:
    named = re.findall(r"(tests/[\w/*]+(?:\.py)?)", (ROOT / "tools/gpu_check.sh").read_text())
    found = [path for name in named for path in ROOT.glob(name)]
    files = {path for each in found for path in (each.rglob("*.py") if each.is_dir() else [each])}
    assert {"test_norm.py", "test_fused_gpu.py", "test_card_passes.py"} <= {path.name for path in files}
    for path in [*files, ROOT / "tests/conftest.py", ROOT / "tests/ablation/conftest.py"]:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
        tops = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"circuitspex"}
        tops = {top for top in tops if not (path.parent / f"{top}.py").exists()}
        assert tops <= set(gpu_needs.NEEDS), path


def test_all_that_is_missing_is_named_at_once_and_what_fails_apart(tmp_path: Path) -> None:
    (tmp_path / "accelerate.py").write_text("raise RuntimeError('built for another NumPy')")
    listed = ["dill", "multiprocess", "datasets", "transformer_lens", "xdist", "lazy_loader"]
    done = run(tmp_path, WITHOUT=" ".join([*listed, "packaging"]))  # packaging is what others here import
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "missing, all of them" in line)
    assert line.split(": ")[2].split() == sorted([*(gpu_needs.NEEDS[name] for name in listed), "packaging"])
    assert "accelerate can't be imported: RuntimeError: built for another NumPy" in done.stdout


def test_a_machine_without_a_card_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_needs.look() == (set(), {})
    with pytest.raises(SystemExit, match="this machine has no CUDA device"):
        gpu_needs.main()
