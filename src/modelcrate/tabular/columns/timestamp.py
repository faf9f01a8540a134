"""Dates and times as nanoseconds since 1970, and back to timestamps or to text in the column's own format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.cells import is_missing
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.missing import Missing, read_missing, restore
from modelcrate.tabular.draws import Draws, Reversal

NAT = np.iinfo(np.int64).min
FORMAT_LIMIT = 128
"""Characters in a date format."""
WIDTH = re.compile(r"%[-_0^#:]*[0-9]")
"""What the C library reads as ``pad to so many characters``: ``%30000Y`` would make megabytes of every hundred rows."""
PLACES = {
    "Y": slice(0, 4),
    "m": slice(5, 7),
    "d": slice(8, 10),
    "H": slice(11, 13),
    "M": slice(14, 16),
    "S": slice(17, 19),
    "f": slice(20, 26),
    "y": slice(2, 4),
    "T": slice(11, 19),
    "F": slice(0, 10),
}
"""Where each directive of strftime stands in ``2020-01-31T12:34:56.000000``."""
UNITS = (("D", "Ymd"), ("h", "YmdH"), ("m", "YmdHM"), ("s", "YmdHMS"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp(TableEncoding):
    """A column of dates. ``text``: the table held texts; ``unit``: nanoseconds that the modelled number counts."""

    tag: ClassVar[str] = "timestamp"
    format: str | None
    text: bool
    unit: int
    missing: Missing | None

    @classmethod
    def from_document(cls, fields: Fields) -> Timestamp:
        found = cls(
            format=fields.nullable("format", lambda name: fields.text(name, max_length=FORMAT_LIMIT)),
            text=fields.boolean("text"),
            unit=fields.integer("unit", minimum=1, maximum=10**15),
            missing=read_missing(fields),
        )
        if found.format is not None and ("\0" in found.format or not found.format.isprintable()):
            raise FormatError("a date format of printable characters only", where=fields.path("format"))
        if found.format is not None and WIDTH.search(found.format):
            raise FormatError("a date format that pads to a width of its own", where=fields.path("format"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "format": self.format,
            "text": self.text,
            "unit": self.unit,
            "missing": None if self.missing is None else self.missing.to_document(),
        }

    def derived(self) -> list[tuple[str, int]]:
        return [("mean", 1)] if self.missing is not None and self.missing.fill is not None else []

    @property
    def outputs(self) -> int:
        return 1 if self.missing is None else self.missing.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values = restore(self.missing, [column.astype(np.float64) for column in columns], how.draws)
        dates = to_dates(np.round(values) * self.unit)
        if not self.format:
            return dates
        if self.text:
            return to_text(dates, self.format)
        return dates if ".%f" in self.format else _truncated(dates, self.format)

    def forward(self, value: object, draws: Draws) -> list[object]:
        number = float("nan")
        if not is_missing(value):
            pattern = _plain(self.format) if self.format and isinstance(value, str) else None
            try:
                date = pd.to_datetime(pd.Series([value], dtype=object), format=pattern).to_numpy("datetime64[ns]")
            except (ValueError, TypeError, OverflowError, re.error):
                raise UsageError(f"{value!r} is no date of the format {self.format}") from None
            number = float(int(date.view(np.int64)[0]) // self.unit)
        return [number] if self.missing is None else self.missing.forward(number)


def to_dates(nanoseconds: np.ndarray) -> np.ndarray:
    """Whole float64 nanoseconds as ``datetime64[ns]``; NaN and what no date can hold become NaT."""
    known = np.abs(nanoseconds) < 2.0**63
    whole = np.where(known, nanoseconds, 0.0).astype(np.int64)
    whole[~known] = NAT
    return whole.view("datetime64[ns]")


def to_text(dates: np.ndarray, pattern: str) -> np.ndarray:
    """Dates by strftime as an object array, NaN where there is none."""
    pieces = _pieces(pattern)
    if pieces is None or not len(dates):
        return pd.Series(dates).dt.strftime(pattern).to_numpy(dtype=object, na_value=np.nan)
    lost = np.isnat(dates)
    whole = np.where(lost, np.datetime64(0, "ns"), dates).astype("datetime64[us]")
    letters = np.datetime_as_string(whole, unit="us").astype("U26").view("U1").reshape(len(dates), 26)
    parts = [
        letters[:, piece] if isinstance(piece, slice) else np.full((len(dates), 1), piece, dtype="U1")
        for piece in pieces
    ]
    joined = np.ascontiguousarray(np.concatenate(parts, axis=1))
    texts = joined.view(f"U{joined.shape[1]}").reshape(len(dates)).astype(object)
    texts[lost] = np.nan
    return texts


def _truncated(dates: np.ndarray, pattern: str) -> np.ndarray:
    """What writing a date as text and reading it again leaves of it."""
    pattern = _plain(pattern)
    named = set(re.findall(r"%([A-Za-z])", pattern))
    for unit, needed in UNITS:
        if named == set(needed):
            whole = dates.astype(f"datetime64[{unit}]").astype("datetime64[ns]")
            return _month_first(whole) if pattern.index("%d") < pattern.index("%m") else whole
    try:
        texts = pd.Series(dates).dt.strftime(pattern)
        return pd.to_datetime(texts, format=pattern).to_numpy("datetime64[ns]")
    except (ValueError, re.error):  # pandas makes an expression of the format; a directive twice is none
        return dates


def _month_first(dates: np.ndarray) -> np.ndarray:
    """Dates written with the day first and read with the month first where that gives a month, as pandas 1.5 did."""
    days = dates.astype("datetime64[D]")
    month_starts = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]")
    day = (days - month_starts).astype(np.int64)
    month = (month_starts - years.astype("datetime64[M]")).astype(np.int64)
    swapped = (years.astype("datetime64[M]") + day).astype("datetime64[D]") + month
    exchanged = swapped.astype("datetime64[ns]") + (dates - days)
    return np.where(np.isnat(dates) | (day >= 12), dates, exchanged)


def _plain(pattern: str) -> str:
    """The format in directives that every parser knows, without paddings."""
    for short, long in (("%X", "%H:%M:%S"), ("%T", "%H:%M:%S"), ("%x", "%m/%d/%y"), ("%F", "%Y-%m-%d")):
        pattern = pattern.replace(short, long)
    return pattern.replace("%-", "%")


def _pieces(pattern: str) -> list[slice | str] | None:
    """The format as places in an ISO text and single letters between; None if it needs the real strftime."""
    found: list[slice | str] = []
    for directive, letter in re.findall(r"%(.?)|([^%])", pattern.replace("%X", "%T"), flags=re.DOTALL):
        if letter:
            found.append(letter)
        elif directive in PLACES:
            found.append(PLACES[directive])
        else:
            return None
    return found
