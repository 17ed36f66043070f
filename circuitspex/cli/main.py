"""``circuitspex``: one verb a use."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from circuitspex import __version__
from circuitspex.cli import compare, explain, export, find, info, models, runs, tokens, verify
from circuitspex.cli.options import Parser
from circuitspex.cli.terminal import Harmless
from circuitspex.cli.wording import in_flags, shown
from circuitspex.errors import UserError
from circuitspex.text import message

VERBS = (find, tokens, explain, compare, verify, export, runs, models, info)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs."""
    parser = Parser(prog="circuitspex", description="Find which components of a language model work together.")
    parser.add_argument("--version", action="version", version=f"circuitspex {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 on success, 1 on a failure and 2 on a usage error."""
    try:
        try:
            return _main(arguments)
        finally:
            sys.stdout.flush()  # here, where a pipe that was closed (``| head -1``) can still be passed over
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # else Python writes to it once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(arguments: Sequence[str] | None) -> int:
    options, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    debug = getattr(options, "debug", False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        for category in (UserWarning, FutureWarning):
            warnings.filterwarnings("once", category=category, module=r"circuitspex\..*|__main__")
        warnings.showwarning = functools.partial(_show_warning, options.parser)
        try:
            with contextlib.redirect_stdout(Harmless(sys.stdout)):
                result: int = options.run(options)
        except UserError as error:
            if debug:
                raise
            print(f"circuitspex: {in_flags(message(error), options.parser)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            if debug:
                raise
            again = "" if getattr(options, "store", "off") == "off" else "; the same command goes on where it stopped"
            print(f"circuitspex: interrupted{again}", file=sys.stderr)
            return 1
        except BrokenPipeError:
            raise
        except Exception as error:  # the last resort: one line for people, the traceback with --debug
            if debug:
                raise
            print(f"circuitspex: {shown(error)}", file=sys.stderr)
            return 1
        return result


def _show_warning(parser: Parser, said: Any, category: Any, *place: Any, **more: Any) -> None:
    print(f"warning: {in_flags(message(said), parser)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
