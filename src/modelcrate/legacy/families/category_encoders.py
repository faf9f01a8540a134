"""Encoders of the category_encoders package, 2.2 to 2.6, fitted to one column: their categories in order of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.known import cells, column_dtype
from modelcrate.legacy.view import View

ONE_HOT: Final = "category_encoders.one_hot.OneHotEncoder"
BINARY: Final = "category_encoders.binary.BinaryEncoder"
_BASE_N: Final = "category_encoders.basen.BaseNEncoder"
_ORDINAL: Final = "category_encoders.ordinal.OrdinalEncoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One encoded column: dtype of its cells, categories by code (the first is code 1), columns that stand for it."""

    dtype: str
    categories: list[object]
    width: int


def encoded(view: View) -> Encoded:
    """What a one-hot or binary encoder of one column learned.

    Raises :class:`UnsupportedError` for settings that change what it does, :class:`FormatError` for codes that are not
    1, 2, 3 and so on.
    """
    encoder = view.attributes(ONE_HOT, BINARY)
    inner = encoder
    held = encoder.get("base_n_encoder")
    if encoder.class_name == BINARY and held is not None and not held.is_none():
        inner = held.attributes(_BASE_N)
    if encoder.class_name == BINARY and inner["base"].integer() != 2:
        raise UnsupportedError("digits that are not binary", where=inner.path)
    for name in ("handle_unknown", "handle_missing"):
        if inner[name].text() != "value":
            raise UnsupportedError(f"{name} is not 'value'", where=inner[name].path)
    if inner["drop_invariant"].boolean():
        raise UnsupportedError("columns that do not vary were dropped", where=inner["drop_invariant"].path)
    ordinal = inner["ordinal_encoder"].attributes(_ORDINAL)
    mappings = ordinal["mapping"].items()
    if len(mappings) != 1:
        raise FormatError(f"an encoder of {len(mappings)} columns", where=ordinal.path)
    (mapping,) = mappings
    series = mapping["mapping"].series()
    codes = np.asarray(series.values)
    if codes.dtype.kind not in "iuf":
        raise FormatError("codes that are no numbers", where=mapping.path)
    labels = series.index.labels()
    wanted = [(int(code), label) for code, label in zip(codes.tolist(), labels, strict=True) if code > 0]
    if [code for code, _ in wanted] != list(range(1, len(wanted) + 1)):
        raise FormatError("codes that do not count from 1", where=mapping.path)
    found = cells([_plain(label) for _, label in wanted], mapping.path)
    width = len(_names(encoder, inner))
    return Encoded(dtype=column_dtype(mapping["data_type"].dtype(), mapping.path), categories=found, width=width)


def _names(encoder: View, inner: View) -> list[View]:
    """The names of the encoded columns; releases differ in the attribute."""
    for view in (encoder, inner):
        for name in ("feature_names", "feature_names_out_"):
            held = view.get(name)
            if held is not None and not held.is_none():
                return held.items()
    raise FormatError("an encoder that was not fitted", where=encoder.path)


def _plain(label: object) -> object:
    """NumPy's own text is text."""
    return str(label) if isinstance(label, np.str_) else label
