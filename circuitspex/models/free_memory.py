"""How many bytes are free, on a device and for this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that are free where the batches run.

    On a CUDA device these are the driver's, and the blocks that PyTorch holds and uses for nothing at the moment. On a
    CPU they are the machine's, or what a container or a job's scheduler leaves this process, where that is less.
    """
    import torch

    if device.type != "cuda":
        return min(int(psutil.virtual_memory().available), *_left_to_groups())
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + max(0, held)


def _left_to_groups() -> list[int]:
    """What is left of the limits of this process's control groups (Linux, version 2); one large number without any."""
    found = [2**62]
    try:
        lines = _OWN.read_text().splitlines()
        path = next(line[3:] for line in lines if line.startswith("0::"))
    except (OSError, StopIteration):
        return found
    group = _GROUPS / path.lstrip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(_GROUPS):
            break
        try:
            limit = (folder / "memory.max").read_text().strip()
            if limit == "max":
                continue
            used = int((folder / "memory.current").read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        # Pages of files that were read count as used, and are given back when memory is short.
        found.append(max(0, int(limit) - used + int(stat.get("inactive_file", 0))))
    return found
