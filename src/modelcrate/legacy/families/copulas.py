"""Distributions of the copulas package, 0.3 to 0.14, in the words of our documents.

Only names are translated. A kernel estimate is made of its whole training column, which a crate does not hold: what is
left of it are some of its quantiles, never more than one for four training rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.families.known import refuse_unknown, told_of_column, unboxed
from modelcrate.legacy.view import View

if TYPE_CHECKING:
    import numpy as np

Document: TypeAlias = "dict[str, Any]"

_UNIVARIATE: Final = "copulas.univariate"
MULTIVARIATE: Final = "copulas.multivariate.gaussian.GaussianMultivariate"
_CHOSEN: Final = f"{_UNIVARIATE}.base.Univariate"
_KERNEL: Final = f"{_UNIVARIATE}.gaussian_kde.GaussianKDE"
_FAMILIES: Final = {
    f"{_UNIVARIATE}.gaussian.GaussianUnivariate": ("normal", {"loc": "loc", "scale": "scale"}),
    f"{_UNIVARIATE}.gamma.GammaUnivariate": ("gamma", {"shape": "a", "loc": "loc", "scale": "scale"}),
    f"{_UNIVARIATE}.beta.BetaUnivariate": ("beta", {"a": "a", "b": "b", "loc": "loc", "scale": "scale"}),
    f"{_UNIVARIATE}.student_t.StudentTUnivariate": ("student_t", {"freedom": "df", "loc": "loc", "scale": "scale"}),
    f"{_UNIVARIATE}.truncated_gaussian.TruncatedGaussian": (
        "truncated_normal",
        {"low": "a", "high": "b", "loc": "loc", "scale": "scale"},
    ),
    f"{_UNIVARIATE}.log_laplace.LogLaplace": ("log_laplace", {"shape": "c", "loc": "loc", "scale": "scale"}),
    f"{_UNIVARIATE}.uniform.UniformUnivariate": ("uniform", {"loc": "loc", "scale": "scale"}),
}
_ARGUMENTS: Final = ("__args__", "__kwargs__", "random_state", "fitted")
_FITTED: Final = (
    *_ARGUMENTS, "_params", "_constant_value", "min", "max",
    "cumulative_distribution", "percent_point", "probability_density", "sample",
)  # fmt: skip
"""The last four are the object's own methods, exchanged where the column has one value."""
_ESTIMATE: Final = frozenset(
    {
        "dataset", "d", "n", "_weights", "_neff", "covariance_factor", "factor", "_data_covariance", "_data_cho_cov",
        "_data_inv_cov", "covariance", "cho_cov", "inv_cov", "log_det", "_norm_factor", "_bw_method", "bw_method",
    }
)  # fmt: skip
_ROWS_PER_LEVEL: Final = 4
_LEVELS: Final = 255
_CHUNK: Final = 1 << 22
"""Kernels times levels that are evaluated at once; 32 MiB."""
_HALVINGS: Final = 60
_KERNELS: Final = 2048
"""Of more training rows, neighbours share a kernel."""
_WIDEST: Final = 5.0
"""Scores reach so far to either side; the original's end at 5.2."""


def distribution(view: View) -> Document:
    """The document of one fitted distribution (``tabular.distribution``).

    Raises FormatError for what contradicts itself, UnsupportedError for another class or a distribution that was not
    fitted, both with the attribute's path.
    """
    if view.class_name == _CHOSEN:
        chosen = view.attributes(_CHOSEN)
        refuse_unknown(
            chosen, (*_ARGUMENTS, "candidates", "parametric", "bounded", "selection_sample_size", "_instance")
        )
        if "_instance" not in chosen or chosen["_instance"].is_none() or chosen["_instance"].class_name == _CHOSEN:
            raise UnsupportedError("a distribution that was not fitted", where=view.path)
        return distribution(chosen["_instance"])
    name = view.class_name or ""
    if name not in (*_FAMILIES, _KERNEL):
        raise UnsupportedError(f"a distribution of class {name or view.describe()}", where=view.path)
    fitted = view.attributes(name)
    refuse_unknown(fitted, (*_FITTED, *(("_sample_size", "bw_method", "weights", "_model") if name == _KERNEL else ())))
    if "_params" not in fitted or fitted["_params"].is_none():
        raise UnsupportedError("a distribution that was not fitted", where=view.path)
    constant = fitted.get("_constant_value")
    if constant is not None and not constant.is_none():
        value = unboxed(constant.value())
        unknown = isinstance(value, float) and math.isnan(value)  # no cell of the column was known
        return {"type": "constant", "value": None if unknown else _finite(constant)}
    if name == _KERNEL:
        return _quantiles(fitted)
    kind, names = _FAMILIES[name]
    given = fitted["_params"].mapping()
    if set(given) != set(names.values()):
        raise FormatError(f"expected the parameters {', '.join(names.values())}", where=fitted["_params"].path)
    from modelcrate.tabular.copula.distribution import wrong_parameter

    parameters = {ours: given[theirs].number() for ours, theirs in names.items()}
    if wrong_parameter(kind, parameters) is not None:
        return {"type": "constant", "value": None}  # the fit came to nothing: the original's values are all missing
    return {"type": kind, **{ours: given[theirs].finite() for ours, theirs in names.items()}}


def joint(view: View) -> Document:
    """The state of a ``tabular.joint/1`` from a fitted multivariate Gaussian. Raises as :func:`distribution`."""
    import numpy as np

    view = view.attributes(MULTIVARIATE)
    refuse_unknown(view, (*_ARGUMENTS, "distribution", "columns", "univariates", "covariance", "correlation"))
    if "columns" not in view or view["columns"].is_none():
        raise UnsupportedError("a copula that was not fitted", where=view.path)
    names = [item.text() for item in view["columns"].items()]
    fitted = view["univariates"].items()
    distributions: list[Document] = []
    for name, item in zip(names, fitted, strict=False):
        with told_of_column(name):
            distributions.append(distribution(item))
    if len(fitted) != len(names):
        raise FormatError("needs one distribution for each column", where=view["univariates"].path)
    given = view["correlation"] if "correlation" in view else view["covariance"]
    frame = given.frame()
    if [label for label, _ in frame.columns] != names or frame.index.labels() != names or not names:
        raise FormatError("the correlations are not those of the columns", where=given.path)
    columns = [
        values for _, values in frame.columns if isinstance(values, np.ndarray) and values.dtype == np.dtype(np.float64)
    ]
    if len(columns) != len(names):
        raise FormatError("correlations that are no float64", where=given.path)
    correlation = np.stack(columns, axis=1)
    return {
        "columns": [
            {"name": name, "distribution": document} for name, document in zip(names, distributions, strict=True)
        ],
        "correlation": np.ascontiguousarray(correlation),
    }


def summarised(columns: Iterable[Document]) -> list[str]:
    """The names of columns whose distribution is kept as quantiles; of a joint distribution or of a table.

    A column between two encodings goes by the name that it has in the table.
    """
    known = list(columns)
    outer: dict[str, str] = {output: column["name"] for column in known for output in column.get("outputs", ())}
    return [
        outer.get(str(column["name"]), str(column["name"]))
        for column in known
        if (column.get("distribution") or column["encoding"].get("distribution") or {}).get("type") == "quantiles"
    ]


def _finite(view: View) -> float:
    value = unboxed(view.value())
    return float(value) if isinstance(value, bool) else view.finite()


def _floats(view: View) -> np.ndarray:
    """An array of numbers as float64."""
    found = view.array()
    if found.dtype.kind not in "iuf":
        raise FormatError(f"expected numbers, found {found.dtype}", where=view.path)
    return found.astype("float64")


def _quantiles(view: View) -> Document:
    """Quantiles of a kernel estimate, a quarter as many as it has kernels at most."""
    import numpy as np

    given = view["_params"].mapping()
    if set(given) != {"dataset"}:
        raise FormatError("expected the parameter dataset", where=view["_params"].path)
    if "_model" not in view:
        raise UnsupportedError("a kernel estimate that was not fitted", where=view.path)
    estimate = view["_model"].attributes("scipy.stats._kde.gaussian_kde", "scipy.stats.kde.gaussian_kde")
    refuse_unknown(estimate, _ESTIMATE)
    centres = _floats(estimate["dataset"])
    spread = _floats(estimate["covariance"])
    weights = np.full(centres.size, 1.0 / max(centres.size, 1))
    if "_weights" in estimate and not estimate["_weights"].is_none():
        weights = _floats(estimate["_weights"])
    usual = (
        centres.ndim == 2 and centres.shape[0] == 1 and spread.shape == (1, 1) and weights.shape == centres.shape[1:]
    )
    numbers = usual and all(bool(np.isfinite(array).all()) for array in (centres, spread, weights))
    if not numbers or not spread[0, 0] > 0.0 or not bool((weights >= 0.0).all()):
        raise FormatError("a kernel estimate that contradicts itself", where=estimate.path)
    levels = min(_LEVELS, centres.size // _ROWS_PER_LEVEL)
    if levels < 2:
        what = "a kernel estimate of so few training rows that its quantiles would be the rows"
        raise UnsupportedError(what, where=view.path)
    scores, values = _levels(centres[0], weights / weights.sum(), math.sqrt(spread[0, 0]), levels)
    return {"type": "quantiles", "scores": scores, "values": values}


def _levels(centres: np.ndarray, weights: np.ndarray, spread: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the values at which a mixture of normal kernels reaches them.

    They are as far apart as the curve of values over scores is long between them, so that gaps between modes get some.
    """
    import numpy as np

    if centres.size > _KERNELS:
        order = np.argsort(centres)
        parts = np.array_split(order, _KERNELS)
        shares = np.array([weights[part].sum() for part in parts])
        centres = np.array([centres[part].mean() for part in parts])
        weights = shares
    even = np.linspace(-_WIDEST, _WIDEST, _LEVELS // 2)
    found = _reached(even, centres, weights, spread, halvings=_HALVINGS // 3)
    lengths = np.diff(even) / (even[-1] - even[0]) + np.diff(found) / (found[-1] - found[0])
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    scores = np.interp(np.linspace(0.0, along[-1], levels), along, even)
    return scores, _reached(scores, centres, weights, spread, halvings=_HALVINGS)


def _reached(
    scores: np.ndarray, centres: np.ndarray, weights: np.ndarray, spread: float, *, halvings: int
) -> np.ndarray:
    """The values at which the mixture has the chances of rising standard normal scores, by halving."""
    import numpy as np
    import torch

    wanted = torch.special.ndtr(torch.from_numpy(scores)).numpy()
    low = np.full(len(scores), centres.min() - 10.0 * spread)
    high = np.full(len(scores), centres.max() + 10.0 * spread)
    step = max(1, _CHUNK // len(scores))
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        chances = np.zeros(len(scores))
        for start in range(0, centres.size, step):
            part = torch.from_numpy((middle[:, None] - centres[None, start : start + step]) / spread)
            chances += torch.special.ndtr(part).numpy() @ weights[start : start + step]
        below = chances < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found: np.ndarray = np.maximum.accumulate(0.5 * (low + high))
    return found
