"""Frames as they arrive, written as one CSV or Parquet file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TextIO

from modelcrate.errors import StorageError, UnsupportedError, printable

if TYPE_CHECKING:
    import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet read a text cell as a formula."""
CELL_LIMIT = 10_000
"""Characters of one cell that a terminal shows."""


class RowWriter:
    """Writes frames one after another; the target is replaced only when the block ends without an error.

    ``target`` None means CSV on ``stdout``; there a terminal is shown escapes for whatever could steer it, a pipe gets
    the very texts. Text cells are quoted by CSV's own rules; with ``escape_formulas`` a cell that a spreadsheet would
    run is prefixed with an apostrophe.
    """

    def __init__(self, target: Path | None, *, stdout: TextIO, escape_formulas: bool = False) -> None:
        self._target = target
        self._stdout = stdout
        self._escape_formulas = escape_formulas
        self._temporary: str | None = None
        self._text: TextIO | None = None
        self._parquet: Any = None
        self._started = False

    def __enter__(self) -> RowWriter:
        if self._target is None:
            self._text = self._stdout
            reconfigure = getattr(self._stdout, "reconfigure", None)
            if reconfigure is not None and not self._stdout.isatty():
                reconfigure(encoding="utf-8", errors="strict")  # data, as in a file: no escapes that nobody reads
            return self
        if self._is_parquet:
            _require_pyarrow()
        try:
            handle, self._temporary = tempfile.mkstemp(
                dir=self._target.parent, prefix=f".{self._target.name}.", suffix=".part"
            )
        except OSError as error:
            raise StorageError(f"can't write here: {error.strerror}", where=str(self._target)) from error
        if self._is_parquet:
            os.close(handle)
        else:
            self._text = os.fdopen(handle, "w", encoding="utf-8", newline="")
        return self

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of one frame; every frame has the same columns."""
        if self._escape_formulas:
            frame = _with_texts(frame, _inert)
        if self._target is None and self._stdout.isatty():
            frame = _with_texts(frame, lambda text: printable(text, limit=CELL_LIMIT))
        try:
            if self._is_parquet:
                self._write_parquet(frame)
            else:
                assert self._text is not None
                quoting: Literal[0, 1] = csv.QUOTE_ALL if _holds_returns(frame) else csv.QUOTE_MINIMAL
                frame.to_csv(self._text, index=False, header=not self._started, quoting=quoting)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"writing rows failed: {error.strerror}", where=str(self._target or "-")) from error
        self._started = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._target is None:
            return
        assert self._temporary is not None
        try:
            if kind is not None:
                with contextlib.suppress(Exception):  # what led here is what is told
                    self._close()
            else:
                self._close()
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(self._temporary, 0o666 & ~umask)
                os.replace(self._temporary, self._target)
                self._temporary = None
        except OSError as failure:
            raise StorageError(f"writing rows failed: {failure.strerror}", where=str(self._target)) from failure
        finally:
            if self._temporary is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._temporary)

    def _close(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
        if self._text is not None:
            self._text.close()

    @property
    def _is_parquet(self) -> bool:
        return self._target is not None and self._target.suffix.lower() == ".parquet"

    def _write_parquet(self, frame: pd.DataFrame) -> None:
        import pyarrow
        import pyarrow.parquet

        try:
            if self._parquet is None:
                table = pyarrow.Table.from_pandas(frame, preserve_index=False)
                self._parquet = pyarrow.parquet.ParquetWriter(self._temporary, _settled(table.schema))
            table = pyarrow.Table.from_pandas(frame, schema=self._parquet.schema, preserve_index=False)
            self._parquet.write_table(table)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError) as error:
            what = f"Parquet has no type for these cells: {error}"
            raise UnsupportedError(what, where=str(self._target), hint="write .csv instead") from error


def _settled(schema: Any) -> Any:
    """The schema with texts for a column that has no cell in the first frame; a later one may have some."""
    import pyarrow

    for place, field in enumerate(schema):
        if pyarrow.types.is_null(field.type):
            schema = schema.set(place, field.with_type(pyarrow.string()))
    return schema


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401  (only to find out before any row is sampled)
    except ImportError as error:
        raise UnsupportedError("Parquet needs pyarrow", hint="pip install modelcrate[parquet]") from error


def _texts(frame: pd.DataFrame) -> list[str]:
    """Names of the columns that can hold text."""
    return [name for name in frame.columns if str(frame[name].dtype) in ("object", "str", "string", "category")]


def _holds_returns(frame: pd.DataFrame) -> bool:
    """Whether a text holds a bare carriage return: it ends a line for most readers, and pandas would not quote it."""
    if any("\r" in str(name) for name in frame.columns):
        return True
    return any(isinstance(cell, str) and "\r" in cell for name in _texts(frame) for cell in frame[name].unique())


def _inert(text: str) -> str:
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def _with_texts(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """The frame with its texts changed, names of columns too."""
    from modelcrate.tabular.cells import with_columns

    def changed(cell: object) -> object:
        return change(cell) if isinstance(cell, str) else cell

    texts = {name: frame[name].astype(object).map(changed) for name in _texts(frame)}
    return with_columns(frame, texts).rename(columns=changed)
