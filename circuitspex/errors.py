"""The errors that a user can cause; each is one line that says what was wrong and what is allowed."""

from __future__ import annotations

from typing import Any

from circuitspex.text import message as harmless


class UserError(ValueError):
    """A wrong call, file or environment. Its message is one clear line, which a terminal can print as it is."""

    def __init__(self, message: object = "") -> None:
        super().__init__(harmless(message))


class ModelNotFoundError(UserError):
    """A model name, directory or file that can't be loaded here."""


class ComponentError(UserError):
    """A component or selector that this model does not have."""


class TaskError(UserError):
    """A task that can't be built or evaluated."""


class FileFormatError(UserError):
    """A file that is damaged, or not of the format and version that was expected."""


class NoGradientError(UserError):
    """Gradients were asked of a metric that has none."""


class TrainingError(UserError):
    """Trainings that failed, raised when all others have finished.

    ``masks`` ``(F, n)`` are those that failed; ``finished`` is a ``Run`` of the others.
    """

    def __init__(self, message: str, masks: Any = None, finished: Any = None) -> None:
        super().__init__(message)
        self.masks = masks
        self.finished = finished


class KernelWarning(UserWarning):
    """A faster way on a GPU failed on this machine; a slower one that gives the same runs instead."""
