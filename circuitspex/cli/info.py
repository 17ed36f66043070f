"""``circuitspex info``: what is installed, which device, which executor, how many threads."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from circuitspex.cli.options import shared_options, verb_parser

EXAMPLE = "circuitspex info"
PACKAGES = ("circuitspex", "torch", "transformer-lens", "transformers", "numpy", "scipy", "lightgbm", "triton", "ray")
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    about = "say what is installed, which device and which executor are used"
    parser = verb_parser(verbs, "info", about, EXAMPLE)
    shared_options(parser, "workers", workers={"help": "also what this Ray cluster has: auto, HOST:PORT or ray://…"})
    parser.add_argument(
        "--try", dest="anew", action="store_true", help="ask PyTorch and try threads now, not what was found before"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    import psutil

    from circuitspex.installed import versions_of
    from circuitspex.models.cache import cache_folder

    of_torch = _of_torch(anew=options.anew)
    facts = {
        "python": platform.python_version(),
        "versions": dict.fromkeys(PACKAGES, "not installed") | versions_of(PACKAGES),
        "device": of_torch["device"],
        "device_name": of_torch["device_name"],
        "threads": _threads(anew=options.anew),
        "free_memory_gb": round(psutil.virtual_memory().available / 2**30, 1),
        "executor": "fused for dense transformers (tried against plain hooks on each model), else batched hooks",
        "kernels": of_torch["kernels"],
        "cpu_products": of_torch["cpu_products"],
        "bfloat16_products": of_torch["bfloat16_products"],
        "cache": str(cache_folder()),
        **({} if options.workers is None else {"cluster": _cluster(options.workers)}),
    }
    if options.json:
        print(json.dumps(facts, indent=1))
        return 0

    for key, value in facts.items():
        if isinstance(value, dict):
            for name, number in value.items():
                print(f"{name:18} {number}")
        else:
            print(f"{key:18} {value}")
    return 0


def _cluster(address: str) -> dict[str, str]:
    """What the machines of a Ray cluster have, by name."""
    from circuitspex.games.workers.cluster import check_ray, connect, machines

    check_ray()
    ours = connect(address, {})
    try:
        import ray

        found = {"ray": ray.__version__}
        free = ray.available_resources()
        for machine in machines():
            numbers = f"{machine['cpus']:g} cores, {machine['gpus']:g} GPUs, {machine['memory'] / 2**30:.1f} GB"
            found[machine["name"]] = numbers
        found["free"] = f"{free.get('CPU', 0):g} cores, {free.get('GPU', 0):g} GPUs"
        return found
    finally:
        if ours:
            ray.shutdown()


def _of_torch(*, anew: bool) -> dict[str, Any]:
    """What only PyTorch knows of this machine, which takes seconds to import: remembered while nothing has changed."""
    from circuitspex.models.remembered import recalled, remember

    machine = {"cards": _cards(), "variables": {name: os.environ.get(name) for name in _VARIABLES}}
    known = None if anew else recalled("info", machine)
    if known is not None:
        found: dict[str, Any] = json.loads(known)
        return found
    import torch

    from circuitspex.ablation.executors.linear import can_pack
    from circuitspex.kernels import describe

    on_card = torch.cuda.is_available()
    found = {
        "device": "cuda" if on_card else "cpu",
        "device_name": torch.cuda.get_device_name() if on_card else f"{torch.get_num_threads()} threads",
        "kernels": describe(),
        "cpu_products": "packed weights (oneDNN)" if can_pack(torch.float32) else "PyTorch's own",
        "bfloat16_products": "packed weights (oneDNN)" if can_pack(torch.bfloat16) else "PyTorch's own",
    }
    remember("info", machine, json.dumps(found).encode())
    return found


def _cards() -> list[str]:
    """What shows that cards, their driver or the processors of this process have changed."""
    devices = sorted(each for each in os.listdir("/dev") if each.startswith("nvidia")) if os.path.isdir("/dev") else []
    with contextlib.suppress(OSError):
        devices.append(Path("/proc/driver/nvidia/version").read_text())
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [*devices, platform.processor(), f"{allowed} processors"]


def _threads(*, anew: bool) -> str:
    """How many threads passes on a CPU run with, and why."""
    from circuitspex.models.threads import chosen_threads, last_choice, set_by_variable

    named = set_by_variable()
    if named is not None:
        return f"{named.threads} ({named.why})"
    known = None if anew else last_choice()
    if known is None:
        return str(chosen_threads(anew=True))
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(known.when))
    return str(known).replace("tried now", f"tried {when}; passes try again, as does --try")
