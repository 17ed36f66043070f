"""Time on a device: replays of one CUDA graph over inputs that take turns, and what the host spends on a call apart.

Inputs that take turns are larger together than twice the cache (L2), so that no call finds its inputs there. On a CPU
the same functions time with the clock, so that the benchmarks can be tried.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

Work = Callable[[], object]

# No more inputs than this take turns: a graph of that many calls takes long to capture.
_MOST_SETS = 256


def wait(device: torch.device | str) -> None:
    """Until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def cache_bytes(device: torch.device | str) -> int:
    """The size of L2; 0 on a CPU, where nothing is to be learned from a rotation."""
    return torch.cuda.get_device_properties(device).L2_cache_size if torch.device(device).type == "cuda" else 0


def sets_for(bytes_of_one: int, device: torch.device | str) -> int:
    """How many sets of inputs of this size must take turns so that together they are larger than twice the cache."""
    return min(_MOST_SETS, max(2, 1 + 2 * cache_bytes(device) // max(1, bytes_of_one)))


def device_ms(works: Sequence[Work], device: torch.device | str, *, seconds: float = 0.03) -> float:
    """Milliseconds of one of these calls on the device, a median over replays of them all, for about ``seconds``."""
    for work in (works[0], *works):
        work()
    wait(device)
    if torch.device(device).type != "cuda":
        return statistics.median(_clock(works) for _ in range(3))
    graph = _captured(works)
    graph.replay()
    first = _replay(graph)
    times = [_replay(graph) for _ in range(min(50, max(5, int(1000 * seconds / first))))]
    return statistics.median(times) / len(works)


def _captured(works: Sequence[Work]) -> torch.cuda.CUDAGraph:
    """All calls as one graph. ``torch.cuda.graph`` would give all cached memory back first, which takes long."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        graph.capture_begin()
        try:
            for work in works:
                work()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)
    return graph


def _replay(graph: torch.cuda.CUDAGraph) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    graph.replay()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def _clock(works: Sequence[Work]) -> float:
    started = time.perf_counter()
    for work in works:
        work()
    return 1000 * (time.perf_counter() - started) / len(works)


def host_us(work: Work, device: torch.device | str, calls: int = 10) -> float:
    """Microseconds that the host spends on one call, without waiting for the device; a median of three series."""
    found = []
    for _ in range(3):
        wait(device)
        found.append(1000 * _clock([work] * calls))
        wait(device)
    return statistics.median(found)


def wall_ms(work: Work, device: torch.device | str, repeats: int) -> float:
    """Milliseconds from the call until the device has finished; a median. The caller has warmed up."""
    times = []
    for _ in range(repeats):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def ceilings(device: torch.device | str, dtype: torch.dtype = torch.bfloat16) -> tuple[float, float]:
    """What this device reaches at best: TFLOP/s of a large product on random numbers, GB/s of a large copy."""
    on_card = torch.device(device).type == "cuda"
    n, size = (8192, 2**30) if on_card else (128, 2**16)
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    product = device_ms([lambda: a @ b], device, seconds=0.05)
    source = torch.randint(255, (size,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = device_ms([lambda: target.copy_(source)], device, seconds=0.05)
    return 2.0 * n**3 / product / 1e9, 2.0 * size / copy / 1e6


def peak_gib(work: Work, device: torch.device | str) -> float:
    """GiB that a call allocates at most, beside what was allocated before it; NaN on a CPU."""
    if torch.device(device).type != "cuda":
        return float("nan")
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    wait(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**30
