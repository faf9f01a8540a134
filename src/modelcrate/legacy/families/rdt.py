"""Column transformers of rdt 1.2 and of gretel-synthetics in the words of our documents.

Only names are translated: what a ``FloatFormatter`` called ``_rounding_digits`` is what our number column calls
``digits``. What the encodings do is in :mod:`modelcrate.tabular.columns`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.copulas import distribution
from modelcrate.legacy.families.known import cell, cells, refuse_unknown, trained_dtype, unboxed
from modelcrate.legacy.values.setorder import set_order
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

_RDT: Final = "rdt.transformers"
FLOAT: Final = f"{_RDT}.numerical.FloatFormatter"
CLUSTER: Final = (
    f"{_RDT}.numerical.ClusterBasedNormalizer",
    "gretel_synthetics.actgan.transformers.ClusterBasedNormalizer",
)
ONE_HOT: Final = f"{_RDT}.categorical.OneHotEncoder"
_ZONED: Final = "pandas.core.dtypes.dtypes.DatetimeTZDtype"
OLD_ONE_HOT: Final = f"{_RDT}.categorical.OneHotEncodingTransformer"
MIXTURE: Final = (
    "sklearn.mixture._bayesian_mixture.BayesianGaussianMixture",
    "sklearn.mixture.bayesian_mixture.BayesianGaussianMixture",
)
BINARY: Final = (
    "gretel_synthetics.actgan.transformers.BinaryEncodingTransformer",
    "gretel_synthetics.actgan.data_transformer.BinaryEncodingTransformer",
)
_BASE: Final = ("columns", "column_prefix", "output_columns", "output_properties", "random_states", "random_seed")
_NULLS: Final = (
    "missing_value_replacement", "model_missing_values", "missing_value_generation", "null_transformer",
)  # fmt: skip
_FLOAT_NAMES: Final = (
    *_BASE,
    *_NULLS,
    "learn_rounding_scheme",
    "enforce_min_max_values",
    "computer_representation",
    "_dtype",
    "_min_value",
    "_max_value",
    "_rounding_digits",
)
_CLUSTER_NAMES: Final = (
    *_FLOAT_NAMES, "max_clusters", "weight_threshold", "_bgm_transformer", "valid_component_indicator",
)  # fmt: skip
INTEGER_BOUNDS: Final = {
    f"{sign}Int{bits}": ((0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}
_MIXTURE: Final = frozenset(
    {
        "n_components", "tol", "reg_covar", "max_iter", "n_init", "init_params", "random_state", "warm_start",
        "verbose", "verbose_interval", "covariance_type", "weight_concentration_prior_type",
        "weight_concentration_prior", "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior",
        "covariance_prior", "n_features_in_", "feature_names_in_", "weight_concentration_prior_",
        "mean_precision_prior_", "mean_prior_", "degrees_of_freedom_prior_", "covariance_prior_", "converged_",
        "weight_concentration_", "mean_precision_", "means_", "degrees_of_freedom_", "covariances_",
        "precisions_cholesky_", "weights_", "precisions_", "n_iter_", "lower_bound_", "lower_bounds_",
        "_sklearn_version",
    }
)  # fmt: skip


def translate_column(view: View) -> Document:
    """The encoding of one column of the original table. Raises FormatError, and UnsupportedError for another class."""
    name = view.class_name
    translator = _TRANSLATORS.get(name or "")
    if name is None or translator is None:
        raise UnsupportedError(f"a column transformer of class {name or view.describe()}", where=view.path)
    return translator(view.attributes(name))


def names_of(view: View) -> tuple[str, list[str]]:
    """The column that a fitted transformer reads, and those that it makes."""
    columns = [item.text() for item in view["columns"].items()]
    if len(columns) != 1:
        raise UnsupportedError("a transformer of several columns", where=view["columns"].path)
    return columns[0], [item.text() for item in view["output_columns"].items()]


def modes(view: View, *, unflagged: bool = False) -> Document:
    """A cluster-based normaliser as mode-specific normalisation.

    ``unflagged``: a flag for missing cells that the model never learned is left out, and no cell is missing then.
    """
    view = view.attributes(*CLUSTER)
    refuse_unknown(view, _CLUSTER_NAMES)
    number = _number(view)
    if number["missing"] is not None and unflagged and number["missing"]["flagged"]:
        number["missing"] = None
    if number["missing"] is not None and (number["missing"]["flagged"] or number["missing"]["seen"]):
        raise UnsupportedError("a normalised column with missing values of its own", where=view.path)
    return mixture_modes(view["_bgm_transformer"], view["valid_component_indicator"], number)


def mixture_modes(view: View, valid: View, number: Document) -> Document:
    """A variational mixture, and which of its components are used, as mode-specific normalisation."""
    import numpy as np

    mixture = view.attributes(*MIXTURE)
    refuse_unknown(mixture, _MIXTURE)
    if mixture["covariance_type"].text() != "full":
        raise UnsupportedError("a mixture without full covariances", where=mixture["covariance_type"].path)
    means = _column(mixture["means_"])
    count = len(means)
    used = valid.array()
    if used.dtype != np.dtype(bool) or used.shape != (count,):
        raise FormatError("expected one truth value per mode", where=valid.path)
    covariances = _column(mixture["covariances_"], count)
    if not bool((covariances > 0.0).all()):
        raise FormatError("a mode without spread", where=mixture["covariances_"].path)
    return {
        "type": "mode_specific",
        "means": means,
        "deviations": np.sqrt(covariances),
        "used": np.ascontiguousarray(used),
        "scales": _column(mixture["precisions_cholesky_"], count),
        "offsets": _log_offsets(mixture, count),
        "number": number,
    }


def _column(view: View, count: int | None = None) -> Any:
    import numpy as np

    array = view.array()
    if array.dtype != np.dtype(np.float64) or not 1 <= array.ndim <= 3 or array.size != array.shape[0]:
        raise FormatError("expected one float64 per mode", where=view.path)
    if count is not None and array.size != count:
        raise FormatError(f"expected {count} modes, found {array.size}", where=view.path)
    if not bool(np.isfinite(array).all()):
        raise FormatError("a mode that is not finite", where=view.path)
    return np.array(array.reshape(-1), dtype=np.float64)


def _log_offsets(mixture: View, count: int) -> Any:
    """The part of each mode's expected log density that does not depend on x (Bishop, 10.64 to 10.67, 10.71)."""
    import numpy as np

    freedom = _column(mixture["degrees_of_freedom_"], count)
    precision = _column(mixture["mean_precision_"], count)
    concentration = mixture["weight_concentration_"]
    kind = mixture["weight_concentration_prior_type"].text()
    if not bool((freedom > 0.0).all()) or not bool((precision > 0.0).all()):
        raise FormatError("a mode without weight", where=mixture.path)
    if kind == "dirichlet_process":
        first, second = (_column(part, count) for part in concentration.items())
        total = _digamma(first + second)
        weights = _digamma(first) - total + np.hstack((0.0, np.cumsum(_digamma(second) - total)[:-1]))
    elif kind == "dirichlet_distribution":
        share = _column(concentration, count)
        weights = _digamma(share) - _digamma(np.array([share.sum()]))
    else:
        raise UnsupportedError(f"a mixture with weights of kind {kind!r}", where=mixture.path)
    spread = math.log(2.0) + _digamma(0.5 * freedom)
    scales = np.log(_column(mixture["precisions_cholesky_"], count))
    return weights + scales - 0.5 * np.log(freedom) + 0.5 * (spread - 1.0 / precision)


def _digamma(values: Any) -> Any:
    """The derivative of log gamma for positive numbers: recurrence up to 10, then the series of DLMF 5.11.2."""
    import numpy as np

    if not bool((values > 0.0).all()):
        raise FormatError("a mixture's concentration is not positive")
    x = np.array(values, dtype=np.float64)
    found = np.zeros_like(x)
    while bool((small := x < 10.0).any()):
        found[small] -= 1.0 / x[small]
        x[small] += 1.0
    y = 1.0 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return found + np.log(x) - 0.5 / x - series


def one_hot(view: View) -> Document:
    """A one-hot encoder."""
    view = view.attributes(ONE_HOT, OLD_ONE_HOT)
    refuse_unknown(
        view,
        (
            *_BASE, "dummies", "_dummy_na", "_num_dummies", "_dummy_encoded", "_indexer", "_uniques", "dtype",
            "error_on_unknown", "dummy_na", "missing_value_generation",
        ),
    )  # fmt: skip
    categories = [cell(item) for item in view["dummies"].items()]
    found: Document = {"type": "one_hot", "categories": categories}
    dtype = view.get("dtype")
    # Later releases cast to it. With other dtypes, and for text, the values of any rows have that dtype by themselves;
    # pandas' own dtypes come to NumPy's before rows are made.
    known = dtype is not None and dtype.callee == "numpy.dtype"
    if dtype is not None and known and dtype.dtype().kind == "O" and not all(isinstance(c, str) for c in categories):
        found["dtype"] = "object"
    return found


def binary(view: View) -> Document:
    """A binary encoder of gretel-synthetics, with the ordinal encoder of category_encoders inside."""
    view = view.attributes(*BINARY)
    refuse_unknown(
        view,
        (*_BASE, "handle_rounding_nan", "_mode_values", "encoder", "_nan_proxy", "dummies", "_dummy_na"),
    )
    outer = view["encoder"].attributes("category_encoders.binary.BinaryEncoder")
    inner = (outer["base_n_encoder"] if "base_n_encoder" in outer else view["encoder"]).attributes(
        "category_encoders.basen.BaseNEncoder", "category_encoders.binary.BinaryEncoder"
    )
    if inner["base"].integer() != 2 or inner["drop_invariant"].boolean():
        raise UnsupportedError("a binary encoder with unusual settings", where=inner.path)
    ordinal = inner["ordinal_encoder"].attributes("category_encoders.ordinal.OrdinalEncoder")
    mappings = ordinal["mapping"].items()
    if not mappings and len(view["dummies"].items()) == 1:
        # The encoder looks for columns of objects: one of whole numbers or truth values went into the matrix as it was,
        # and comes out of it as 0 or 1.
        return {"type": "binary", "dtype": "int64", "digits": 1, "categories": [1], "fallbacks": [0]}
    if len(mappings) != 1:
        raise FormatError("an encoder of one column with several mappings", where=ordinal["mapping"].path)
    mapping = mappings[0].mapping()
    series = mapping["mapping"].series()
    where = mapping["mapping"].path
    numbers = [int(number) for number in series.values.tolist() if isinstance(number, (int, float))]
    labels = cells(series.index.labels(), where)
    if len(numbers) != len(labels):
        raise FormatError("a category without a number", where=where)
    pairs = [(number, label) for number, label in zip(numbers, labels, strict=True) if number > 0]
    if [number for number, _ in pairs] != list(range(1, len(pairs) + 1)):
        raise UnsupportedError("categories that are not numbered in order", where=where)
    proxy = view["_nan_proxy"]
    missing = None if proxy.is_none() else proxy.text()
    handler = view["handle_rounding_nan"]
    # of several modes the original draws one by its place in a set
    fallbacks = [] if handler.is_none() else set_order([cell(item) for item in view["_mode_values"].items()])
    if not handler.is_none() and handler.text() != "mode":
        raise UnsupportedError(f"an unknown handler of missing values {handler.text()!r}", where=handler.path)
    return {
        "type": "binary",
        "dtype": trained_dtype(mapping["data_type"]),
        "digits": len(view["dummies"].items()),
        "categories": [
            math.nan if missing is not None and type(label) is str and label == missing else label for _, label in pairs
        ],
        "fallbacks": fallbacks,
    }


def _number(view: View) -> Document:
    given = view.get("computer_representation")
    representation = "Float" if given is None else given.text()  # rdt has it since 1.2
    minimum, maximum = (bound_of(view.get(name)) for name in ("_min_value", "_max_value"))
    if not view["enforce_min_max_values"].boolean():
        if representation != "Float" and representation not in INTEGER_BOUNDS:
            raise UnsupportedError(f"numbers represented as {representation!r}", where=view.path)
        minimum, maximum = INTEGER_BOUNDS.get(representation, (None, None))
    given = view.get("_rounding_digits")
    digits = None if given is None or given.is_none() else given.integer()
    dtype = trained_dtype(view["_dtype"])
    if digits is None and dtype.startswith("uint") and "missing_value_generation" in view:
        digits = 0  # these releases round all integers, earlier ones the signed ones only
    return {
        "type": "number",
        "dtype": dtype,
        "minimum": minimum,
        "maximum": maximum,
        "digits": digits,
        "learns_digits": view["learn_rounding_scheme"].boolean(),
        "missing": missing_of(view),
    }


def bound_of(view: View | None) -> int | float | None:
    """The smallest or the largest value; None where there is none."""
    if view is None or view.is_none():
        return None
    value = unboxed(view.value())
    if isinstance(value, bool):
        return int(value)
    return value if type(value) is int or type(value) is float else view.number()


def missing_of(view: View, *, by_flag_alone: bool = False) -> Document | None:
    """How missing cells come back. ``by_flag_alone``: dates handle them whenever they are modelled, even unfilled."""
    handler = view.get("null_transformer")
    if handler is None or handler.is_none():
        raise FormatError("a transformer that was not fitted", where=view.path)
    handler = handler.attributes("rdt.transformers.null.NullTransformer")
    if "_missing_value_generation" in handler:
        return _generated(handler)
    refuse_unknown(handler, ("nulls", "_model_missing_values", "_missing_value_replacement", "_null_percentage"))
    flagged = handler["_model_missing_values"].boolean()
    applies = not view["missing_value_replacement"].is_none()
    if not applies and not (by_flag_alone and view["model_missing_values"].boolean()):
        if flagged:
            raise UnsupportedError("missing values that are modelled but not filled", where=view.path)
        return None
    share = handler.get("_null_percentage")
    return {
        "fill": fill_of(handler["_missing_value_replacement"]),
        "flagged": flagged,
        "seen": handler["nulls"].boolean(),
        "share": 0.0 if flagged or share is None or share.is_none() else share.finite(),
    }


def _generated(handler: View) -> Document | None:
    """As rdt from 1.3 says it: by a column of flags, at random, or not at all."""
    refuse_unknown(
        handler,
        (
            "nulls", "_missing_value_generation", "_missing_value_replacement", "_null_percentage", "_min_value",
            "_max_value",
        ),
    )  # fmt: skip
    way = handler["_missing_value_generation"]
    if way.is_none():
        return None
    if way.text() not in ("from_column", "random"):
        raise UnsupportedError(f"missing values made by {way.text()!r}", where=way.path)
    flagged = way.text() == "from_column"
    replacement = handler["_missing_value_replacement"]
    share = handler.get("_null_percentage")
    return {
        "fill": None if type(replacement.node) is str else fill_of(replacement),
        "flagged": flagged,
        "seen": handler["nulls"].boolean(),
        "share": 0.0 if flagged or share is None or share.is_none() else share.finite(),
    }


def fill_of(view: View) -> float | None:
    """What stood in for missing cells; nothing could where no cell of the column was known, or one was infinite."""
    if view.is_none():
        return None
    value = unboxed(view.value())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if isinstance(value, bool) else view.finite()


def _float(view: View) -> Document:
    refuse_unknown(view, _FLOAT_NAMES)
    return _number(view)


def _normal_score(view: View) -> Document:
    refuse_unknown(view, (*_FLOAT_NAMES, "distribution", "_distributions", "_distribution", "_univariate"))
    return {"type": "normal_score", "distribution": distribution(view["_univariate"]), "number": _number(view)}


def _clusters(view: View) -> Document:
    refuse_unknown(view, _CLUSTER_NAMES)
    number = _number(view)
    found = mixture_modes(view["_bgm_transformer"], view["valid_component_indicator"], {**number, "missing": None})
    return {"type": "clusters", "modes": found, "missing": number["missing"]}


def _flag(view: View) -> Document:
    refuse_unknown(view, (*_BASE, *_NULLS))
    return {"type": "flag", "missing": missing_of(view)}


def _timestamp(view: View) -> Document:
    refuse_unknown(view, (*_BASE, *_NULLS, "datetime_format", "_dtype", "divider"))
    pattern = view["datetime_format"]
    kind = trained_dtype(view["_dtype"])
    divider = view.get("divider")
    # only texts, and dates without a zone, are written out in the format
    written = not pattern.is_none() and view["_dtype"].class_name != _ZONED
    return {
        "type": "timestamp",
        "format": pattern.text() if written else None,
        "text": kind == "object",
        "unit": 1 if divider is None or divider.is_none() else divider.integer(),
        "missing": missing_of(view, by_flag_alone=True),
    }


def frequency(view: View, *names: str) -> Document:
    """A frequency encoder; ``names`` are attributes of later releases that sampling does not need."""
    import numpy as np

    refuse_unknown(view, (*_BASE, "add_noise", "mapping", "intervals", "starts", "means", "dtype", *names))
    categories: list[object] = []
    rows: list[list[float]] = []
    for key, interval in view["intervals"].pairs():
        categories.append(cell(key))
        rows.append([number.finite() for number in interval.items()])
        if len(rows[-1]) != 4:
            raise FormatError("expected start, end, mean and deviation", where=interval.path)
    order = sorted(range(len(rows)), key=lambda row: rows[row][0])
    table = np.array([rows[row] for row in order], dtype=np.float64).reshape(len(rows), 4)
    starts, ends, means, deviations = (np.ascontiguousarray(table[:, column]) for column in range(4))
    return {
        "type": "frequency",
        "dtype": trained_dtype(view["dtype"]),
        "categories": [categories[row] for row in order],
        "starts": starts,
        "ends": ends,
        "means": means,
        "deviations": deviations,
        "noise": view["add_noise"].boolean(),
    }


def _label(view: View) -> Document:
    refuse_unknown(view, (*_BASE, "add_noise", "order_by", "order", "values_to_categories", "categories_to_values"))
    found = view["values_to_categories"].pairs()
    if [code.integer() for code, _ in found] != list(range(len(found))):
        raise UnsupportedError("labels that are not 0, 1, 2 and so on", where=view["values_to_categories"].path)
    return {
        "type": "label",
        "categories": [cell(category) for _, category in found],
        "noise": view["add_noise"].boolean(),
    }


def _empty(view: View) -> Document:
    refuse_unknown(view, (*_BASE, "replacement_value"))
    return {"type": "empty", "fill": view["replacement_value"].finite()}


_TRANSLATORS: Final[dict[str, Callable[[View], Document]]] = {
    FLOAT: _float,
    f"{_RDT}.numerical.GaussianNormalizer": _normal_score,
    CLUSTER[0]: _clusters,
    ONE_HOT: one_hot,
    f"{_RDT}.boolean.BinaryEncoder": _flag,
    f"{_RDT}.categorical.FrequencyEncoder": frequency,
    f"{_RDT}.categorical.LabelEncoder": _label,
    f"{_RDT}.categorical.CustomLabelEncoder": _label,
    f"{_RDT}.datetime.UnixTimestampEncoder": _timestamp,
    f"{_RDT}.datetime.OptimizedTimestampEncoder": _timestamp,
    "gretel_synthetics.detectors.sdv.EmptyFieldTransformer": _empty,
}
