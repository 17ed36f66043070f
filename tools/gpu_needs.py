"""What `tools/gpu_check.sh` needs: names everything that is missing at once, and the machine where nothing is.

    python tools/gpu_needs.py

Exits with 1 where a package is missing or can't be imported, or there is no CUDA device.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys

# Module: the package of pip that has it. What these need themselves comes with them, but for the last group: it is
# often carried to a machine by hand, without what it asks for, of which only this much is imported.
NEEDS = {
    "numpy": "numpy",
    "torch": "torch",
    "triton": "triton",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "huggingface_hub": "huggingface-hub",
    "accelerate": "accelerate",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "xdist": "pytest-xdist",
    "psutil": "psutil",
    "tqdm": "tqdm",
    "xxhash": "xxhash",
    "jaxtyping": "jaxtyping",
    "lazy_loader": "lazy-loader",
    "einops": "einops",
    "rich": "rich",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "dill": "dill",
    "multiprocess": "multiprocess",
    "datasets": "datasets",
    "transformer_lens": "transformer-lens",
}


def main() -> None:
    missing, broken = look()
    if missing or broken:
        for name, reason in broken.items():
            print(f"gpu_check: {name} can't be imported: {reason}")
        if missing:
            names, cpu = " ".join(sorted(missing)), platform.machine()
            print(f"gpu_check: missing, all of them: {names}")
            print(
                f"gpu_check: with a network, `pip install {names}`. Without one, on another machine, `pip download "
                f"--no-deps --only-binary=:all: --python-version {sys.version_info.major}.{sys.version_info.minor} "
                f"--platform manylinux_2_28_{cpu} --platform manylinux2014_{cpu} -d wheels {names}`, and here `pip "
                "install --no-index --no-deps --target FOLDER wheels/*.whl`, with FOLDER on PYTHONPATH."
            )
        sys.exit(1)
    import torch

    if not torch.cuda.is_available():
        sys.exit(
            "gpu_check: this machine has no CUDA device that PyTorch sees; the kernels are tested in Triton's "
            "interpreter by `make test`"
        )
    print(machine())


def look() -> tuple[set[str], dict[str, str]]:
    """The packages that are missing, and those that are there and fail with the reason."""
    missing: set[str] = set()
    broken: dict[str, str] = {}
    for module, package in NEEDS.items():
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                importlib.import_module(module)
        except ModuleNotFoundError as error:
            absent = (error.name or module).split(".")[0]
            missing.add(NEEDS.get(absent, absent))
        except Exception as error:  # whatever a package that doesn't fit its neighbours raises
            broken[package] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return missing, broken


def machine() -> str:
    """One line: the card, and the versions that its numbers depend on."""
    import numpy
    import torch
    import transformers
    import triton

    about = torch.cuda.get_device_properties(0)
    return (
        f"{about.name} ({about.total_memory / 2**30:.0f} GiB, {about.multi_processor_count} multiprocessors), "
        f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}, triton "
        f"{triton.__version__}, transformers {transformers.__version__}, NumPy {numpy.__version__}"
    )


if __name__ == "__main__":
    main()
