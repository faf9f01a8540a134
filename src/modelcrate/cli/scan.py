"""``modelcrate scan``: what pickles would do, without doing it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelcrate.cli.output import FAILED, NEGATIVE, OK, Output
from modelcrate.errors import UsageError, printable

if TYPE_CHECKING:
    from modelcrate.legacy.batch import FileReport

REPORT = 1
"""Revision of the JSON report (``spec/reports/scan.schema.json``); a change that breaks its readers counts it up."""
SHOWN = 50
"""Findings of one file that people are shown; ``--json`` has all of them."""

EPILOG = (
    "Verdicts: data (plain data and known constructors only), unknown (names code that is not on the allow-list), "
    "dangerous (known ways to run code, or to reach files, processes, networks, deserialisers), broken (ends in a "
    "fault; what it named before is reported), unrecognised (nothing in it that the reader knows). The worst of a file "
    "wins. Exit code 0 when every file is data, 1 when one is dangerous or unknown, else 2. A scan says nothing about "
    "what the weights do."
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "scan",
        help="say what files would do if they were unpickled",
        description="Say of each file what unpickling it would do. Nothing is executed, imported or unpacked to disk.",
        epilog=EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files and archives to scan, folders to search")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a file a line on stdout")
    form.add_argument("--sarif", action="store_true", help="one SARIF 2.1.0 document on stdout")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="MODULE.NAME", help="trust this name as well (repeatable)"
    )
    parser.add_argument("--workers", type=_count, metavar="N", help="processes; 0 for none (default: one a processor)")
    parser.add_argument(
        "--seconds",
        type=_positive,
        metavar="S",
        help="time limit for each file (default: 120 for one, 60 each for several)",
    )
    parser.add_argument(
        "--memory", type=_positive, metavar="MIB", help="memory limit for each of several files (default: 512)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Scan and report; the exit code is that of the worst verdict."""
    from modelcrate.legacy.targets import find_targets

    _check_allowed(options.allow)
    output.json = output.json or options.sarif
    targets = list(find_targets(options.paths))
    if not targets:
        output.complain("there is no file to scan", code="IO", where=options.paths[0])
        return FAILED
    reports: list[FileReport] = []
    verdicts: set[str] = set()
    with output.progress("scanning", len(targets)) as progress:
        for report in _reports(options, targets):
            verdicts.add(report.verdict)
            if options.sarif:
                reports.append(report)
            elif options.json:
                output.document({**report.to_dict(), "report": REPORT})
            else:
                _show(report, output)
            progress.advance(1)
    if options.sarif:
        from modelcrate.cli.sarif import sarif

        output.document(sarif(reports))
    if verdicts == {"data"}:
        return OK
    return NEGATIVE if verdicts & {"dangerous", "unknown"} else FAILED


def _reports(options: argparse.Namespace, targets: list[Any]) -> Iterator[FileReport]:
    from dataclasses import replace

    from modelcrate.legacy.batch import scan_targets
    from modelcrate.limits import DEFAULT

    limits = DEFAULT
    if options.seconds is not None:
        limits = replace(limits, scan_seconds=options.seconds, seconds=options.seconds)
    if options.memory is not None:
        limits = replace(limits, scan_memory=int(options.memory * (1 << 20)))
    return scan_targets(targets, allow=options.allow, workers=options.workers, limits=limits)


def _show(report: FileReport, output: Output) -> None:
    output.line(f"{report.verdict}  {quoted(report.path)}")
    if report.error is not None:
        output.line(f"    {report.error['what']}")
    for finding in report.findings[:SHOWN]:
        place = f"byte {finding['offset']}" if finding.get("offset") is not None else ""
        inside = f"in {finding['member']}" if finding.get("member") else ""
        head = " ".join(part for part in (place, str(finding.get("opcode") or ""), inside) if part)
        what = str(finding.get("call") or finding.get("global") or "")
        output.line("    " + ": ".join(part for part in (head, what, str(finding.get("reason") or "")) if part))
    if len(report.findings) > SHOWN:
        output.line(f"    and {len(report.findings) - SHOWN} more findings (--json has all)")


def quoted(path: str) -> str:
    """A path as people read it; one that could be taken for something else than one path is put into quotes."""
    text = printable(path, limit=1000)
    return f'"{text}"' if text != path or "  " in path or path != path.strip() or '"' in path else text


def _check_allowed(names: list[str]) -> None:
    for name in names:
        parts = name.split(".")
        if len(parts) < 2 or not all(part.isidentifier() for part in parts):
            raise UsageError(f"--allow takes module.name, not {name!r}", hint="each name is allowed by itself")


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= 256:
        raise argparse.ArgumentTypeError("must be between 0 and 256")
    return count


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value
