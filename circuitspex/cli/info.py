"""``circuitspex info``: what is installed, which device, which executor."""

from __future__ import annotations

import argparse
import json
import platform

from circuitspex.cli.options import shared_options, verb_parser

EXAMPLE = "circuitspex info"
PACKAGES = ("circuitspex", "torch", "transformer-lens", "transformers", "numpy", "scipy", "lightgbm", "triton", "ray")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    about = "say what is installed, which device and which executor are used"
    parser = verb_parser(verbs, "info", about, EXAMPLE)
    shared_options(parser, "workers", workers={"help": "also what this Ray cluster has: auto, HOST:PORT or ray://…"})
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    import psutil
    import torch

    from circuitspex.ablation.executors.linear import can_pack
    from circuitspex.circuits.record import versions
    from circuitspex.kernels import describe
    from circuitspex.models.cache import cache_folder

    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = {
        "python": platform.python_version(),
        "versions": dict.fromkeys(PACKAGES, "not installed") | versions(PACKAGES),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads",
        "free_memory_gb": round(psutil.virtual_memory().available / 2**30, 1),
        "executor": "fused for dense transformers (tried against plain hooks on each model), else batched hooks",
        "kernels": describe(),
        "cpu_products": "packed weights (oneDNN)" if can_pack(torch.float32) else "PyTorch's own",
        "bfloat16_products": "packed weights (oneDNN)" if can_pack(torch.bfloat16) else "PyTorch's own",
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
