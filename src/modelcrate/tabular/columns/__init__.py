"""Column encodings by the tag that a document names: one table, no other way in."""

from __future__ import annotations

from modelcrate.format.document import Fields
from modelcrate.tabular.columns.base import Encoding, MatrixEncoding, TableEncoding
from modelcrate.tabular.columns.binary import Binary
from modelcrate.tabular.columns.category import Frequency, Label, OneHot
from modelcrate.tabular.columns.clusters import Clusters
from modelcrate.tabular.columns.flag import Empty, Flag, Identity
from modelcrate.tabular.columns.gaussian import NormalScore
from modelcrate.tabular.columns.interval import Interval
from modelcrate.tabular.columns.modes import ModeSpecific
from modelcrate.tabular.columns.number import Number
from modelcrate.tabular.columns.scaled import Logarithm, Logit
from modelcrate.tabular.columns.timestamp import Timestamp

_TABLE: tuple[type[TableEncoding], ...] = (
    Number, Frequency, Label, OneHot, Flag, Empty, Identity, Timestamp, NormalScore, Interval, Clusters, Logit,
    Logarithm,
)  # fmt: skip
TABLE_ENCODINGS: dict[str, type[TableEncoding]] = {kind.tag: kind for kind in _TABLE}
MATRIX_ENCODINGS: dict[str, type[MatrixEncoding]] = {kind.tag: kind for kind in (ModeSpecific, OneHot, Binary)}

__all__ = ["Encoding", "MatrixEncoding", "TableEncoding", "read_matrix_encoding", "read_table_encoding"]


def read_table_encoding(fields: Fields) -> TableEncoding:
    """The encoding of one column of the original table. Raises :class:`FormatError`."""
    kind = TABLE_ENCODINGS[fields.text("type", choices=tuple(TABLE_ENCODINGS))]
    found = kind.from_document(fields)
    assert isinstance(found, TableEncoding)
    return found


def read_matrix_encoding(fields: Fields) -> MatrixEncoding:
    """The encoding of one modelled column in the matrix. Raises :class:`FormatError`."""
    kind = MATRIX_ENCODINGS[fields.text("type", choices=tuple(MATRIX_ENCODINGS))]
    found = kind.from_document(fields)
    assert isinstance(found, MatrixEncoding)
    return found
