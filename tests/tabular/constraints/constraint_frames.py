"""Reads the frames of ``fixtures/*.json``, as ``fixtures/make.py`` describes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from modelcrate.format.values import Missing

FIXTURES = Path(__file__).parent / "fixtures"
RESOLUTIONS = {"%Y-%m-%d": "day", "%Y-%m-%d %H:%M:%S": "second", None: None}
RELATIONS = {"greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<="}


def cases(name):
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def all_cases():
    return [(path.stem, case) for path in sorted(FIXTURES.glob("*.json")) for case in cases(path.stem)]


def frame(described):
    index = described.get("index")
    columns = {name: pd.Series(column(dtype, cells), dtype=dtype) for name, dtype, cells in described["columns"]}
    table = pd.DataFrame(columns)
    return table if index is None else table.set_axis(pd.Index(index), axis=0)


def column(dtype, cells):
    if dtype.startswith("float"):
        return np.array([float.fromhex(text) for text in cells], dtype=dtype)
    if dtype.startswith("datetime"):
        return np.array([np.iinfo("int64").min if cell is None else cell for cell in cells], dtype="int64").view(dtype)
    if dtype != "object":
        return np.array(cells, dtype=dtype)
    values = np.empty(len(cells), dtype=object)
    values[:] = [boxed(cell) for cell in cells]
    return values


def boxed(cell):
    if not isinstance(cell, dict):
        return cell
    if "float" in cell:
        return float.fromhex(cell["float"])
    return pd.NaT if cell["datetime"] is None else pd.Timestamp(cell["datetime"])


def value(described):
    """An attribute of a fitted constraint, as a value of a document."""
    if not isinstance(described, dict):
        return described
    if "float" in described:
        return float.fromhex(described["float"])
    return Missing.NAT if described["datetime"] is None else np.datetime64(described["datetime"], "ns")


def document(name, case):
    """The constraint of a case in the vocabulary of the format, from what the original holds after its fit."""
    fitted = case["fitted"]
    get = fitted.get
    if name == "inequality":
        return {
            "type": "inequality",
            "low": get("_low_column_name"),
            "high": get("_high_column_name"),
            "difference": get("_diff_column_name"),
            "strict": get("_operator") == "greater",
            "dtype": get("_dtype"),
        }
    if name == "scalar_inequality":
        return {
            "type": "scalar_inequality",
            "column": get("_column_name"),
            "relation": RELATIONS[get("_operator")],
            "value": value(get("_value")),
            "difference": get("_diff_column_name"),
            "dtype": get("_dtype"),
            "resolution": RESOLUTIONS[get("_datetime_format")],
        }
    if name == "signs":
        return {
            "type": "positive" if get("_operator").startswith("greater") else "negative",
            "column": get("_column_name"),
            "strict": not get("_operator").endswith("equal"),
            "difference": get("_diff_column_name"),
            "dtype": get("_dtype"),
        }
    if name == "range":
        return {
            "type": "range",
            "low": get("low_column_name"),
            "middle": get("middle_column_name"),
            "high": get("high_column_name"),
            "scaled": get("_transformed_column"),
            "strict": get("strict_boundaries"),
            "dtype": get("_dtype"),
        }
    if name == "scalar_range":
        return {
            "type": "scalar_range",
            "column": get("_column_name"),
            "low": value(get("_low_value")),
            "high": value(get("_high_value")),
            "scaled": get("_transformed_column"),
            "strict": get("_operator") == "lt",
            "dtype": get("_dtype"),
            "resolution": RESOLUTIONS[get("_datetime_format")],
        }
    if name == "fixed_increments":
        return {
            "type": "fixed_increments",
            "column": get("column_name"),
            "increment": int(value(get("increment_value"))),
            "dtype": get("_dtype"),
        }
    if name == "one_hot":
        return {"type": "one_hot", "columns": get("_column_names")}
    if name == "unique":
        return {"type": "unique", "columns": get("column_names")}
    return {
        "type": "fixed_combinations",
        "columns": get("_columns"),
        "joint": get("_joint_column"),
        "labels": [label for label, _ in get("_uuids_to_combinations")],
        "combinations": [[value(cell) for cell in row] for _, row in get("_uuids_to_combinations")],
    }
