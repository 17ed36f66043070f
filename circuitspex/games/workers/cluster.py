"""A connection to a Ray cluster: what address means what, what there is, and one clear line where there is none."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from circuitspex.errors import UserError
from circuitspex.games.workers.losses import root

MOST_LOCAL = 1024
"""Processes on this machine; Ray itself fails, half a minute later, where there are far more than cores."""
_OWN_STORE = 256 * 2**20
"""Bytes of shared memory of a cluster that is started here: results are small."""
_PATIENCE = 10.0
_LOCAL = re.compile(r"local(?::(\d+))?$")
_REMOTE = re.compile(r"(?:ray://)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(\d+)$")

ADDRESSES = "local:4 (4 processes here), auto (the cluster that runs here), HOST:PORT, or ray://HOST:10001"


def check_ray() -> None:
    """Nothing where Ray is installed.

    Raises:
        UserError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError("workers need Ray, which is not installed here: pip install 'circuitspex[ray]'")


def check_address(address: str | None) -> int | None:
    """How many processes 'local:N' asks for; None for any other address.

    Raises:
        UserError: it is no address.
    """
    if address is not None and not isinstance(address, str):
        raise UserError(f"an address of workers is a text, not {str(address)[:40]!r}; allowed: {ADDRESSES}")
    local = None if address is None else _LOCAL.match(address)
    if address is None or address == "auto" or (local is None and _REMOTE.match(address)):
        return None
    if local is None or local[1] == "0":
        raise UserError(f"'{address}' is no address of workers; allowed: {ADDRESSES}")
    if len(local[1] or "") > 4 or int(local[1] or 1) > MOST_LOCAL:
        raise UserError(f"'{address[:40]}' asks for too many processes on this machine; at most local:{MOST_LOCAL}")
    return int(local[1] or os.cpu_count() or 1)


def connect(address: str | None, options: Mapping[str, Any], cpus: float = 1) -> bool:
    """Connect this process to a cluster; whether that is to be undone at the end.

    Args:
        address: see ``RayWorkers``.
        options: further arguments of ``ray.init``.
        cpus: cores of each worker, of a cluster that is started here.

    Raises:
        UserError: there is no cluster at the address, or this process is connected to another already.
    """
    import ray

    n_local = check_address(address)
    if address is not None:
        _check_there(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    if ray.is_initialized():
        if address is None:
            return False
        raise UserError("this process is connected to a Ray cluster already; leave the address out to use that one")
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", **options}
    if n_local is not None or (address is None and "RAY_ADDRESS" not in os.environ):
        # An address that the environment names is for 'auto'.
        n_cpus = (os.cpu_count() or 1) if n_local is None else max(1, math.ceil(n_local * cpus))
        own = {"include_dashboard": False, "object_store_memory": _OWN_STORE, "num_cpus": n_cpus}
        try:
            ray.init(address="local", **{**own, **given})
        except Exception as error:  # Ray raises whatever it likes
            raise UserError(f"Ray could not be started on this machine: {root(error)}") from error
        return True
    address = address or "auto"
    if address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise UserError("addresses ray://… need Ray's client, which is not installed: pip install 'circuitspex[ray]'")
    try:
        ray.init(address=address, **given)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        said = _none_at(address, " ".join(str(error).split())[:160])
        if "RAY_AUTH_MODE" not in os.environ:
            said += "; a cluster that asks for a token needs RAY_AUTH_MODE=token here"
        raise UserError(said) from error
    return True


def _check_there(address: str) -> None:
    """Ask whether anything listens at a host and port: Ray itself goes on asking for minutes."""
    found = None if _LOCAL.match(address) else _REMOTE.match(address)
    if found is None:
        return
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_PATIENCE):
            pass
    except (OSError, OverflowError) as error:
        raise UserError(_none_at(address, getattr(error, "strerror", None) or str(error))) from error


def _none_at(address: str, why: str) -> str:
    where = "on this machine" if address == "auto" else f"at {address}"
    return f"there is no Ray cluster {where} ({why}); start one with `ray start --head`, or use local:N"


def machines() -> list[dict[str, Any]]:
    """The machines of the cluster that are alive: ``name``, ``cpus``, ``gpus`` and ``memory`` (bytes)."""
    import ray

    found = []
    for node in ray.nodes():
        if node.get("Alive"):
            has = node.get("Resources", {})
            name = node.get("NodeManagerHostname") or node.get("NodeManagerAddress")
            numbers = {"cpus": has.get("CPU", 0.0), "gpus": has.get("GPU", 0.0), "memory": int(has.get("memory", 0))}
            found.append({"name": str(name), **numbers})
    return found


def room(found: list[dict[str, Any]], cpus: float, gpus: float) -> int:
    """How many workers of this size the machines hold when nothing else runs on them."""
    total = 0
    for machine in found:
        fits = [int(machine[name] // wanted) for name, wanted in (("cpus", cpus), ("gpus", gpus)) if wanted > 0]
        total += min(fits, default=0)
    return total


def check_room(found: list[dict[str, Any]], n: int, cpus: float, gpus: float) -> None:
    """Nothing where so many workers of this size fit.

    Raises:
        UserError: they don't; what there is is named.
    """
    what, each, kind = ("GPU", gpus, "gpus") if gpus else ("CPU", cpus, "cpus")
    there = sum(machine[kind] for machine in found)
    largest = max((machine[kind] for machine in found), default=0)
    if each > largest:
        raise UserError(
            f"each worker asks for {each:g} {what}s and the largest machine of the cluster has {largest:g}; a worker "
            f"lives on one machine: ask for fewer with {kind}=…"
        )
    fits = room(found, cpus, gpus)
    if fits < n:
        raise UserError(
            f"{n} workers with {each:g} {what}{'' if each == 1 else 's'} each were asked for, and the cluster has room "
            f"for {fits} ({there:g} {what}{'' if there == 1 else 's'} on {len(found)} "
            f"machine{'' if len(found) == 1 else 's'}); ask for n={max(fits, 1)}, or give least=1 so that the others "
            "may join later"
        )
