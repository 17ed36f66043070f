"""What Ray says of workers that were lost, and of what can't be sent, in one line."""

from __future__ import annotations

import copy
from typing import Any


def got(ref: Any) -> tuple[Any, str]:
    """What Ray has for a reference; or None and, in one line, what its worker was lost to.

    Raises:
        Exception: what the job itself raised.
    """
    import ray
    from ray.exceptions import RayActorError, RayError, RayTaskError

    try:
        return ray.get(ref), ""
    except RayTaskError as error:
        cause = error.cause
        raise (cause if isinstance(cause, Exception) else error) from None
    except RayActorError as error:
        return None, _line(error)
    except RayError as error:  # its machine has gone, with what it had to give
        return None, _line(error)


def sendable(error: Exception) -> Exception:
    """An exception as it can be sent: itself, or what it says where it can't be put together again elsewhere.

    Exceptions whose ``__init__`` takes other arguments than it hands on can't be; Ray would take the worker for lost.
    """
    from ray import cloudpickle

    try:
        copy.copy(error)  # which puts it together again from its arguments, as reading it would
        cloudpickle.dumps(error)
    except Exception:  # whatever its own code does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def root(error: BaseException) -> str:
    """What lies behind an error that Ray wraps in pages of advice."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:200]


def _line(error: BaseException) -> str:
    """The line of Ray's long message that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error:" in line or "is dead because" in line or "killed" in line]
    return (told[-1] if told else lines[0] if lines else type(error).__name__)[:300]
