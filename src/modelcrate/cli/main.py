"""The ``modelcrate`` command: parse, dispatch, and turn every error into one line and an exit code.

Exit codes: 0 ok, 1 a check that was asked for failed, 2 could not do it, 130 interrupted. A bad file never shows a
traceback unless ``MODELCRATE_DEBUG=1``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from modelcrate.cli import convert, inspect, sample, scan, verify
from modelcrate.cli.output import FAILED, INTERRUPTED, Output
from modelcrate.errors import ModelcrateError
from modelcrate.version import __version__

Verb = Callable[[argparse.Namespace, Output], int]

DESCRIPTION = "Trained PyTorch models as data, never as code; legacy pickles read without executing them."
EPILOG = (
    "Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 a check failed or a finding was made, 2 could not do it. "
    "MODELCRATE_DEBUG=1 shows tracebacks; NO_COLOR=1 switches colour off."
)


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar of the command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(prog="modelcrate", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"modelcrate {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for module in (convert, inspect, verify, sample, scan):
        module.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    options = build_parser().parse_args(arguments)
    output = Output(json=getattr(options, "json", False))
    run: Verb = options.run
    try:
        code = run(options, output)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our stdout has gone (``| head``); point stdout elsewhere so that the exit is silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        return FAILED
    return code


def _debugging() -> bool:
    return os.environ.get("MODELCRATE_DEBUG") == "1"
