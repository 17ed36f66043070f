"""Keeps transformers' own progress bars and notes out of the user's terminal while it loads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from circuitspex.silence import counted, is_within, no_warnings, while_any

_QUIET = "transformers"


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Errors only, and no progress bars of this thread, until the end of the block; then as before.

    Blocks of several threads may overlap: the first that enters changes transformers' verbosity, the last that leaves
    puts it back, and progress bars of other threads are shown all the while.
    """
    from tqdm import tqdm
    from transformers.utils import logging

    before: dict[str, Any] = _before

    def begin() -> None:
        before.update(
            level=logging.get_verbosity(), bars=logging.is_progress_bar_enabled(), init=vars(tqdm)["__init__"]
        )
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        init = tqdm.__init__

        def silent(self: object, *args: object, **kwargs: object) -> None:
            init(self, *args, **({**kwargs, "disable": True} if is_within(_QUIET) else kwargs))

        # GGUF reading makes its own tqdm bars, which the switch above does not reach.
        tqdm.__init__ = silent

    def end() -> None:
        tqdm.__init__ = before["init"]
        logging.set_verbosity(before["level"])
        if before["bars"]:
            logging.enable_progress_bar()
        before.clear()

    with while_any(_QUIET, begin, end), counted(_QUIET), no_warnings():
        yield


_before: dict[str, Any] = {}
