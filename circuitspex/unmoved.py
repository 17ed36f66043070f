"""What belongs to the whole process and stays as it is, whatever is imported or run in between."""

from __future__ import annotations

import contextlib
import logging
import os
import random
from collections.abc import Iterator
from typing import Any

from circuitspex.silence import restore_filters, shown_filters, while_any

_LOGGERS = ("transformers", "datasets", "huggingface_hub", "matplotlib")
# Variables that libraries set when they are imported; only these are put back, as others may be another thread's.
_VARIABLES = ("KMP_", "OMP_", "MKL_", "TORCHINDUCTOR_", "TRITON_", "TOKENIZERS_", "TRANSFORMERS_", "HF_", "USE_", "TF_")


@contextlib.contextmanager
def same_environment() -> Iterator[None]:
    """After the block, libraries' environment variables, log levels and warning filters are as before."""
    filters, before = shown_filters(), {k: value for k, value in os.environ.items() if k.startswith(_VARIABLES)}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(_VARIABLES) and name not in before]:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        restore_filters(filters)


@contextlib.contextmanager
def unmoved() -> Iterator[None]:
    """``same_environment``, and the generators of Python and NumPy as before: for imports, some of which draw."""
    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with same_environment():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within the block, matrix products of NumPy run in one thread; blocks of several threads may overlap."""
    with unmoved():
        from threadpoolctl import threadpool_limits

    def begin() -> None:
        _limits.append(threadpool_limits(limits=1))

    def end() -> None:
        _limits.pop().restore_original_limits()

    with while_any("one BLAS thread", begin, end):
        yield


_limits: list[Any] = []
