"""What the command line shows: plain escaped text for people, one JSON document for programs.

Names that came from a file are escaped before they are printed, so that they can't steer a terminal; JSON is
ASCII-escaped for the same reason.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from modelcrate.errors import ModelcrateError, printable

OK = 0
NEGATIVE = 1
FAILED = 2
INTERRUPTED = 130


class Progress(Protocol):
    """Something that counts work as it is done."""

    def advance(self, amount: int) -> None:
        """Note ``amount`` more units of work."""


class _Silent:
    def advance(self, amount: int) -> None:
        """Nobody is watching."""


class Output:
    """Where one command's data, talk and progress go."""

    def __init__(self, *, json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.json = json
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        for stream in (self.stdout, self.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")  # an ASCII terminal shows escapes instead of failing

    def document(self, value: object) -> None:
        """Print one JSON document on stdout."""
        json.dump(value, self.stdout, ensure_ascii=True, allow_nan=False)
        self.stdout.write("\n")

    def line(self, text: str = "") -> None:
        """Print one line of data on stdout."""
        self.stdout.write(printable(text, limit=2000) + "\n")

    def table(self, rows: Iterable[Sequence[object]], *, indent: str = "  ") -> None:
        """Print rows as aligned columns; numbers are aligned to the right."""
        rows = list(rows)
        cells = [[printable(str(cell), limit=120) for cell in row] for row in rows]
        if not cells:
            return
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        for row, values in zip(cells, rows, strict=True):
            aligned = [
                cell.rjust(width) if isinstance(value, int) else cell.ljust(width)
                for cell, width, value in zip(row, widths, values, strict=True)
            ]
            self.stdout.write((indent + "  ".join(aligned)).rstrip() + "\n")

    def say(self, text: str) -> None:
        """Talk to the person, on stderr."""
        self.stderr.write(printable(text, limit=2000) + "\n")

    def error(self, error: ModelcrateError) -> None:
        """Report an error of the library: one line for people, one object for programs."""
        self.complain(error.what, code=error.code, where=error.where, hint=error.hint)

    def complain(self, what: str, *, code: str, where: str | None = None, hint: str | None = None) -> None:
        """Report what went wrong on stderr, as one JSON object where ``--json`` was asked for."""
        if self.json:
            problem = {"code": code, "what": what, "where": where or None, "hint": hint}
            json.dump({"error": problem}, self.stderr, ensure_ascii=True)
            self.stderr.write("\n")
            return
        place = f"{where}: " if where else ""
        advice = f" ({hint})" if hint else ""
        self.say(f"error: {place}{what}{advice}")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Progress]:
        """Show a progress bar on stderr while the block runs, on a terminal and for work worth showing only."""
        if self.json or not self.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield _Silent()
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        with Bar(*columns, TimeRemainingColumn(), console=Console(file=self.stderr), transient=True) as bar:
            task = bar.add_task(printable(what, limit=60), total=total)

            class _Bar:
                def advance(self, amount: int) -> None:
                    bar.advance(task, amount)

            yield _Bar()


def human_size(size: int) -> str:
    """A byte count as a person reads it: ``1.6 GB``."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")
