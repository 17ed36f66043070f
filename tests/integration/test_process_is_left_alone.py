"""Nothing of the process moves: not by loading, by searches of every decoder, by files; and not in several threads."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from circuitspex.models.quiet import quiet_transformers
from circuitspex.silence import no_warnings

# In a process of its own: libraries do most of this when they are first imported.
SCRIPT = """
import json, logging, os, random, signal, sys, threading, warnings
sys.path.insert(0, {tests!r})
import numpy as np, torch

def state():
    flags = [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"),
             torch.get_default_dtype(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
             torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled]
    every = torch.nn.modules.module
    import tqdm
    return {{
        "environment": dict(os.environ),
        "generator of NumPy": str(np.random.get_state()),
        "generator of Python": random.getstate(),
        "generator of PyTorch": torch.get_rng_state().tolist(),
        "flags of PyTorch": flags,
        "hooks on every module": [len(vars(every)[name]) for name in sorted(vars(every)) if name.startswith("_global_")
                                  and hasattr(vars(every)[name], "values")],
        "warning filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        "error settings of NumPy": np.geterr(),
        "printing of NumPy": np.get_printoptions(),
        "log level": logging.getLogger("transformers").level or 30,
        "tqdm": vars(tqdm.tqdm)["__init__"],
        "folder": os.getcwd(),
    }}

found = {{}}
def compare(what, before):
    after = state()
    for name, value in after.items():
        if str(value) != str(before[name]):
            found.setdefault(what, []).append(name)

import conftest
before = state()
import circuitspex as cx
hf = conftest.make_hf_model("llama")
hf.save_pretrained("model")
conftest.make_tokenizer().save_pretrained("model")
before = state()
model = cx.load_model("model", device="cpu")
compare("load", before)
task = conftest.make_task(model)
for method in ("auto", "linear", "proxyspex", "spex", "gradspex"):
    result = cx.find_circuit(model, task, "heads", budget=24, n_heldout=8, n_contexts=4, method=method, progress=False,
                             store="runs.sqlite")
    compare(method, before)
cx.compare(model, cx.load_model("model", device="cpu"), task, budget=8, n_heldout=4, progress=False)
compare("compare", before)
result.circuit.save("circuit.json")
result.circuit.to_svg("circuit.svg")
result.circuit.to_html("circuit.html")
compare("files", before)
hooked = [name for name, module in model.original_model.named_modules()
          if module._forward_hooks and type(module).__name__ == "HookPoint"]
print(json.dumps({{"moved": found, "hooked": hooked}}))
"""


@pytest.mark.long
def test_whole_runs_move_nothing_of_the_process(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"moved": {}, "hooked": []}


def in_turns(first: list[object], second: list[object]) -> None:
    """Enters the first's block, then the second's, leaves the first's, then the second's, in two threads."""
    inside, over = threading.Event(), threading.Event()

    def other() -> None:
        with second[0]:  # type: ignore[attr-defined]
            inside.set()
            over.wait(20)

    thread = threading.Thread(target=other)
    with first[0]:  # type: ignore[attr-defined]
        thread.start()
        assert inside.wait(20)
    over.set()
    thread.join()


def test_overlapping_quiet_blocks_leave_everything_as_it_was() -> None:
    from tqdm import tqdm
    from transformers.utils import logging

    before = vars(tqdm)["__init__"], logging.get_verbosity(), list(warnings.filters)
    in_turns([quiet_transformers()], [quiet_transformers()])
    assert (vars(tqdm)["__init__"], logging.get_verbosity(), list(warnings.filters)) == before
    assert not tqdm(total=1, disable=False, leave=False).disable


def test_only_the_thread_that_is_quiet_is_quiet() -> None:
    from tqdm import tqdm

    heard: list[str] = []

    def other() -> None:
        warnings.warn("from another thread", UserWarning, stacklevel=1)
        bar = tqdm(total=1, leave=False, disable=False)
        heard.append(f"bar {not bar.disable}")
        bar.close()

    def both() -> None:
        with quiet_transformers(), no_warnings():
            warnings.warn("from this thread", UserWarning, stacklevel=1)
            assert tqdm(total=1, disable=False).disable
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    with pytest.warns(UserWarning, match="from another thread") as caught:
        both()
    assert [str(one.message) for one in caught] == ["from another thread"]
    assert heard == ["bar True"]
