"""``circuitspex``: one verb a use."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from circuitspex.cli.memory import out_of_memory
from circuitspex.cli.signals import answered
from circuitspex.errors import UserError
from circuitspex.installed import own_version
from circuitspex.text import escaped, message

if TYPE_CHECKING:
    from circuitspex.cli.options import Parser

VERBS = (
    *("find", "tokens", "explain", "compare", "verify", "describe", "apply", "prune", "export"),
    *("runs", "models", "info"),
)


class _Version(argparse.Action):
    """Looks the version up when it is asked for, and not whenever the parser is made."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        nowhere = argparse.SUPPRESS
        super().__init__(
            option_strings, nowhere, nargs=0, default=nowhere, help="show program's version number and exit"
        )

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"circuitspex {own_version()}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs."""
    from circuitspex.cli.options import Parser

    parser = Parser(prog="circuitspex", description="Find which components of a language model work together.")
    parser.add_argument("--version", action=_Version)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(f"circuitspex.cli.{verb}").add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 on success, 1 on a failure and 2 on a usage error.

    Without ``arguments`` the process is taken for this command alone: an interrupt then ends it within a second.
    """
    told: list[argparse.Namespace] = []
    try:
        try:
            with answered(lambda: _interrupted(told)) if arguments is None else contextlib.nullcontext():
                return _main(arguments, told)
        finally:
            sys.stdout.flush()  # here, where a pipe that was closed (``| head -1``) can still be passed over
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # else Python writes to it once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(arguments: Sequence[str] | None, told: list[argparse.Namespace]) -> int:
    try:
        return _run(arguments, told)
    except KeyboardInterrupt:
        line = _interrupted(told)
        if arguments is None or line is None:
            raise
        print(line, file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except Exception as error:  # the last resort: one line for people, the traceback with --debug
        if told and getattr(told[0], "debug", False):
            raise
        line = out_of_memory(error) or escaped(f"{type(error).__name__}: {error}")
    with contextlib.suppress(MemoryError):  # here, where all that the error held is given back
        print(f"circuitspex: {line}{_kept(told) if line else ''}", file=sys.stderr)
    return 1


def _run(arguments: Sequence[str] | None, told: list[argparse.Namespace]) -> int:
    from circuitspex.cli.terminal import Harmless
    from circuitspex.cli.wording import in_flags, shown

    options, unknown = build_parser().parse_known_args(arguments)
    told.append(options)
    if unknown and hasattr(options, "late"):
        unknown = options.late(options, unknown)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        for category in (UserWarning, FutureWarning):
            warnings.filterwarnings("once", category=category, module=r"circuitspex\..*|__main__")
        warnings.showwarning = functools.partial(_show_warning, options.parser)
        try:
            with contextlib.redirect_stdout(Harmless(sys.stdout)):
                result: int = options.run(options)
        except BrokenPipeError:
            raise
        except Exception as error:
            if getattr(options, "debug", False) or out_of_memory(error):
                raise
            said = in_flags(message(error), options.parser) if isinstance(error, UserError) else shown(error)
            print(f"circuitspex: {said}", file=sys.stderr)
            return 1
        return result


def _interrupted(told: list[argparse.Namespace]) -> str | None:
    """The line for an interrupt; None where the traceback is wanted."""
    if told and getattr(told[0], "debug", False):
        return None
    return f"circuitspex: interrupted{_kept(told)}"


def _kept(told: list[argparse.Namespace]) -> str:
    """What is kept of a command that did not come to its end."""
    store = getattr(told[0], "store", "off") if told else "off"
    if store == "off":
        return ""
    path = getattr(store, "path", None)
    where = f"finished ablations are kept in {escaped(str(path))}; " if path else ""
    return f"; {where}the same command goes on where it stopped"


def _show_warning(parser: Parser, said: Any, category: Any, *place: Any, **more: Any) -> None:
    from circuitspex.cli.wording import in_flags

    print(f"warning: {in_flags(message(said), parser)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
