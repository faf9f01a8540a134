"""``modelcrate inspect --privacy``: what a crate or a legacy file discloses of its training data."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from modelcrate.cli.output import OK, Output
from modelcrate.errors import UnsupportedError

if TYPE_CHECKING:
    from modelcrate.disclosure import Disclosed
    from modelcrate.legacy.disclosure import Leak

COLUMN_SHOWN = 30
CAVEAT = "what the network's weights remember of single rows can't be listed"


def show(path: str, options: argparse.Namespace, output: Output) -> int:
    """Print every learnt value by column and size, and for a legacy file what it discloses beyond that."""
    from modelcrate.legacy.convert import is_crate

    unread: UnsupportedError | None = None
    leaks: tuple[Leak, ...] = ()
    if is_crate(path):
        from modelcrate.disclosure import disclosed

        found = disclosed(path)
    else:
        from modelcrate.legacy.disclosure import read_disclosures

        found, leaks, unread = read_disclosures(path)
    if output.json:
        output.document(
            {
                "report": 1,
                "path": path,
                "learnt": [asdict(item) for item in found],
                "beyond": [asdict(leak) for leak in leaks],
                "unread": None if unread is None else str(unread),
            }
        )
        return OK
    _show_values(found, output)
    if unread is not None:
        output.say(f"its learnt values can't be listed: {unread}")
    for leak in leaks:
        output.line()
        output.line(f"{leak.count} {leak.what}")
        output.table([("where", leak.where), *([("which", leak.detail)] if leak.detail else [])])
    output.say(CAVEAT)
    return OK


def _show_values(found: tuple[Disclosed, ...], output: Output) -> None:
    if not found:
        return
    rows: list[tuple[object, ...]] = [("part", "column", "what", "values", "bytes", "such as")]
    for item in found:
        column = item.column if len(item.column) <= COLUMN_SHOWN else item.column[: COLUMN_SHOWN - 3] + "..."
        rows.append((item.component, column or "(all)", item.kind, item.count, item.nbytes, ", ".join(item.examples)))
    total = sum(item.count for item in found), sum(item.nbytes for item in found)
    rows.append(("", "", "all", *total, ""))
    output.table(rows, indent="")
