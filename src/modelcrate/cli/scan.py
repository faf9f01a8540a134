"""``modelcrate scan``: what a pickle would do, without doing it."""

from __future__ import annotations

import argparse
from pathlib import Path

from modelcrate.cli.output import FAILED, NEGATIVE, OK, Output

EPILOG = (
    "Verdicts: data (plain data and known constructors only), unknown (names code that is not on the allow-list), "
    "dangerous (known ways to run code), broken (ends in a fault), unrecognised (nothing in it that the reader knows). "
    "Exit code 0 when every file is data, 1 when one is dangerous or unknown, else 2. A scan says nothing about what "
    "the weights do."
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "scan",
        help="say what pickles would do, without doing it",
        description="List every global that a pickle names, with a verdict. Nothing is executed or imported.",
        epilog=EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="files to scan")
    parser.add_argument("--json", action="store_true", help="one JSON object a file a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Scan each file and report; the exit code is that of the worst verdict."""
    from modelcrate.legacy.scan import scan

    code = OK
    for path in options.paths:
        report = scan(path)
        if output.json:
            output.document(report.to_dict())
        else:
            output.line(f"{report.verdict}: {path}")
            for finding in report.findings:
                where = f"byte {finding.offset}" if finding.offset is not None else ""
                output.line(f"  {finding.name}  {finding.opcode}  {where}  {finding.reason}")
        if report.verdict in ("dangerous", "unknown"):
            code = NEGATIVE
        elif report.verdict != "data" and code == OK:
            code = FAILED
    return code
