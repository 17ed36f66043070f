"""A function run many times in a pool of processes; calls that fail are told from those that work, and tried again.

Light on purpose: worker processes import this module and what the function itself needs, nothing else.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from circuitspex.errors import UserError

Outcome = tuple[int, Any, str | None]
"""Which call, what it gave, and what went wrong (None where nothing did)."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def run_all(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], workers: int) -> Iterator[Outcome]:
    """The outcome of each call, in the order in which they finish.

    Args:
        function: what is called.
        calls: the arguments of each call.
        workers: how many processes, started afresh (spawn) with one thread each; 0 calls in this process.

    A process that dies takes the calls that wait with it; those are run again, one at a time, in fresh processes, so
    that only the call that kills its process fails.
    """
    if workers == 0:
        for index, arguments in enumerate(calls):
            yield (index, *_attempt(function, arguments))
        return
    lost = []
    for outcome in _pooled(function, list(enumerate(calls)), min(workers, len(calls))):
        if isinstance(outcome, int):
            lost.append(outcome)
        else:
            yield outcome
    for index in lost:
        for outcome in _pooled(function, [(index, calls[index])], 1):
            yield (outcome, None, "its process died") if isinstance(outcome, int) else outcome


def check_sendable(function: Callable[..., Any]) -> None:
    """A function for the pool must be one that a fresh process can find.

    Raises:
        UserError: it can't be pickled, or was defined in a notebook or at a prompt.
    """
    advice = "define it at the top level of a module, or use workers=0 to train in this process"
    try:
        pickle.dumps(function)
    except Exception as error:
        raise UserError(f"the training function can't be sent to other processes ({error}); {advice}") from error
    inner = function
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    main = sys.modules["__main__"]
    if getattr(inner, "__module__", None) == "__main__" and not hasattr(main, "__file__"):
        raise UserError(f"other processes can't find a function of a notebook or a prompt; {advice}")


def _pooled(
    function: Callable[..., Any], calls: list[tuple[int, tuple[Any, ...]]], workers: int
) -> Iterator[Outcome | int]:
    """Outcomes; only the index where the process died before there was one."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)
    futures: dict[Future[Any], int] = {}
    try:
        for index, arguments in calls:
            try:
                futures[pool.submit(_attempt, function, arguments)] = index
            except BrokenProcessPool:
                yield index
        for future in as_completed(futures):
            try:
                yield (futures[future], *future.result())
            except BrokenProcessPool:
                yield futures[future]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str | None]:
    """What a call gives as a list of floats, or what went wrong; errors travel as text, so that any can."""
    try:
        values = _floats(function(*arguments))
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if not all(map(math.isfinite, values)):
        return None, f"gave {next(value for value in values if not math.isfinite(value))}"
    return values, None


def _floats(value: Any) -> list[float]:
    found = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(found, (list, tuple)):
        return [float(each) for each in found]
    return [float(found)]


def _one_thread() -> None:
    """One thread in this process, for libraries that are loaded already and those still to come."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
