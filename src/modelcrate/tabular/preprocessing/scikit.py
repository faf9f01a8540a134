"""Fitted scikit-learn objects, live in the caller's hands or read from a file, taken down as steps of our own.

A class is recognised by its exact name; scikit-learn itself is not imported, and nothing of the object is called: its
attributes are read. What a step can't say exactly is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcrate.errors import UnsupportedError, UsageError
from modelcrate.format.values import Missing
from modelcrate.tabular.preprocessing.base import Step, given_vector
from modelcrate.tabular.preprocessing.block import Array
from modelcrate.tabular.preprocessing.categories import Categories
from modelcrate.tabular.preprocessing.compose import DEPTH_LIMIT, Branch, Branches, Chain, Keep
from modelcrate.tabular.preprocessing.encode import (
    OUTPUT_DTYPES,
    ZEROS,
    OneHot,
    OneHotColumn,
    Ordinal,
    OrdinalColumn,
)
from modelcrate.tabular.preprocessing.impute import Impute
from modelcrate.tabular.preprocessing.scale import Rescale, Standardise

PACKAGE = "sklearn"
ROUNDED_SINCE = (1, 8)
"""From this release on, StandardScaler rounds its statistics to the dtype of the data before it uses them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """A fitted object as data: the full name of its class, its attributes, and the release that fitted it."""

    name: str
    attributes: Mapping[str, Any]
    release: tuple[int, ...] = ()


def is_scikit(candidate: object) -> bool:
    """Whether a live object's class is one of scikit-learn's, or of a package built on it."""
    return any(base.__module__.partition(".")[0] == PACKAGE for base in type(candidate).__mro__)


def from_scikit(fitted: object, *, where: str = "preprocessing") -> Step:
    """The step that gives the same numbers as a fitted scaler, encoder, imputer, ColumnTransformer or Pipeline.

    ``fitted`` is a live object, or a :class:`Record` of one.

    Raises UnsupportedError for another class (a subclass too) and for an option that has no counterpart, UsageError for
    an object that is not fitted.
    """
    return _translate(fitted, where, 1)


def feature_names(fitted: object) -> tuple[str, ...] | None:
    """The names of the columns that an object was fitted on, if it was fitted on a DataFrame with text for names."""
    record = _record(fitted)
    while record.name == _PIPELINE:
        inner = [step for _, step in record.attributes.get("steps", []) if step is not None and step != "passthrough"]
        if not inner:
            return None
        record = _record(inner[0])
    names = record.attributes.get("feature_names_in_")
    return None if names is None else tuple(str(name) for name in names)


class _Fitted:
    """The attributes of one object, and where it is in the whole."""

    def __init__(self, record: Record, where: str, depth: int) -> None:
        self.where = f"{where} ({_short(record.name)})"
        self.depth = depth
        self.release = record.release
        self._attributes = record.attributes

    def __getitem__(self, name: str) -> Any:
        if name not in self._attributes:
            raise UsageError(f"has no {name}", where=self.where, hint="fit it first")
        return self._attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self._attributes.get(name, default)

    def vector(self, name: str, *, positive: bool = False) -> Array:
        """A fitted number for each column; a column without one can't be encoded."""
        try:
            return given_vector(self[name], name, positive=positive)
        except UsageError as error:
            if error.where != name:
                raise
            hint = "a column that held no value during fit has no statistics; leave it out"
            raise UsageError(error.what, where=f"{self.where}.{name}", hint=hint) from None

    def unsupported(self, what: str, hint: str | None = None) -> UnsupportedError:
        return UnsupportedError(what, where=self.where, hint=hint)


def _record(fitted: object) -> Record:
    """A live object's attributes, as they are; it is here, so the release that is loaded is its own."""
    if isinstance(fitted, Record):
        return fitted
    version = str(getattr(sys.modules.get(PACKAGE), "__version__", ""))
    name = f"{type(fitted).__module__}.{type(fitted).__qualname__}"
    return Record(name=name, attributes=getattr(fitted, "__dict__", {}), release=parse_release(version))


def parse_release(version: str) -> tuple[int, ...]:
    """``(1, 9)`` for ``1.9.1``; nothing for what is no version."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isascii() and part.isdigit() for part in parts) else ()


def _translate(fitted: object, where: str, depth: int) -> Step:
    record = _record(fitted)
    translate = _TRANSLATORS.get(record.name)
    if translate is None:
        names = sorted(_short(name) for name in _TRANSLATORS)
        what = f"a {_short(record.name)} has no counterpart as data"
        raise UnsupportedError(what, where=where, hint=f"supported: {', '.join(names)}")
    if depth > DEPTH_LIMIT:
        raise UnsupportedError(f"more than {DEPTH_LIMIT} steps inside each other", where=where)
    return translate(_Fitted(record, where, depth))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _standard(fitted: _Fitted) -> Step:
    centre = fitted.vector("mean_") if fitted["with_mean"] else None
    scale = fitted.vector("scale_", positive=True) if fitted["with_std"] else None
    width = int(fitted["n_features_in_"])
    return Standardise(width=width, centre=centre, scale=scale, rounded=fitted.release >= ROUNDED_SINCE)


def _robust(fitted: _Fitted) -> Step:
    centre = fitted.vector("center_") if fitted["with_centering"] else None
    scale = fitted.vector("scale_", positive=True) if fitted["with_scaling"] else None
    return Standardise(width=int(fitted["n_features_in_"]), centre=centre, scale=scale)


def _min_max(fitted: _Fitted) -> Step:
    low, high = fitted["feature_range"]
    clip = (float(low), float(high)) if fitted.get("clip", False) else None
    return Rescale(factor=fitted.vector("scale_", positive=True), offset=fitted.vector("min_"), clip=clip)


def _one_hot(fitted: _Fitted) -> Step:
    listed, groups = _categories(fitted), _groups(fitted)
    drops = fitted.get("_drop_idx_after_grouping", fitted.get("drop_idx_"))
    handling = fitted["handle_unknown"]
    columns: list[OneHotColumn] = []
    for index, categories in enumerate(listed):
        group = groups[index]
        codes = np.arange(len(categories), dtype=np.int64) if group is None else group
        width = int(codes.max()) + 1
        unknown = {"error": None, "ignore": ZEROS}.get(handling, ZEROS if group is None else width - 1)
        drop = None if drops is None else drops[index]
        if drop is not None:
            codes = np.where(codes == drop, ZEROS, codes - (codes > drop))
            if unknown is not None and unknown != ZEROS:
                unknown = ZEROS if unknown == drop else unknown - 1
            width -= 1
        columns.append(OneHotColumn(categories=categories, codes=codes, width=width, unknown=unknown))
    return OneHot(columns=tuple(columns), dtype=_dtype(fitted))


def _ordinal(fitted: _Fitted) -> Step:
    listed, groups, dtype = _categories(fitted), _groups(fitted), _dtype(fitted)
    if dtype.kind == "b":
        raise fitted.unsupported("numbers of dtype bool")
    unknown = dtype.type(fitted["unknown_value"]) if fitted["handle_unknown"] == "use_encoded_value" else None
    columns: list[OrdinalColumn] = []
    for index, categories in enumerate(listed):
        values = np.arange(len(categories)).astype(dtype)
        group = groups[index]
        if group is not None:
            values[: len(group)] = group
        if _is_nan(categories.take(np.array([len(categories) - 1]))[0]):
            values[-1] = fitted.get("encoded_missing_value", np.nan)
        columns.append(OrdinalColumn(categories=categories, values=values, unknown=unknown))
    return Ordinal(columns=tuple(columns))


def _categories(fitted: _Fitted) -> list[Categories]:
    found: list[Categories] = []
    for index, values in enumerate(fitted["categories_"]):
        try:
            found.append(Categories.of(np.asarray(values)))
        except UsageError as error:
            raise fitted.unsupported(f"column {index}: {error.what}") from None
    return found


def _groups(fitted: _Fitted) -> Sequence[Array | None]:
    """For each column, the code of each category where rare ones share one; None where they do not."""
    if not fitted.get("_infrequent_enabled", False):
        return [None] * len(fitted["categories_"])
    return [None if it is None else np.asarray(it, np.int64) for it in fitted["_default_to_infrequent_mappings"]]


def _dtype(fitted: _Fitted) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(fitted["dtype"])
    if dtype.name not in OUTPUT_DTYPES:
        raise fitted.unsupported(f"outputs of dtype {dtype.name}")
    return dtype


def _impute(fitted: _Fitted) -> Step:
    statistics = np.asarray(fitted["statistics_"])
    strategy = fitted["strategy"]
    if strategy == "constant" and _is_nan(fitted.get("fill_value")):
        raise fitted.unsupported("NaN for a fill value")
    if fitted.get("keep_empty_features", False):
        kept = list(range(len(statistics)))
    else:
        kept = [index for index, value in enumerate(statistics.tolist()) if not _is_nan(value)]
    flagged: list[int] = []
    if fitted.get("add_indicator", False):
        flagged = [int(index) for index in _record(fitted["indicator_"]).attributes["features_"]]
    dtype = np.dtype(fitted.get("_fill_dtype", fitted.get("_fit_dtype", statistics.dtype)))
    if dtype.kind in "iuf" and fitted.get("_fill_dtype") is None:  # before 1.8 fills were not rounded to that dtype
        dtype = np.dtype(np.float64) if statistics.dtype.kind == "O" else statistics.dtype
    floats = strategy not in ("most_frequent", "constant")
    fills: Array | tuple[object, ...]
    if dtype.kind in "iuf":
        fills = statistics[kept].astype(dtype)
        if not bool(np.isfinite(fills).all()):
            raise fitted.unsupported("a fill value that is not finite")
    else:
        fills = tuple(_plain(value, fitted, "fill value") for value in statistics[kept].tolist())
    return Impute(
        width=len(statistics),
        missing=_missing(fitted),
        kept=tuple(kept),
        fills=fills,
        floats=floats,
        flagged=tuple(flagged),
    )


def _missing(fitted: _Fitted) -> object:
    value = fitted["missing_values"]
    if value is None or _is_nan(value):
        return None if value is None else float("nan")
    if value is Missing.NA or type(value).__name__ == "NAType":
        return Missing.NA
    plain = _plain(value, fitted, "marker of missing values")
    return int(plain) if type(plain) is bool else plain


def _plain(value: object, fitted: _Fitted, what: str) -> object:
    plain = value.item() if isinstance(value, np.generic) else value
    if type(plain) not in (str, bool, int, float):
        raise fitted.unsupported(f"a {type(plain).__name__} for a {what}")
    return plain


def _identity(fitted: _Fitted) -> Step:
    if fitted["func"] is not None:
        raise fitted.unsupported("a function is code, which can't be kept as data")
    return Keep(width=int(fitted["n_features_in_"]))


def _pipeline(fitted: _Fitted) -> Step:
    steps = [
        _translate(step, f"{fitted.where}.{name}", fitted.depth + 1)
        for name, step in fitted["steps"]
        if step is not None and not (isinstance(step, str) and step == "passthrough")
    ]
    if not steps:
        raise fitted.unsupported("a pipeline without steps", hint="leave preprocessing out")
    return Chain.of(*steps)


def _columns(fitted: _Fitted) -> Step:
    places = fitted["_transformer_to_input_indices"]
    weights = fitted.get("transformer_weights") or {}
    branches: list[Branch] = []
    for name, step, _ in fitted["transformers_"]:
        columns = tuple(int(index) for index in places.get(name, ()))
        if not columns or (isinstance(step, str) and step == "drop"):
            continue
        if isinstance(step, str) and step == "passthrough":
            translated: Step = Keep(width=len(columns))
        else:
            translated = _translate(step, f"{fitted.where}.{name}", fitted.depth + 1)
        weight = weights.get(name)
        branches.append(Branch(columns=columns, step=translated, weight=1.0 if weight is None else float(weight)))
    if not branches:
        raise fitted.unsupported("a transformer of no columns", hint="leave preprocessing out")
    return Branches(width=int(fitted["n_features_in_"]), branches=tuple(branches))


def _is_nan(value: object) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


_PIPELINE = "sklearn.pipeline.Pipeline"
_TRANSLATORS: dict[str, Callable[[_Fitted], Step]] = {
    "sklearn.preprocessing._data.StandardScaler": _standard,
    "sklearn.preprocessing._data.MinMaxScaler": _min_max,
    "sklearn.preprocessing._data.RobustScaler": _robust,
    "sklearn.preprocessing._encoders.OneHotEncoder": _one_hot,
    "sklearn.preprocessing._encoders.OrdinalEncoder": _ordinal,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _identity,
    "sklearn.impute._base.SimpleImputer": _impute,
    "sklearn.compose._column_transformer.ColumnTransformer": _columns,
    _PIPELINE: _pipeline,
}
