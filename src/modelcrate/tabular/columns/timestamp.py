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
from modelcrate.tabular.cells import is_missing, read_dtype
from modelcrate.tabular.columns.base import TableEncoding
from modelcrate.tabular.columns.missing import Missing, read_missing, read_range, restore
from modelcrate.tabular.draws import Draws, Reversal

NAT = np.iinfo(np.int64).min
DAY = 86_400
FORMAT_LIMIT = 128
"""Characters in a date format."""
WRITTEN_LIMIT = 512
"""Characters of a date format with its zone written out."""
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
class Zone:
    """A fixed zone: seconds east of Greenwich, and its name where it has one."""

    offset: int
    name: str | None

    @classmethod
    def from_document(cls, fields: Fields) -> Zone:
        """Read one; an offset is less than a day."""
        found = cls(
            offset=fields.integer("offset", minimum=1 - DAY, maximum=DAY - 1),
            name=fields.nullable("name", lambda name: fields.text(name, max_length=FORMAT_LIMIT)),
        )
        fields.finish()
        if found.name is not None and not found.name.isprintable():
            raise FormatError("a zone's name of printable characters only", where=fields.path("name"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The fields, in format values."""
        return {"offset": self.offset, "name": self.name}

    @property
    def digits(self) -> str:
        """The offset as ``%z`` writes it."""
        minutes, seconds = divmod(abs(self.offset), 60)
        sign = "-" if self.offset < 0 else "+"
        return f"{sign}{minutes // 60:02}{minutes % 60:02}" + (f"{seconds:02}" if seconds else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp(TableEncoding):
    """A column of dates. ``text``: the table held texts; ``unit``: nanoseconds that the modelled number counts.

    ``bounds`` clip the nanoseconds. ``exact``: dates are as precise as their format, and read with it. ``zone``: what
    texts are written in. ``dtype``: the texts are digits, and cells numbers of this dtype.
    """

    tag: ClassVar[str] = "timestamp"
    format: str | None
    text: bool
    unit: int
    missing: Missing | None
    bounds: tuple[float, float] | None = None
    exact: bool = False
    zone: Zone | None = None
    dtype: np.dtype[np.generic] | None = None

    @classmethod
    def from_document(cls, fields: Fields) -> Timestamp:
        found = cls(
            format=fields.nullable("format", lambda name: fields.text(name, max_length=FORMAT_LIMIT)),
            text=fields.boolean("text"),
            unit=fields.integer("unit", minimum=1, maximum=10**15),
            missing=read_missing(fields),
            bounds=fields.optional("bounds", lambda name: read_range(fields, name), None),
            exact=fields.optional("exact", fields.boolean, False),
            zone=fields.optional("zone", lambda name: Zone.from_document(fields.fields(name)), None),
            dtype=fields.optional("dtype", lambda name: read_dtype(fields, name), None),
        )
        if found.format is not None and ("\0" in found.format or not found.format.isprintable()):
            raise FormatError("a date format of printable characters only", where=fields.path("format"))
        if found.format is not None and WIDTH.search(found.format):
            raise FormatError("a date format that pads to a width of its own", where=fields.path("format"))
        if found.format is not None and len(_zoned(found.format, found.zone)) > WRITTEN_LIMIT:
            raise FormatError("a date format that writes its zone too often", where=fields.path("format"))
        if found.dtype is not None and (found.dtype.kind not in "iuf" or not found.text or not found.format):
            raise FormatError("numbers are read from texts in a format", where=fields.path("dtype"))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": self.tag,
            "format": self.format,
            "text": self.text,
            "unit": self.unit,
            "missing": None if self.missing is None else self.missing.to_document(),
        }
        if self.bounds is not None:
            document["bounds"] = list(self.bounds)
        if self.exact:
            document["exact"] = True
        if self.zone is not None:
            document["zone"] = self.zone.to_document()
        if self.dtype is not None:
            document["dtype"] = self.dtype.name
        return document

    def derived(self) -> list[tuple[str, int]]:
        bounds = [("bound", 2)] if self.bounds is not None else []
        return bounds + ([] if self.missing is None else self.missing.derived())

    @property
    def outputs(self) -> int:
        return 1 if self.missing is None else self.missing.outputs

    def reverse(self, columns: Sequence[np.ndarray], how: Reversal) -> np.ndarray:
        values = restore(self.missing, [column.astype(np.float64) for column in columns], how.draws)
        nanoseconds = np.round(values) * self.unit
        if self.bounds is not None:
            nanoseconds = np.clip(nanoseconds, *self.bounds)
        dates = to_dates(nanoseconds)
        if not self.format:
            return dates
        if self.text:
            return self._texts(dates)
        if self.exact:
            return self._read_again(dates)
        return dates if ".%f" in self.format else _truncated(dates, self.format)

    def _texts(self, dates: np.ndarray) -> np.ndarray:
        assert self.format is not None
        texts = to_text(dates + self._shift, _zoned(self.format, self.zone))
        if self.dtype is None:
            return texts
        try:
            if pd.isna(texts).any():
                return np.array([float(text) for text in texts])
            return np.array([int(text) if text.isdigit() else float(text) for text in texts]).astype(self.dtype)
        except (ValueError, OverflowError):
            raise FormatError(f"dates of the format {self.format} are no {self.dtype}") from None

    def _read_again(self, dates: np.ndarray) -> np.ndarray:
        """Dates as precise as their format writes them."""
        assert self.format is not None
        pattern = _zoned(self.format, None)
        if ".%f" not in pattern:
            return _truncated(dates + self._shift, pattern, exact=True) - self._shift
        whole = (dates + self._shift).astype("datetime64[us]").astype("datetime64[ns]") - self._shift
        day_first = "%d" in pattern and "%m" in pattern and pattern.index("%d") < pattern.index("%m")
        return _month_first(whole) if day_first else whole

    @property
    def _shift(self) -> np.timedelta64:
        return np.timedelta64(0 if self.zone is None else self.zone.offset * 10**9, "ns")

    def forward(self, value: object, draws: Draws) -> list[object]:
        number = float("nan")
        if not is_missing(value):
            if self.dtype is not None:
                value = _digits(value)
            pattern = _plain(self.format) if self.format and isinstance(value, str) else None
            try:
                date = pd.to_datetime(pd.Series([value], dtype=object), format=pattern).to_numpy("datetime64[ns]")
            except (ValueError, TypeError, OverflowError, re.error):
                raise UsageError(f"{value!r} is no date of the format {self.format}") from None
            number = float(int(date.view(np.int64)[0]) // self.unit)
        return [number] if self.missing is None else self.missing.forward(number, draws)


def _digits(value: object) -> object:
    """A whole number as its digits, anything else as it is; no date is written with more digits than a float holds."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        return value
    if not -(2**53) <= value <= 2**53 or value != int(value):
        raise UsageError(f"{value!r} is no date")
    return str(int(value))


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
    if not pieces:
        return np.where(lost, np.nan, np.full(len(dates), "", dtype=object))
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


def _zoned(pattern: str, zone: Zone | None) -> str:
    """The format with its zone written out; dates without one have none to write."""
    pattern = pattern.replace("%z", "" if zone is None else zone.digits)
    return pattern.replace("%Z", "" if zone is None or zone.name is None else zone.name.replace("%", "%%"))


def _truncated(dates: np.ndarray, pattern: str, *, exact: bool = False) -> np.ndarray:
    """What writing a date as text and reading it again leaves of it; without ``exact`` as pandas 1.5 guesses."""
    pattern = _plain(pattern)
    named = set(re.findall(r"%([A-Za-z])", pattern))
    for unit, needed in UNITS:
        if named == set(needed):
            whole = dates.astype(f"datetime64[{unit}]").astype("datetime64[ns]")
            return whole if exact or pattern.index("%d") > pattern.index("%m") else _month_first(whole)
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
