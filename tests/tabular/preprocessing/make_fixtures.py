"""Make ``fixtures/scikit-VERSION.json``: fitted objects of a real scikit-learn, and what they give.

Run it by hand in an environment with scikit-learn and pandas, with ``src`` and ``tests`` on PYTHONPATH. The tests read
the files and need neither. It also holds the live objects against their translation, before they are taken down.
"""

from __future__ import annotations

import base64
import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from modelcrate.errors import ModelcrateError
from modelcrate.tabular.preprocessing import Block, from_scikit
from scikit_portable import dump

random = np.random.default_rng(20)
NUMBERS = random.normal(3, 7, (12, 3)).round(3)
MORE = random.normal(3, 11, (6, 3)).round(3)
HOLES = np.where(random.random((12, 3)) < 0.25, np.nan, NUMBERS)
HOLES[0] = [1.0, 2.0, 3.0]
MORE_HOLES = np.where(random.random((6, 3)) < 0.4, np.nan, MORE)
WORDS = random.choice(["red", "green", "blue", "grey"], (12, 2), p=[0.4, 0.3, 0.2, 0.1]).astype(object)
WORDS[0], WORDS[1] = ["red", "grey"], ["blue", "red"]
KNOWN = WORDS[[3, 0, 5, 1]]
STRANGE = np.array([["red", "pink"], ["violet", "grey"]], dtype=object)
GAPS = WORDS.copy()
GAPS[2, 0] = GAPS[7, 1] = np.nan
NONES = WORDS.copy()
NONES[4, 0] = NONES[5, 1] = None
CODES = random.integers(0, 4, (12, 2))
MORE_CODES = random.integers(0, 6, (6, 2))
CODE_GAPS = np.where(random.random((12, 2)) < 0.2, np.nan, CODES)
EMPTY = HOLES.copy()
EMPTY[:, 1] = np.nan


PICKLED = (
    "standard float32", "robust without scale", "min max float64",
    "one hot, unknown: infrequent_if_exist, drop first, rare",
    "one hot of floats with NaN", "ordinal, rare, missing and unknown", "impute with flags", "impute text",
    "columns, remainder scaled", "columns by slice and mask", "columns by dtype", "a chain of columns and a scaler",
)  # fmt: skip
"""The cases whose pickle is kept, for the reader of pickles."""


def frame(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": draw.integers(18, 80, rows),
            "income": draw.normal(5e4, 1e4, rows).round(2),
            "height": draw.normal(1.7, 0.1, rows).astype("float32"),
            "colour": draw.choice(["red", "green", "blue"], rows).astype(object),
            "city": draw.choice(["Oslo", "Bergen"], rows).astype(object),
            "id": draw.integers(0, 9, rows).astype("int8"),
        }
    )
    table.loc[1, "income"] = np.nan
    table.loc[2, "colour"] = np.nan
    return table


def cases() -> Iterator[tuple[str, Any, Any, list[Any]]]:
    """(name, unfitted object, what to fit it on, batches)."""
    for kind in ("float64", "float32", "float16", "int64"):
        fit, batches = NUMBERS.astype(kind), [NUMBERS.astype(kind), MORE.astype(kind)]
        yield f"standard {kind}", StandardScaler(), fit, batches
        yield f"robust {kind}", RobustScaler(unit_variance=True, quantile_range=(10, 80)), fit, batches
        yield f"min max {kind}", MinMaxScaler(feature_range=(-2, 3), clip=True), fit, batches
    yield "standard without mean", StandardScaler(with_mean=False), NUMBERS, [MORE]
    yield "standard without std", StandardScaler(with_std=False), NUMBERS, [MORE]
    yield "standard with neither", StandardScaler(with_mean=False, with_std=False), NUMBERS, [MORE]
    yield "standard of a constant column", StandardScaler(), np.hstack([NUMBERS, np.ones((12, 1))]), []
    yield "standard with holes", StandardScaler(), HOLES, [MORE_HOLES]
    yield "standard fitted on float32, given float64", StandardScaler(), NUMBERS.astype("float32"), [MORE]
    yield "robust without centre", RobustScaler(with_centering=False), NUMBERS, [MORE]
    yield "robust without scale", RobustScaler(with_scaling=False), NUMBERS, [MORE]
    yield "min max without clip, with holes", MinMaxScaler(), HOLES, [MORE_HOLES]

    for handling in ("error", "ignore", "infrequent_if_exist"):
        yield f"one hot, unknown: {handling}", OneHotEncoder(handle_unknown=handling), WORDS, [KNOWN, STRANGE]
        for drop in ("first", "if_binary"):
            options: dict[str, Any] = {"handle_unknown": handling, "drop": drop}
            yield f"one hot, unknown: {handling}, drop {drop}", OneHotEncoder(**options), WORDS, [KNOWN, STRANGE]
            yield (
                f"one hot, unknown: {handling}, drop {drop}, rare",
                OneHotEncoder(**options, min_frequency=4),
                WORDS,
                [WORDS, STRANGE],
            )
    yield "one hot, drop by name", OneHotEncoder(drop=["red", "grey"]), WORDS, [KNOWN]
    yield "one hot, two at most", OneHotEncoder(max_categories=2), WORDS, [WORDS]
    yield "one hot, rare by share", OneHotEncoder(min_frequency=0.2, handle_unknown="ignore"), WORDS, [WORDS, STRANGE]
    yield "one hot, all rare", OneHotEncoder(min_frequency=1000, handle_unknown="infrequent_if_exist"), WORDS, [STRANGE]
    yield "one hot, float32", OneHotEncoder(dtype=np.float32), WORDS, [KNOWN]
    yield "one hot of text with NaN", OneHotEncoder(), GAPS, [KNOWN, GAPS, NONES]
    yield "one hot of text with None", OneHotEncoder(), NONES, [NONES, GAPS]
    yield "one hot of integers", OneHotEncoder(handle_unknown="ignore"), CODES, [MORE_CODES, MORE_CODES.astype(float)]
    yield "one hot of floats with NaN", OneHotEncoder(handle_unknown="ignore"), CODE_GAPS, [CODE_GAPS, MORE_CODES]
    yield "one hot of booleans", OneHotEncoder(drop="if_binary"), CODES > 1, [MORE_CODES > 1]
    listed = [["red", "green", "blue", "grey", "x"]] * 2
    yield "one hot, given categories", OneHotEncoder(categories=listed), WORDS, [KNOWN, STRANGE]

    yield "ordinal", OrdinalEncoder(), WORDS, [KNOWN, STRANGE]
    code: dict[str, Any] = {"handle_unknown": "use_encoded_value"}
    yield "ordinal, unknown -1", OrdinalEncoder(**code, unknown_value=-1), WORDS, [KNOWN, STRANGE]
    yield "ordinal, unknown NaN", OrdinalEncoder(**code, unknown_value=np.nan), WORDS, [STRANGE]
    yield "ordinal int32", OrdinalEncoder(**code, unknown_value=-1, dtype=np.int32), WORDS, [KNOWN, STRANGE]
    yield "ordinal, missing NaN", OrdinalEncoder(), GAPS, [GAPS, NONES]
    yield "ordinal, missing -2", OrdinalEncoder(encoded_missing_value=-2), CODE_GAPS, [CODE_GAPS]
    rare: dict[str, Any] = {"min_frequency": 4, "encoded_missing_value": -2, "unknown_value": 99}
    yield "ordinal, rare, missing and unknown", OrdinalEncoder(**code, **rare), GAPS, [GAPS, STRANGE]

    for strategy in ("mean", "median", "most_frequent"):
        yield f"impute {strategy}", SimpleImputer(strategy=strategy), HOLES, [MORE_HOLES]
    yield "impute float32", SimpleImputer(), HOLES.astype("float32"), [MORE_HOLES.astype("float32"), MORE_HOLES]
    yield "impute constant", SimpleImputer(strategy="constant", fill_value=-1.5), HOLES, [MORE_HOLES]
    yield "impute zeros in integers", SimpleImputer(missing_values=0, strategy="most_frequent"), CODES, [MORE_CODES]
    yield "impute with flags", SimpleImputer(add_indicator=True), HOLES, [MORE_HOLES]
    yield "impute, empty column left out", SimpleImputer(), EMPTY, [MORE_HOLES]
    yield "impute, empty column kept", SimpleImputer(keep_empty_features=True), EMPTY, [MORE_HOLES]
    yield "impute text", SimpleImputer(strategy="most_frequent"), GAPS, [GAPS, NONES]
    yield (
        "impute None by a text",
        SimpleImputer(missing_values=None, strategy="constant", fill_value="?"),
        NONES,
        [NONES],
    )
    yield "impute a text by another", SimpleImputer(missing_values="grey", strategy="most_frequent"), WORDS, [WORDS]

    yield "function without function", FunctionTransformer(), NUMBERS, [MORE]
    train, test = frame(12, 1), frame(6, 2)
    numeric = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    words = Pipeline(
        [
            ("fill", SimpleImputer(strategy="constant", fill_value="none")),
            ("nothing", "passthrough"),
            ("encode", OneHotEncoder(handle_unknown="ignore", min_frequency=2)),
        ]
    )
    for remainder in ("drop", "passthrough", MinMaxScaler()):
        yield (
            f"columns, remainder {remainder if isinstance(remainder, str) else 'scaled'}",
            ColumnTransformer(
                [("numbers", numeric, ["income", "age"]), ("words", words, ["city", "colour"]), ("none", "drop", [])],
                remainder=remainder,
                transformer_weights={"numbers": 2.5},
                sparse_threshold=1.0,
            ),
            train,
            [train, test],
        )
    by_kind = [
        ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
        ("words", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ]
    yield "columns by dtype", ColumnTransformer(by_kind), train, [test]
    yield (
        "columns by slice and mask",
        ColumnTransformer(
            [
                ("a", StandardScaler(), slice(0, 2)),
                ("b", RobustScaler(), [False, True, True]),
                ("c", "passthrough", [-1]),
            ]
        ),
        NUMBERS,
        [MORE],
    )
    yield (
        "a chain of columns and a scaler",
        make_pipeline(
            ColumnTransformer(
                [("n", SimpleImputer(), ["income", "age"]), ("c", OneHotEncoder(sparse_output=False), ["city"])]
            ),
            StandardScaler(),
        ),
        train,
        [test],
    )
    yield (
        "a scaler on a frame of mixed dtypes",
        StandardScaler(),
        train[["age", "height", "id"]],
        [test[["age", "height", "id"]]],
    )


def block(batch: Any) -> Block:
    if isinstance(batch, np.ndarray):
        return Block.of_matrix(batch, [f"x{index}" for index in range(batch.shape[1])])
    return Block.of_columns([batch[name].to_numpy() for name in batch], [str(it) for it in batch], rows=len(batch))


def dumped(batch: Any) -> dict[str, Any]:
    if isinstance(batch, np.ndarray):
        return {"matrix": dump(batch)}
    return {"columns": [[str(name), dump(np.asarray(batch[name].to_numpy()))] for name in batch]}


def main() -> None:
    found = []
    for name, estimator, fit, batches in cases():
        estimator.fit(fit)
        step = from_scikit(estimator)
        runs = []
        for batch in batches or [fit]:
            try:
                wanted = estimator.transform(batch)
            except ValueError:
                runs.append({"batch": dumped(batch), "refused": True})
                try:
                    step.transform(block(batch))
                except ModelcrateError:
                    continue
                raise AssertionError(f"{name}: scikit-learn refuses a batch that its translation takes") from None
            wanted = np.asarray(wanted.toarray() if hasattr(wanted, "toarray") else wanted)
            given = step.transform(block(batch)).stacked()
            assert given.dtype == wanted.dtype, name
            np.testing.assert_array_equal(given, wanted, err_msg=name)
            runs.append({"batch": dumped(batch), "wanted": dump(wanted)})
        found.append({"name": name, "fitted": dump(estimator), "runs": runs})
        if name in PICKLED:
            found[-1]["pickle"] = base64.b64encode(pickle.dumps(estimator)).decode()
    path = Path(__file__).parent / "fixtures" / f"scikit-{sklearn.__version__}.json"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in found)
    path.write_text(f'{{"version": "{sklearn.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
