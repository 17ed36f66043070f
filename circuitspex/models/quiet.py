"""Keeps transformers' own progress bars and notes out of the user's terminal while it loads."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Errors only, and no progress bars, until the end of the block; then as before."""
    from tqdm import tqdm
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # GGUF reading makes its own tqdm bars, which the switch above does not reach.
    init = tqdm.__init__

    def silent(self: object, *args: object, **kwargs: object) -> None:
        init(self, *args, **{**kwargs, "disable": True})

    tqdm.__init__ = silent
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tqdm.__init__ = init
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
