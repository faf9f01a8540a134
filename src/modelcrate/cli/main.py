"""The ``modelcrate`` command: parse, dispatch, and turn every error into one line and an exit code.

Exit codes: 0 ok, 1 a check that was asked for failed, 2 could not do it, 130 interrupted. A bad file never shows a
traceback unless ``MODELCRATE_DEBUG=1``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from modelcrate.cli import convert, inspect, sample, scan, verify
from modelcrate.cli.output import FAILED, INTERRUPTED, OK, Output
from modelcrate.errors import ModelcrateError, printable
from modelcrate.version import __version__

Verb = Callable[[argparse.Namespace, Output], int]

DESCRIPTION = "Trained PyTorch models as data, never as code; legacy pickles read without executing them."
EPILOG = (
    "Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 a check failed or a finding was made, 2 could not do it. "
    "MODELCRATE_DEBUG=1 shows tracebacks; NO_COLOR=1 switches colour off."
)


class _Parser(argparse.ArgumentParser):
    """Escapes what it repeats of an argument, and lets a full disk be an error."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message, limit=2000))

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar of the command line; imports nothing heavy."""
    parser = _Parser(prog="modelcrate", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"modelcrate {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for module in (convert, inspect, verify, sample, scan):
        module.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    if sys.stdout is None or sys.stderr is None:
        return FAILED  # whoever started us closed them: whatever we would say goes nowhere, and that is no success
    output = Output()
    try:
        options = build_parser().parse_args(arguments)
        output.json = getattr(options, "json", False)
        run: Verb = options.run
        code = run(options, output)
        sys.stdout.flush()
    except SystemExit as stop:
        return _after_help(stop)
    except BrokenPipeError:
        _give_up_stdout()
        return FAILED
    except ModelcrateError as error:
        if _debugging():
            raise
        output.error(error)
        return FAILED
    except KeyboardInterrupt:
        output.say("interrupted")
        return INTERRUPTED
    except OSError as error:
        if _debugging():
            raise
        output.complain(f"{error.strerror or error}", code="IO", where=str(error.filename or ""))
        _give_up_stdout()
        return FAILED
    return code


def _after_help(stop: SystemExit) -> int:
    """The parser's own exit, with what it printed written out."""
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_stdout()
        return FAILED
    return stop.code if isinstance(stop.code, int) else OK


def _give_up_stdout() -> None:
    """The reader of our stdout has gone (``| head``), or the disk is full: point it elsewhere and exit in silence."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _debugging() -> bool:
    return os.environ.get("MODELCRATE_DEBUG") == "1"
