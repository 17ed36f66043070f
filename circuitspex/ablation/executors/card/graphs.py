"""Passes that are recorded once as a CUDA graph and replayed with other numbers: no work on the host between launches.

A pass can be replayed where its plan is equal: then the same kernels run on the same shapes, and only the arrays in the
upload differ. A plan is recorded when it comes for the second time, since the last batch of a request comes but once.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import ClassVar, Protocol
from weakref import WeakSet

import torch

from circuitspex.errors import KernelWarning, UserError
from circuitspex.models.out_of_memory import is_out_of_memory

Work = Callable[[torch.Tensor], torch.Tensor]

# Recorded passes keep their memory: only the latest few are kept.
_MOST = 6


class Recorded(Protocol):
    """A recorded pass: ``replay`` computes ``result`` again from what ``given`` holds now."""

    given: torch.Tensor
    result: torch.Tensor

    def replay(self) -> None:
        """Run it again."""
        ...


class CudaGraph:
    """One pass recorded by CUDA, with input and output in places of its own.

    Recordings on one device share a pool of memory, which lasts as long as one of them: PyTorch refuses the handle of a
    pool that nothing uses any more. They are never replayed at once, and a result is copied before the next replay.
    """

    _live: ClassVar[WeakSet[CudaGraph]] = WeakSet()

    def __init__(self, given: torch.Tensor, work: Work) -> None:
        with torch.inference_mode(False):  # or it could not be written to outside of that mode
            self.given = given.clone()
        self._graph = torch.cuda.CUDAGraph()
        pool = next((each._graph.pool() for each in CudaGraph._live if each.given.device == given.device), None)
        stream = _stream(given.device)
        with (
            torch.cuda.device(given.device),
            _in_peace(),
            torch.cuda.graph(
                self._graph, pool, stream, capture_error_mode="thread_local"
            ),  # other threads may allocate
        ):
            self.result = work(self.given)
        CudaGraph._live.add(self)

    def replay(self) -> None:
        """Run it again."""
        self._graph.replay()


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which passes of a device are recorded: PyTorch's own is on the device that came first."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _in_peace() -> Iterator[None]:
    """Nothing is freed by the collector within the block, and the stream is afterwards what it was, come what may."""
    stream, collects = torch.cuda.current_stream(), gc.isenabled()
    gc.disable()  # what it frees may ask something of the driver that is not allowed while recording
    try:
        yield
    finally:
        torch.cuda.set_stream(stream)
        if collects:
            gc.enable()


class Graphs:
    """The recorded passes of one group of prompts.

    Args:
        record: what records a pass; by default CUDA.
    """

    def __init__(self, record: Callable[[torch.Tensor, Work], Recorded] = CudaGraph) -> None:
        self._record = record
        self._seen: set[Hashable] = set()
        self._kept: OrderedDict[Hashable, Recorded] = OrderedDict()
        self._off = False

    def on(self, device: torch.device) -> bool:
        """Whether passes on this device are recorded.

        Raises:
            UserError: ``$CIRCUITSPEX_GRAPHS`` is something else than on or off.
        """
        wanted = os.environ.get("CIRCUITSPEX_GRAPHS", "on")
        if wanted not in ("on", "off"):
            raise UserError(f"CIRCUITSPEX_GRAPHS is '{wanted}'; allowed: on, off")
        return wanted == "on" and not self._off and (device.type == "cuda" or self._record is not CudaGraph)

    def run(self, key: Hashable, host: torch.Tensor, device: torch.device, work: Work) -> torch.Tensor:
        """``work`` on these numbers, recorded or replayed where that is possible.

        Args:
            key: equal for passes that launch the same on the same shapes.
            host: the numbers on the host.
            device: where they go.
            work: the pass; its result must not be kept by it.
        """
        if not self.on(device):
            return work(host.to(device, non_blocking=True))
        recorded = self._kept.get(key)
        if recorded is None:
            given = host.to(device, non_blocking=True)
            if key not in self._seen:  # the first time also compiles what is to be compiled
                found = work(given)
                self._seen.add(key)  # not where memory ran out in the middle
                return found
            recorded = self._recorded(given, work)
            if recorded is None:
                return work(given)
            self._kept[key] = recorded
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        recorded.given.copy_(host, non_blocking=True)
        recorded.replay()
        return recorded.result.clone()

    def _recorded(self, given: torch.Tensor, work: Work) -> Recorded | None:
        try:
            return self._record(given, work)
        except Exception as error:  # whatever a driver raises
            self._kept.clear()
            self._off = True
            if not any(each is not None and is_out_of_memory(each) for each in (error, error.__context__)):
                reason = " ".join(str(error).split())[:160]
                warnings.warn(
                    f"a pass could not be recorded as a CUDA graph ({type(error).__name__}: {reason}); "
                    "passes run launch by launch instead",
                    KernelWarning,
                    stacklevel=4,
                )
            return None
