"""How many threads PyTorch computes with on a CPU: as many as are fastest on this machine at this moment.

Threads that share a product wait for the slowest of them. Where other work takes a core from time to time, all wait
for it each time, and one thread alone is several times faster than two. So passes are preceded by a trial of about 50
ms: small products as a model has them, with each number of threads in turn. It is repeated while passes go on, every
ten seconds at most. After the passes PyTorch has its own setting again.

``$CIRCUITSPEX_THREADS`` (a number, or 'auto') overrides it. A number that the user has set for PyTorch is left alone:
by ``torch.set_num_threads``, or by ``$OMP_NUM_THREADS`` or ``$MKL_NUM_THREADS``.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from circuitspex.errors import UserError
from circuitspex.models.remembered import recalled, remember

SECONDS = 0.05
"""How long a trial takes, all numbers of threads together."""
AGAIN_AFTER = 10.0
"""Seconds for which a trial holds."""
_ROUNDS = 3  # each number of threads is tried so many times, in turn: what else runs changes meanwhile
# More threads must be worth it: they take cores from others, and a trial of a moment is a noisy one.
_WORTH = 1.15
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class ThreadChoice:
    """How many threads run and why; of a trial the products a second by number of threads, and when it was."""

    threads: int
    why: str
    rates: tuple[tuple[int, float], ...] = ()
    when: float = 0.0

    def __str__(self) -> str:
        tried = ", ".join(f"{rate:.0f} products/s with {count}" for count, rate in self.rates)
        return f"{self.threads} ({self.why}{': ' + tried if tried else ''})"


class _Latest(threading.local):
    choice: ThreadChoice | None = None
    depth = 0


_latest = _Latest()
_trying = threading.Lock()


def wanted_threads() -> int | None:
    """What ``$CIRCUITSPEX_THREADS`` asks for; None where a trial decides.

    Raises:
        UserError: it is neither 'auto' nor a number from 1 to 1024.
    """
    wanted = os.environ.get("CIRCUITSPEX_THREADS") or "auto"
    if wanted == "auto":
        return None
    if not wanted.isdecimal() or not 1 <= int(wanted) <= 1024:
        raise UserError(f"CIRCUITSPEX_THREADS is '{wanted}'; allowed: auto, or how many threads, 1 to 1024")
    return int(wanted)


def set_by_variable() -> ThreadChoice | None:
    """The number that an environment variable asks for; None where there is none that does.

    Raises:
        UserError: as in ``wanted_threads``.
    """
    wanted = wanted_threads()
    if wanted is not None:
        return ThreadChoice(wanted, "CIRCUITSPEX_THREADS")
    for name in _VARIABLES:
        if (value := os.environ.get(name, "")).isdecimal() and int(value):
            return ThreadChoice(int(value), name)
    return None


def chosen_threads(*, anew: bool = False) -> ThreadChoice:
    """The choice for passes that begin now: of the trial of the last ten seconds, or of a new one.

    Raises:
        UserError: as in ``wanted_threads``.
    """
    import torch

    now = torch.get_num_threads()
    named = set_by_variable()
    if named is not None:  # PyTorch has read the others itself, and may have been told otherwise since
        return named if named.why == "CIRCUITSPEX_THREADS" else ThreadChoice(now, named.why)
    known = _latest.choice
    if _latest.depth == 0 and now == 1:
        return ThreadChoice(1, "PyTorch has one thread")
    if _latest.depth == 0 and now not in _usual():
        return ThreadChoice(now, "torch.set_num_threads")
    if known is not None and not anew and time.time() - known.when < AGAIN_AFTER:
        return known
    with _trying:  # two trials at once would each be the other's busy neighbour
        found = _tried(now)
    _latest.choice = found
    if known is None or known.threads != found.threads:
        remember("threads", _HERE, json.dumps(asdict(found)).encode())
    return found


@contextlib.contextmanager
def with_chosen_threads(device: Any) -> Iterator[None]:
    """Within the block this thread's passes on a CPU use the chosen number of threads; then PyTorch's as before."""
    if getattr(device, "type", device) != "cpu" or _latest.depth:
        yield
        return
    import torch

    before = torch.get_num_threads()
    choice = chosen_threads()
    _latest.depth = before if choice.rates else 0
    if choice.threads != before:
        torch.set_num_threads(choice.threads)
    try:
        yield
    finally:
        _latest.depth = 0
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def choose_again() -> None:
    """Between passes, within ``with_chosen_threads``: another trial, where the last one is too long ago."""
    most, known = _latest.depth, _latest.choice
    if not most or known is None or time.time() - known.when < AGAIN_AFTER:
        return
    import torch

    torch.set_num_threads(most)
    torch.set_num_threads(chosen_threads().threads)


def last_choice() -> ThreadChoice | None:
    """The choice of the last trial on this machine, of any process that remembers; None where there was none."""
    payload = recalled("threads", _HERE)
    if payload is None:
        return None
    fields = json.loads(payload)
    return ThreadChoice(**{**fields, "rates": tuple((count, rate) for count, rate in fields["rates"])})


_HERE = {"machine": os.uname().nodename if hasattr(os, "uname") else ""}


def _usual() -> set[int]:
    """The numbers that PyTorch itself begins with."""
    import psutil

    logical, physical = psutil.cpu_count() or 1, psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return {logical, physical, allowed, min(allowed, physical)}


def _tried(most: int) -> ThreadChoice:
    """A trial with 1, 2, 4, … and ``most`` threads; leaves PyTorch with ``most``."""
    import torch

    counts = sorted({most, *(2**power for power in range(most.bit_length()) if 2**power <= most)})
    share = SECONDS / (_ROUNDS * len(counts))
    done = dict.fromkeys(counts, 0)
    spent = dict.fromkeys(counts, 0.0)
    try:
        with torch.inference_mode():
            x, weight = torch.ones(96, 384), torch.ones(1024, 384)
            for _ in range(_ROUNDS):
                for count in counts:
                    if spent[count] >= share * _ROUNDS:  # threads that wait for each other have had their time
                        continue
                    torch.set_num_threads(count)
                    began = time.perf_counter()
                    while (passed := time.perf_counter() - began) < share or not done[count]:
                        torch.nn.functional.gelu(x @ weight.T)
                        done[count] += 1
                    spent[count] += passed
    finally:
        torch.set_num_threads(most)
    rates = {count: done[count] / max(spent[count], 1e-9) for count in counts}
    best = 1
    for count in counts:
        if rates[count] > _WORTH * rates[best]:
            best = count
    return ThreadChoice(best, "tried now", tuple(rates.items()), time.time())
