"""Scan reports as SARIF 2.1.0, the form in which code hosts and editors take findings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelcrate.version import __version__

if TYPE_CHECKING:
    from modelcrate.legacy.batch import FileReport

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = {
    "dangerous": ("error", "Names a known way to run code, or to reach files, processes, networks or deserialisers."),
    "unknown": ("warning", "Names code that is not on the list of known constructors of data."),
    "broken": ("warning", "Ends in a fault; what it named before the fault is reported."),
    "unrecognised": ("note", "Holds nothing that the reader knows, or could not be read."),
}
"""Per verdict the SARIF level and what it means; the verdict is the rule."""


def sarif(reports: Sequence[FileReport]) -> dict[str, Any]:
    """One SARIF log with one run: a result for each finding, and one for each file that has none and is not data."""
    results = [result for report in reports for result in _results(report)]
    rules = [
        {"id": verdict, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
        for verdict, (level, text) in RULES.items()
    ]
    driver = {"name": "modelcrate", "version": __version__, "rules": rules}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _results(report: FileReport) -> list[dict[str, Any]]:
    if report.verdict == "data":
        return []
    found = [_result(report, finding) for finding in report.findings if finding.get("verdict") != "data"]
    if found and report.error is None:
        return found
    what = report.error["what"] if report.error else RULES[report.verdict][1]
    return [*found, _entry(report.verdict, what, report.path, None)]


def _result(report: FileReport, finding: dict[str, Any]) -> dict[str, Any]:
    name, call, reason = (str(finding.get(key) or "") for key in ("global", "call", "reason"))
    head = call or name
    verdict = str(finding.get("verdict") or report.verdict)
    offset = None if finding.get("member") else finding.get("offset")  # inside a member it is no offset of the file
    entry = _entry(verdict, f"{head}: {reason}" if head else reason, report.path, offset)
    entry["properties"] = {key: finding[key] for key in ("global", "opcode", "call", "member") if finding.get(key)}
    return entry


def _entry(verdict: str, text: str, path: str, offset: object) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
    if type(offset) is int:
        place["region"] = {"byteOffset": offset, "byteLength": 1}
    rule = verdict if verdict in RULES else "unknown"
    return {
        "ruleId": rule,
        "level": RULES[rule][0],
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: str) -> str:
    """The path as a relative reference, or a ``file`` address where it is absolute."""
    quoted = quote(os.fsencode(path.replace(os.sep, "/")))
    if os.path.isabs(path):
        return "file://" + (quoted if quoted.startswith("/") else "/" + quoted)
    return "./" + quoted if re.match(r"[^/]*%3A", quoted) else quoted
