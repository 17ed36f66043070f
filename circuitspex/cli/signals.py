"""Interrupted or ended: one line, within a second, also while a library computes and Python itself can't answer.

Python raises ``KeyboardInterrupt`` when a library's call comes back, which may take long; a thread waits for the signal
beside it and ends the process where nothing has come of that in time. What is written is written whole at any moment
(the store, files under --out), so nothing is lost by that.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

PATIENCE = 0.6
"""Seconds that Python has for ending in its own way."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def answered(line: Callable[[], str | None]) -> Iterator[None]:
    """Within the block, an interrupt and a request to end are answered by the line and exit code 1.

    For a process that is this command alone, in its main thread.

    Args:
        line: what is said, asked for when it is; None leaves everything to Python.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        if before[number] != signal.SIG_IGN:  # as the shell has it of commands in the background
            signal.signal(number, _interrupt)
    late = threading.Thread(target=_wait, args=(reader, line), name="circuitspex-signals", daemon=True)
    late.start()
    try:
        yield
    except KeyboardInterrupt:
        if (said := line()) is None:
            raise
        leave(said)
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)  # which ends the thread


def leave(said: str) -> NoReturn:
    """Say it, end worker processes, and end at once: the interpreter's own end takes a second with large libraries."""
    with _leaving:  # never given back: whoever comes second waits for the end
        text = ("\n" if sys.stderr.isatty() else "") + said + "\n"
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))
        for child in multiprocessing.active_children():
            child.terminate()
        os._exit(1)


_leaving = threading.Lock()


def _forget() -> None:
    """In a forked process: its signals are its own, and none of them may end the command."""
    if signal.getsignal(signal.SIGTERM) is _interrupt:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _wait(reader: int, line: Callable[[], str | None]) -> None:
    while number := os.read(reader, 1):
        if number[0] in _SIGNALS:
            break
    else:
        os.close(reader)
        return
    threading.Event().wait(PATIENCE)
    if (said := line()) is not None:
        leave(said)
