"""``modelcrate sample``: rows from a crate, as CSV or Parquet."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelcrate.cli.output import OK, Output
from modelcrate.cli.rows import RowWriter
from modelcrate.errors import ModelcrateError, StorageError, UnsupportedError, UsageError

if TYPE_CHECKING:
    import pandas as pd

ROWS_LIMIT = 10**9
"""Rows in one call; more is a slip of the finger, and would fill any disk."""

EPILOG = (
    'A condition\'s value is read as JSON where it is JSON (40, 1.5, true, "text") and as plain text otherwise; an '
    'object counts rows: --condition \'colour={"green": 100, "red": 50}\', without -n. A float is met within 1 % and '
    "set to what was asked, all else is met exactly. With --shard 2/8, for workers of one --seed, -n is the whole: the "
    "parts have different rows, keys and unique cells, and put together they are the rows of one run unless conditions "
    "or constraints refuse some. Rows are written as they are made; an interrupted run leaves no file. "
    "Cells that a spreadsheet would take for a formula are written as they are unless --escape-formulas is given; on a "
    "terminal, what could steer it is shown escaped."
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "sample",
        help="sample rows from a tabular crate",
        description="Sample rows from a crate that holds a tabular synthesizer.",
        epilog=EPILOG,
    )
    parser.add_argument("path", metavar="CRATE", help="file or folder")
    parser.add_argument(
        "-n", "--rows", type=_row_count, metavar="N", help="how many rows; of time series, how many examples"
    )
    parser.add_argument(
        "-o", "--output", default="-", metavar="FILE", help=".csv or .parquet file, or - for stdout (default)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--seed", type=int, metavar="S", help="the same seed gives the same rows (default: a random one)")
    how.add_argument(
        "--replay",
        type=_replay,
        metavar="S|fixed",
        help="the rows that the original library gives, seeded with S or by itself",
    )
    parser.add_argument("--shard", metavar="K/N", help="only part K of N, for several workers; needs --seed")
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--condition",
        action="append",
        type=_condition,
        metavar="COLUMN=VALUE",
        help="only rows with this value (repeatable)",
    )
    given.add_argument("--known", metavar="CSV", help="complete each row of this table of known columns")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps or auto")
    parser.add_argument(
        "--escape-formulas",
        action="store_true",
        help="quote cells that a spreadsheet would take for a formula: = + - @ first",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, output: Output) -> int:
    """Sample and write; the file appears whole or not at all."""
    import modelcrate

    counted = [known for _, known in options.condition or [] if isinstance(known, dict)]
    if (options.rows is None) == (options.known is None and not counted):
        raise UsageError("say how many rows with -n, with counts in --condition, or with --known, in one of these ways")
    columns = [column for column, _ in options.condition or []]
    for column in {column for column in columns if columns.count(column) > 1}:
        raise UsageError("two values for one column", where=f"--condition {column}")
    target = None if options.output == "-" else Path(options.output)
    if target is not None and target.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"no table format is known by the name {target.suffix!r}", hint="use .csv or .parquet")
    if target is not None and target.exists() and not options.force:
        raise UsageError("the output exists already", where=str(target), hint="remove it or pass --force")
    synthesizer: Any = modelcrate.load(options.path, device=options.device)
    if not hasattr(synthesizer, "sample_batches"):
        raise UnsupportedError("this crate does not hold a tabular synthesizer", where=str(options.path))
    conditions: Any = (
        _known_columns(options.known, synthesizer) if options.known else dict(options.condition or []) or None
    )
    batches = synthesizer.sample_batches(
        options.rows,
        seed=options.seed,
        replay=options.replay,
        conditions=conditions,
        **({} if options.shard is None else {"shard": options.shard}),
    )
    total = len(conditions) if options.known else options.rows
    if total is None:
        total = sum(count for counts in counted for count in counts.values())
    with (
        _said(output),
        RowWriter(target, stdout=sys.stdout, escape_formulas=options.escape_formulas) as writer,
        output.progress("sampling", _share(total, options.shard)) as progress,
    ):
        for frame in batches:
            writer.write(frame)
            progress.advance(len(frame))
    return OK


@contextmanager
def _said(output: Output) -> Iterator[None]:
    """Warnings of the library as talk, one line each."""

    def say(message: Warning | str, *_: Any, **__: Any) -> None:
        output.say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = say
        yield


def _share(total: int, shard: str | None) -> int:
    from modelcrate.tabular.shard import Shard

    first, stop = Shard.read(shard).span(total)
    return stop - first


def _row_count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= ROWS_LIMIT:
        raise argparse.ArgumentTypeError(f"must be between 0 and {ROWS_LIMIT}")
    return count


def _replay(text: str) -> int | str:
    return text if text == "fixed" else int(text)


def _condition(text: str) -> tuple[str, object]:
    column, separator, value = text.partition("=")
    if not separator or not column:
        raise argparse.ArgumentTypeError("expected COLUMN=VALUE")
    found = _cell(value)
    if isinstance(found, dict):
        counts = {_cell(cell): count for cell, count in found.items()}
        if len(counts) != len(found):
            raise argparse.ArgumentTypeError("the same cell twice")
        found = counts
        if not found or any(type(count) is not int or count < 0 for count in found.values()):
            raise argparse.ArgumentTypeError('expected numbers of rows, as in COLUMN={"green": 100, "red": 50}')
    return column, found


def _cell(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _known_columns(path: str, synthesizer: Any) -> pd.DataFrame:
    """The table as it is written, so that digits in a column of texts stay texts, and ``NA`` may be one."""
    import pandas as pd

    texts: Any = dict.fromkeys(getattr(synthesizer, "text_columns", ()), object)
    try:
        with open(path, "rb") as stream:  # pandas alone would fetch addresses and unpack archives
            return pd.read_csv(stream, dtype=texts, keep_default_na=False, na_values=[""])
    except ModelcrateError:
        raise
    except OSError as error:
        raise StorageError(f"can't read the known columns: {error.strerror}", where=path) from error
    except ValueError as error:
        raise UsageError(f"can't read the known columns: {error}", where=path) from error
