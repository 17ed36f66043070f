"""The benchmark's end of a worker: asks for a fit, and stops it when it takes too long."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from time import monotonic
from typing import IO, Any

import psutil
import wire
from numpy.typing import NDArray

Message = tuple[dict[str, Any], wire.Arrays]
_START_LIMIT = 120.0


class WorkerError(Exception):
    """There is no answer: it can't start, it was stopped as it took too long, or it died."""


@dataclass(frozen=True)
class Answer:
    """Predictions with what they took, or ``note``: why there are none."""

    predicted: NDArray[Any] | None = None
    seconds: float | None = None
    cpu: float | None = None
    used: int | None = None
    estimate: tuple[float, float, float] | None = None
    note: str = ""


class Worker:
    """A process that fits one side's decoders; it is started when first needed, and again after it was stopped."""

    def __init__(self, side: str, python: str) -> None:
        self.side, self.python = side, python
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self.keys: list[str] = []
        self.about = ""

    def start(self) -> None:
        """Start the process where it is not running.

        Raises:
            WorkerError: it can't start, such as where shapiq is not installed.
        """
        if self._process is not None:
            return
        command = [self.python, str(Path(__file__).with_name("worker.py")), self.side]
        self._errors = TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            raise WorkerError(f"{self.python}: {error.strerror}") from error
        hello, _ = self._exchange(_START_LIMIT, None)
        self.keys, self.about = hello["keys"], hello["about"]

    def fit(self, header: dict[str, Any], arrays: wire.Arrays, limit: float) -> Answer:
        """Ask for one fit, which may take ``limit`` processor seconds, and on a busy machine twice as long."""
        try:
            self.start()
            answer, found = self._exchange(limit, (header, arrays))
        except WorkerError as error:
            return Answer(note=str(error))
        if "error" in answer:
            return Answer(note=answer["error"])
        estimate = None if answer["estimate"] is None else tuple(answer["estimate"])
        return Answer(found["predicted"], answer["seconds"], answer["cpu"], answer["used"], estimate)

    def _exchange(self, limit: float, message: Message | None) -> Message:
        process, over = self._process, Event()
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        done = Event()
        Thread(target=_watch, args=(process, limit, done, over), daemon=True).start()
        try:
            if message is not None:
                wire.send(process.stdin, *message)
            return wire.receive(process.stdout)
        except (EOFError, BrokenPipeError):
            self.stop()
            raise WorkerError(f"over {limit:g} s" if over.is_set() else self._last_words()) from None
        finally:
            done.set()

    def _last_words(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "its process died")

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _watch(process: subprocess.Popen[bytes], limit: float, done: Event, over: Event) -> None:
    """Kill the process once it has used ``limit`` processor seconds, or twice that by the clock, unless done."""
    try:
        watched, started = psutil.Process(process.pid), monotonic()
        before = sum(watched.cpu_times()[:2])
        while not done.wait(0.2):
            if sum(watched.cpu_times()[:2]) - before > limit or monotonic() - started > 2 * limit:
                over.set()
                process.kill()
                return
    except psutil.Error:  # it has ended by itself
        return
