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
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from circuitspex.errors import UserError

Outcome = tuple[int, Any, str | None]
"""Which call, what it gave, and what went wrong (None where nothing did)."""

_DIED = "its process died (does the script start its work under if __name__ == '__main__'?)"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Workers:
    """Processes in which a function is called; they are started when they are first needed, and stay.

    Args:
        function: what is called.
        count: how many processes, started afresh (spawn) with one thread each; 0 calls in this process.

    A process that dies takes the calls that wait with it; those are run again, one at a time, in processes of their
    own, so that only the call that kills its process fails.
    """

    def __init__(self, function: Callable[..., Any], count: int) -> None:
        self.function, self.count = function, count
        self._pool: ProcessPoolExecutor | None = None

    def run(self, calls: Sequence[tuple[Any, ...]]) -> Iterator[Outcome]:
        """The outcome of each call, given by its arguments, in the order in which they finish."""
        if self.count == 0:
            for index, arguments in enumerate(calls):
                yield (index, *_attempt(self.function, arguments))
            return
        if self._pool is None:
            self._pool = _new_pool(self.count)
            self._end = weakref.finalize(self, self._pool.shutdown)  # also when the interpreter ends
        lost = []
        for outcome in _pooled(self._pool, self.function, list(enumerate(calls))):
            if isinstance(outcome, int):
                lost.append(outcome)
            else:
                yield outcome
        if lost:
            self.close()
        for index in sorted(lost):
            with _new_pool(1) as alone:
                for outcome in _pooled(alone, self.function, [(index, calls[index])]):
                    yield (outcome, None, _DIED) if isinstance(outcome, int) else outcome

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._end.detach()
            self._pool = None


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


def _new_pool(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=keep_to, initargs=(1,)
    )


def _pooled(
    pool: ProcessPoolExecutor, function: Callable[..., Any], calls: list[tuple[int, tuple[Any, ...]]]
) -> Iterator[Outcome | int]:
    """Outcomes; only the index where the process died before there was one."""
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
        for future in futures:  # whoever stops listening, by an interrupt for example, wants no more of them
            future.cancel()


def _attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str | None]:
    """What a call gives as a list of floats, or what went wrong; errors travel as text, so that any can."""
    try:
        values = _floats(function(*arguments))
    except Exception as error:
        said = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
        return None, said + _place(error)
    if not all(map(math.isfinite, values)):
        return None, f"gave {next(value for value in values if not math.isfinite(value))}"
    return values, None


def _place(error: Exception) -> str:
    """Where in the caller's own file it was raised, ' (train.py, line 12)'; empty where that is not known."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is this module's
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else ""


def _floats(value: Any) -> list[float]:
    found = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(found, (list, tuple)):
        return [float(each) for each in found]
    return [float(found)]


def keep_to(threads: int) -> None:
    """So many threads in this process, for libraries that are loaded already and those still to come."""
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
