"""What the command line prints, on its way to a terminal: no text of others turns into commands to it."""

from __future__ import annotations

from typing import TextIO

from circuitspex.text import escaped


class Harmless:
    """A stream of text behind which control characters are escapes, as is what its encoding lacks.

    Names of models, tasks, components and files may hold anything, and are printed in many places: here all of them
    pass.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; lines stay lines."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        harmless = "\n".join(map(escaped, text.split("\n")))
        self._stream.write(harmless.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """As of the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """As of the stream."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """As of the stream."""
        return self._stream.fileno()
