"""``circuitspex``: one verb a use."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from circuitspex import __version__
from circuitspex.cli import compare, explain, export, find, info, models, runs, tokens, verify
from circuitspex.cli.terminal import Harmless
from circuitspex.errors import UserError
from circuitspex.text import message

VERBS = (find, tokens, explain, compare, verify, export, runs, models, info)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs."""
    parser = argparse.ArgumentParser(
        prog="circuitspex", description="Find which components of a language model work together."
    )
    parser.add_argument("--version", action="version", version=f"circuitspex {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 on success, 1 on a failure and 2 on a usage error."""
    options = build_parser().parse_args(arguments)
    debug = getattr(options, "debug", False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        for category in (UserWarning, FutureWarning):
            warnings.filterwarnings("once", category=category, module=r"circuitspex\..*|__main__")
        warnings.showwarning = _show_warning
        try:
            with contextlib.redirect_stdout(Harmless(sys.stdout)):  # type: ignore[type-var]
                result: int = options.run(options)
        except UserError as error:
            if debug:
                raise
            print(f"circuitspex: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            if debug:
                raise
            again = "" if getattr(options, "store", "off") == "off" else "; the same command goes on where it stopped"
            print(f"circuitspex: interrupted{again}", file=sys.stderr)
            return 1
        except Exception as error:  # the last resort: one line for people, the traceback with --debug
            if debug:
                raise
            reason = message(error, 300)
            print(f"circuitspex: {type(error).__name__}: {reason} (--debug shows where)", file=sys.stderr)
            return 1
        return result


def _show_warning(said: Any, category: Any, *place: Any, **more: Any) -> None:
    print(f"warning: {message(said)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
