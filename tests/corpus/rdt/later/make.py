"""Makes ``later_*.tar.xz``: column transformers of rdt 1.22, of 2.0 and of some earlier releases, and what they give.

python tests/corpus/rdt/later/make.py TARGET        # in an environment with that rdt, PYTHONHASHSEED=0
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import pickle
import random
import sys
import tarfile
import warnings
import zlib
from pathlib import Path

import cloudpickle
import faker
import numpy as np
import pandas as pd
import rdt
from rdt import HyperTransformer, transformers

warnings.simplefilter("ignore")
MAJOR, MINOR = (int(part) for part in rdt.__version__.split(".")[:2])
OLD = MAJOR == 1
EARLY = MAJOR == 1 and MINOR < 22
N = 60
INPUTS = (9, 40)
TAKES = (5, 40, 13, 30)
R = random.Random(5)
RNG = np.random.default_rng(11)


class Known:
    """The transformers of the installed release; one that it lacks, or that lacks an argument, is None."""

    def __getattr__(self, name):
        kind = getattr(transformers, name, None)

        def make(*args, **kwargs):
            try:
                return None if kind is None else kind(*args, **kwargs)
            except TypeError:
                return None

        return make


t = Known()


def pick(values, size=N):
    return [values[R.randrange(len(values))] for _ in range(size)]


def holed(values, gap=None, every=7):
    return [gap if row % every == 3 else value for row, value in enumerate(values)]


def ints(low, high):
    return [R.randint(low, high) for _ in range(N)]


NUMBERS: dict = {}
for bits in (8, 16, 32, 64):
    top = 2 ** (bits - 1) - 1
    reach = min(top, 10**15)
    NUMBERS[f"int{bits}"] = (
        pd.Series(ints(-reach, reach), dtype=f"int{bits}"),
        t.FloatFormatter(enforce_min_max_values=True),
    )
    NUMBERS[f"uint{bits}"] = (
        pd.Series(ints(0, reach), dtype=f"uint{bits}"),
        t.FloatFormatter(enforce_min_max_values=True, learn_rounding_scheme=True),
    )
    NUMBERS[f"Int{bits}"] = (
        pd.Series(holed(ints(-100, 100), pd.NA), dtype=f"Int{bits}"),
        t.FloatFormatter(enforce_min_max_values=bits > 8),
    )
NUMBERS |= {
    "int_mode": (pd.Series(pick([1, 2, 3, 3]), dtype="int64"), t.FloatFormatter("mode", missing_value_generation=None)),
    "UInt16_random": (
        pd.Series(holed(ints(0, 60000), pd.NA), dtype="UInt16"),
        t.FloatFormatter("random"),
    ),
    "Float64_column": (
        pd.Series(holed([x / 8 for x in ints(-90, 90)], pd.NA), dtype="Float64"),
        t.FloatFormatter("mean", missing_value_generation="from_column", learn_rounding_scheme=True),
    ),
    "Float32": (
        pd.Series([x / 8 for x in ints(-90, 90)], dtype="Float32"),
        t.FloatFormatter(enforce_min_max_values=True),
    ),
    "float32": (pd.Series([x / 7 for x in ints(-90, 90)], dtype="float32"), t.FloatFormatter()),
    "float_two": (
        pd.Series(holed([x / 100 for x in ints(-9000, 9000)], np.nan)),
        t.FloatFormatter(learn_rounding_scheme=True, enforce_min_max_values=True),
    ),
    "float_column": (
        pd.Series(holed([x / 3 for x in ints(-9000, 9000)], np.nan)),
        t.FloatFormatter("mean", learn_rounding_scheme=True, missing_value_generation="from_column"),
    ),
    "float_kept": (
        pd.Series(holed([x / 3 for x in ints(-900, 900)], np.nan)),
        t.FloatFormatter(None, missing_value_generation=None),
    ),
    "float_filled": (pd.Series(holed([x / 3 for x in ints(-900, 900)], np.nan)), t.FloatFormatter(-7.5)),
    "int_in_float": (
        pd.Series(holed(ints(0, 900), np.nan)),
        t.FloatFormatter("random", computer_representation="UInt16"),
    ),
    "object_ints": (pd.Series(holed(ints(0, 900), None), dtype=object), t.FloatFormatter(enforce_min_max_values=True)),
    "all_missing": (pd.Series([np.nan] * N), t.FloatFormatter(learn_rounding_scheme=True, enforce_min_max_values=True)),
    "clusters": (
        pd.Series(np.concatenate([RNG.normal(0, 1, 30), RNG.normal(20, 2, 30)])),
        t.ClusterBasedNormalizer(max_clusters=4),
    ),
    "clusters_int": (
        pd.Series(ints(0, 50), dtype="int32"),
        t.ClusterBasedNormalizer(max_clusters=3, enforce_min_max_values=True, learn_rounding_scheme=True),
    ),
    "clusters_column": (
        pd.Series(holed(ints(0, 50), np.nan)),
        t.ClusterBasedNormalizer(max_clusters=3, missing_value_generation="from_column"),
    ),
    "clusters_random": (pd.Series(holed(ints(0, 50), pd.NA), dtype="Int64"), t.ClusterBasedNormalizer(max_clusters=3)),
    "bool": (pd.Series(pick([True, False]), dtype=bool), t.BinaryEncoder()),
    "bool_none": (pd.Series(holed(pick([True, False])), dtype=object), t.BinaryEncoder()),
    "bool_column": (
        pd.Series(holed(pick([True, False])), dtype=object),
        t.BinaryEncoder(missing_value_generation="from_column"),
    ),
    "boolean": (pd.Series(holed(pick([True, False, True]), pd.NA), dtype="boolean"), t.BinaryEncoder()),
    "logit": (
        pd.Series(holed([x / 100 for x in ints(0, 100)], np.nan)),
        t.LogitScaler(learn_rounding_scheme=True, missing_value_generation="from_column"),
    ),
    "logit_int": (pd.Series(ints(10, 90)), t.LogitScaler(min_value=0, max_value=100)),
    "log": (pd.Series([x / 10 for x in ints(1, 900)]), t.LogScaler()),
    "log_below": (
        pd.Series(holed([-x / 10 for x in ints(1, 900)], np.nan)),
        t.LogScaler(constant=5.0, invert=True, learn_rounding_scheme=True),
    ),
}
for kind in ("norm", "gamma", "beta", "uniform", "truncnorm"):
    NUMBERS[f"normal_{kind}"] = (
        pd.Series(holed([x / 10 for x in ints(1, 900)], np.nan)),
        t.GaussianNormalizer(distribution=kind, enforce_min_max_values=True),
    )

STAMPS = [pd.Timestamp("2020-01-02"), pd.Timestamp("2021-03-04 05:06:07"), pd.Timestamp("2019-12-31 23:59:59.5")]
VALUES = {
    "text": pd.Series(pick(["a", "b", "b", "longer text", "é"]), dtype=object),
    "text_none": pd.Series(holed(pick(["x", "NaN", "y"])), dtype=object),
    "mixed": pd.Series(pick(["1", 2, 2.5, "b"]), dtype=object),
    "mixed_numbers": pd.Series(pick([1, 2.5, 7]), dtype=object),
    "mixed_numbers_none": pd.Series(holed(pick([1, 2.5, 7])), dtype=object),
    "bools": pd.Series(pick([True, False, False])),
    "bools_none": pd.Series(holed(pick([True, False, False])), dtype=object),
    "ints": pd.Series(pick([3, 1, 2, -40])),
    "int8": pd.Series(pick([3, 1, 2, -40]), dtype="int8"),
    "Int64": pd.Series(holed(pick([3, 1, 2]), pd.NA), dtype="Int64"),
    "floats": pd.Series(holed(pick([0.5, 0.25, -3.0]), np.nan)),
    "category": pd.Series(pd.Categorical(pick(["u", "v", "w"]), categories=["w", "v", "u", "never"], ordered=True)),
    "category_none": pd.Series(pd.Categorical(holed(pick(["u", "v"])))),
    "category_ints": pd.Series(pd.Categorical(pick([10, 20, 30]))),
    "string": pd.Series(holed(pick(["p", "q"]), pd.NA), dtype="string"),
    "boolean": pd.Series(holed(pick([True, False]), pd.NA), dtype="boolean"),
    "stamps": pd.Series(pick(STAMPS)),
    "stamps_nat": pd.Series(holed(pick(STAMPS), pd.NaT)),
    "dates": pd.Series(pick([datetime.date(2020, 1, 1), datetime.date(2020, 2, 2)]), dtype=object),
    "decimals": pd.Series(pick([decimal.Decimal("1.10"), decimal.Decimal("2")]), dtype=object),
}
CATEGORIES: dict = {}
for name, values in VALUES.items():
    CATEGORIES[f"uniform_{name}"] = (values, t.UniformEncoder())
    CATEGORIES[f"label_{name}"] = (values, t.LabelEncoder(add_noise=name in ("text", "ints", "text_none")))
    if name not in ("boolean", "decimals"):
        CATEGORIES[f"one_hot_{name}"] = (values, t.OneHotEncoder())
    if OLD and name not in ("boolean", "category", "category_none", "category_ints", "string", "Int64", "decimals"):
        CATEGORIES[f"frequency_{name}"] = (values, t.FrequencyEncoder(add_noise=name == "ints"))
ORDER = ["z", "b", "a", "longer text", "é"]
CATEGORIES |= {
    "ordered_uniform": (VALUES["text"], t.OrderedUniformEncoder(order=ORDER[1:])),
    "ordered_uniform_unseen": (VALUES["text"], t.OrderedUniformEncoder(order=[*ORDER, None])),
    "ordered_label": (VALUES["text"], t.OrderedLabelEncoder(order=ORDER)),
    "ordered_label_noise": (VALUES["text_none"], t.OrderedLabelEncoder(order=["y", None, "NaN", "x"], add_noise=True)),
    "kept_uniform": (VALUES["text_none"], t.UniformEncoder(missing_value_encoding=None)),
    "kept_uniform_floats": (VALUES["floats"], t.UniformEncoder(missing_value_encoding=None)),
    "kept_label": (VALUES["text_none"], t.LabelEncoder(missing_value_encoding=None, add_noise=True)),
    "kept_label_Int64": (VALUES["Int64"], t.LabelEncoder(missing_value_encoding=None)),
    "nothing_uniform": (pd.Series([None] * N, dtype=object), t.UniformEncoder(missing_value_encoding=None)),
    "nothing_label": (pd.Series([None] * N, dtype=object), t.LabelEncoder(missing_value_encoding=None)),
}
if OLD:
    CATEGORIES["alphabetical"] = (VALUES["text_none"], t.LabelEncoder(order_by="alphabetical"))
    CATEGORIES["numerical"] = (VALUES["floats"], t.UniformEncoder(order_by="numerical_value"))
    with warnings.catch_warnings():
        CATEGORIES["custom"] = (VALUES["text"], t.CustomLabelEncoder(order=ORDER))

MOMENTS = [pd.Timestamp("2020-01-02") + pd.Timedelta(seconds=R.randrange(10**8)) for _ in range(N)]
DAYS = [moment.normalize() for moment in MOMENTS]


def written(moments, pattern):
    return pd.Series(holed([moment.strftime(pattern) for moment in moments]), dtype=object)


DATES: dict = {
    "days": (pd.Series(DAYS), t.UnixTimestampEncoder()),
    "days_nat": (pd.Series(holed(DAYS, pd.NaT)), t.UnixTimestampEncoder(missing_value_generation="from_column")),
    "seconds": (pd.Series(MOMENTS), t.UnixTimestampEncoder(enforce_min_max_values=True)),
    "fractions": (
        pd.Series([m + pd.Timedelta(microseconds=R.randrange(10**6)) for m in MOMENTS]),
        t.UnixTimestampEncoder(),
    ),
    "days_bounds": (pd.Series(holed(DAYS, pd.NaT)), t.UnixTimestampEncoder("random", enforce_min_max_values=True)),
    "optimized": (pd.Series(holed(DAYS, pd.NaT)), t.OptimizedTimestampEncoder()),
    "optimized_text": (
        written(MOMENTS, "%Y-%m-%d %H:%M"),
        t.OptimizedTimestampEncoder(datetime_format="%Y-%m-%d %H:%M"),
    ),
    "optimized_bounds": (pd.Series(DAYS), t.OptimizedTimestampEncoder(enforce_min_max_values=True)),
    "iso_text": (written(DAYS, "%Y-%m-%d"), t.UnixTimestampEncoder(datetime_format="%Y-%m-%d")),
    "guessed_text": (written(MOMENTS, "%Y-%m-%d %H:%M:%S"), t.UnixTimestampEncoder()),
    "day_first": (written(DAYS, "%d/%m/%Y"), t.UnixTimestampEncoder(datetime_format="%d/%m/%Y")),
    "month_names": (written(MOMENTS, "%d %b %Y %I:%M %p"), t.UnixTimestampEncoder(datetime_format="%d %b %Y %I:%M %p")),
    "day_first_stamps": (pd.Series(DAYS), t.UnixTimestampEncoder(datetime_format="%d/%m/%Y")),
    "years": (written(DAYS, "%Y"), t.UnixTimestampEncoder(datetime_format="%Y")),
    "digits": (pd.Series([int(m.strftime("%Y%m%d")) for m in DAYS]), t.UnixTimestampEncoder(datetime_format="%Y%m%d")),
    "digits_float": (
        pd.Series(holed([float(m.strftime("%Y%m%d")) for m in DAYS], np.nan)),
        t.UnixTimestampEncoder(datetime_format="%Y%m%d"),
    ),
    "offset_text": (
        written([m.tz_localize("Etc/GMT-3") for m in MOMENTS], "%Y-%m-%dT%H:%M:%S%z"),
        t.UnixTimestampEncoder(datetime_format="%Y-%m-%dT%H:%M:%S%z"),
    ),
    "offsets_text": (
        pd.Series(
            [m.tz_localize(pick(["Etc/GMT-3", "Etc/GMT+5"], 1)[0]).strftime("%Y-%m-%dT%H:%M:%S%z") for m in MOMENTS],
            dtype=object,
        ),
        t.UnixTimestampEncoder(datetime_format="%Y-%m-%dT%H:%M:%S%z"),
    ),
    "utc": (pd.Series(MOMENTS).dt.tz_localize("UTC"), t.UnixTimestampEncoder()),
    "paris": (pd.Series(MOMENTS).dt.tz_localize("Etc/GMT+7"), t.UnixTimestampEncoder()),
    "fraction_text": (
        pd.Series([(m + pd.Timedelta(microseconds=7)).strftime("%Y-%m-%d %H:%M:%S.%f") for m in MOMENTS], dtype=object),
        t.UnixTimestampEncoder(datetime_format="%Y-%m-%d %H:%M:%S.%f"),
    ),
    "date_objects": (pd.Series([m.date() for m in DAYS], dtype=object), t.UnixTimestampEncoder()),
    "filled": (pd.Series(holed(DAYS, pd.NaT)), t.UnixTimestampEncoder("mode")),
}

PEOPLE = pd.Series(holed([f"person {number % 20}" for number in range(N)]), dtype=object)
KEYS = pd.Series([f"K{number}" for number in range(N)], dtype=object)
MADE: dict = {
    "regex": (KEYS, t.RegexGenerator("ID-\\d{3}")),
    "regex_scrambled": (KEYS, t.RegexGenerator("ID-\\d{3}", generation_order="scrambled")),
    "regex_unique": (KEYS, t.RegexGenerator("[A-F][0-3]?x", cardinality_rule="unique", generation_order="scrambled")),
    "regex_unique_digits": (KEYS, t.RegexGenerator("[1-2][0-9]", cardinality_rule="unique")),
    "regex_short": (KEYS, t.RegexGenerator("[a-c]{1,2}")),
    "regex_short_scrambled": (KEYS, t.RegexGenerator("[a-c]{2}", generation_order="scrambled")),
    "regex_match": (PEOPLE, t.RegexGenerator("[a-z]{3}", cardinality_rule="match", generation_order="scrambled")),
    "regex_match_short": (PEOPLE, t.RegexGenerator("[a-c]{1,2}", cardinality_rule="match")),
    "regex_scale": (PEOPLE, t.RegexGenerator("[a-z]{3}", cardinality_rule="scale")),
    "regex_scale_short": (PEOPLE, t.RegexGenerator("[0-4]", cardinality_rule="scale", generation_order="scrambled")),
    "regex_scale_letters": (PEOPLE, t.RegexGenerator("[xyz]", cardinality_rule="scale")),
    "regex_long": (KEYS, t.RegexGenerator("\\d{30}", cardinality_rule="unique", generation_order="scrambled")),
    "regex_groups": (KEYS, t.RegexGenerator("([a-b]\\d)(x|y)-\\w{1,2}")),
    "regex_repeated": (KEYS, t.RegexGenerator("([ab]c){1,3}")),
    "regex_half": (KEYS, t.RegexGenerator("(?:ab){2}[x-z]?")),
    "regex_any": (KEYS, t.RegexGenerator("^.\\s\\D$", generation_order="scrambled")),
    "regex_open": (KEYS, t.RegexGenerator("a*[0-9]+")),
    "index": (KEYS, t.IndexGenerator(prefix="no. ", starting_value=7, suffix="!")),
    "index_plain": (KEYS, t.IndexGenerator()),
    "email": (KEYS, t.AnonymizedFaker("internet", "email")),
    "name": (PEOPLE, t.AnonymizedFaker("person", "name")),
    "locales": (PEOPLE, t.AnonymizedFaker("person", "name", locales=["en_US", "de_DE", "fr_FR"])),
    "locale": (KEYS, t.AnonymizedFaker("address", "city", locales=["de_DE"])),
    "unique": (KEYS, t.AnonymizedFaker("person", "first_name", cardinality_rule="unique")),
    "unique_short": (KEYS, t.AnonymizedFaker(function_name="random_digit", cardinality_rule="unique")),
    "match": (PEOPLE, t.AnonymizedFaker("person", "first_name", cardinality_rule="match")),
    "scale": (PEOPLE, t.AnonymizedFaker("person", "first_name", cardinality_rule="scale")),
    "scale_whole": (
        PEOPLE,
        t.AnonymizedFaker("person", "first_name", cardinality_rule="scale", missing_value_generation=None),
    ),
    "template": (KEYS, t.AnonymizedFaker(function_name="bothify", function_kwargs={"text": "sdv-id-??##"})),
    "letters": (
        KEYS,
        t.AnonymizedFaker(function_name="bothify", function_kwargs={"text": "pii-????", "letters": "01ab"}),
    ),
    "numbers": (
        pd.Series(range(N)),
        t.AnonymizedFaker(function_name="random_int", function_kwargs={"min": 0, "max": 16777216}),
    ),
    "digits": (KEYS, t.AnonymizedFaker(function_name="numerify", function_kwargs={"text": "!!%##"})),
    "lexify": (KEYS, t.AnonymizedFaker()),
    "born": (KEYS, t.AnonymizedFaker("ssn", "ssn")),
    "joined": (KEYS, t.AnonymizedFaker("geo", "latlng")),
}
PSEUDO: dict = {
    "pseudo": (PEOPLE, t.PseudoAnonymizedFaker("person", "name")),
    "pseudo_digits": (KEYS, t.PseudoAnonymizedFaker("internet", "ipv4")),
}
KEPT = {
    "Int64", "float_two", "float_column", "int_in_float", "clusters_column", "bool_none", "logit", "normal_norm",
    "uniform_text_none", "uniform_mixed_numbers", "uniform_Int64", "label_text_none", "label_bools", "one_hot_mixed",
    "ordered_uniform_unseen", "ordered_label_noise", "kept_uniform", "kept_label", "nothing_label",
    "seconds", "days_nat", "optimized_text", "offset_text", "digits",
    "regex_unique", "regex_scale_short", "regex_match", "index", "unique_short", "locales", "match", "scale", "email",
    "pseudo",
}  # fmt: skip
"""The cases of rdt 2.0, whose transformers differ from those of 1.22 in names only."""
KEPT_EARLY = {
    "float_two", "uniform_text_none", "label_text_none", "optimized_bounds", "seconds", "regex_scrambled",
    "regex_unique", "regex_unique_digits", "regex_short", "match", "scale", "unique", "email",
}  # fmt: skip
"""The cases of releases before 1.22, where they differ from it."""
if OLD:
    MADE["id"] = (KEYS, t.IDGenerator(prefix="x"))


def told(value):
    if value is None or value is pd.NaT or value is pd.NA:
        return ["missing", ""]
    if isinstance(value, (bool, np.bool_)):
        return ["bool", str(bool(value))]
    if isinstance(value, (int, np.integer)):
        return ["int", str(int(value))]
    if isinstance(value, (float, np.floating)):
        return ["missing", ""] if np.isnan(value) else ["float", float(value).hex()]
    if isinstance(value, pd.Timestamp):
        return ["stamp", str(value.tz_convert("UTC").tz_localize(None) if value.tzinfo else value)]
    return [type(value).__name__, str(value)]


def encoded(transformer, name, rows, rng):
    """Made-up modelled cells; the reader makes them again from the same generator."""
    found = {}
    for output in transformer.get_output_columns():
        data = rng.normal(0.4, 0.6, rows)
        found[output] = data
    return found


def scaled(found, low, high):
    return {
        name: low + (high - low) * values if index == 0 else values
        for index, (name, values) in enumerate(found.items())
    }


def group(name, columns, target):
    done, skipped = {}, {}
    fitted = {}
    for column, (values, transformer) in columns.items():
        if transformer is None or (EARLY and column not in KEPT_EARLY) or (not OLD and column not in KEPT):
            continue
        frame = pd.DataFrame({column: values})
        hyper = HyperTransformer()
        sdtype = transformer.get_supported_sdtypes()[0]
        hyper.set_config({"sdtypes": {column: sdtype}, "transformers": {column: transformer}})
        try:
            hyper.fit(frame)
            pickle.dumps(hyper)
        except Exception as error:
            skipped[column] = repr(error)
            continue
        fitted[column] = (hyper, frame)
    made = name == "made"
    blobs = {}
    for column, (hyper, frame) in fitted.items():
        rng = np.random.default_rng(zlib.crc32(column.encode()))
        blobs[column] = cloudpickle.dumps(hyper._transformers_sequence, protocol=5)
        entry = {"dtype": str(frame[column].dtype), "calls": [], "forward": [], "later": []}
        try:
            if made:
                for index, rows in enumerate(TAKES):
                    found = hyper.create_anonymized_columns(rows, [column])[column]
                    entry["calls"].append([told(value) for value in found.tolist()])
                    if index == 0:
                        blobs[column + "/later"] = cloudpickle.dumps(hyper._transformers_sequence, protocol=5)
                (loaded,) = pickle.loads(blobs[column + "/later"])
                for rows in TAKES[1:]:
                    found = loaded.reverse_transform(pd.DataFrame(index=range(rows)))[column]
                    entry["later"].append([told(value) for value in found.tolist()])
            else:
                for value in [*frame[column].head(12).tolist()]:
                    dtype = frame[column].dtype
                    known = pd.DataFrame({column: pd.Series([value], dtype=object if dtype == "category" else dtype)})
                    out = hyper.transform(known)
                    entry["forward"].append([told(value), [float(out[each].iloc[0]).hex() for each in out.columns]])
                low, high = entry_range(hyper, frame, column)
                entry["range"] = [low.hex(), high.hex()]
                last = hyper._transformers_sequence[-1]
                for rows in INPUTS:
                    data = scaled(encoded(last, column, rows, rng), low, high)
                    back = hyper.reverse_transform(pd.DataFrame(data))[column]
                    entry["calls"].append({"dtype": str(back.dtype), "cells": [told(value) for value in back.tolist()]})
            entry["state"] = {
                way: int(state.get_state()[2]) for way, state in hyper._transformers_sequence[-1].random_states.items()
            }
        except Exception as error:
            skipped[column] = repr(error)
            blobs.pop(column)
            blobs.pop(column + "/later", None)
            continue
        done[column] = entry
    document = {
        "rdt": rdt.__version__,
        "pandas": pd.__version__,
        "numpy": np.__version__,
        "faker": faker.VERSION,
        "cases": done,
        "failed": skipped,
    }
    blobs = {f"{member}.pkl": blob for member, blob in blobs.items()}
    blobs["cases.json"] = (json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n").encode()
    release = f"{MAJOR}.{MINOR}"
    if not done:
        return
    with tarfile.open(target / f"later_{release}_{name}.tar.xz", "w:xz", preset=9) as archive:
        for member in sorted(blobs):
            entry = tarfile.TarInfo(member)
            entry.size = len(blobs[member])
            archive.addfile(entry, io.BytesIO(blobs[member]))
    print(name, len(done), "failed", skipped)


def entry_range(hyper, frame, column):
    """A stretch of modelled values that reaches a little beyond those that the table gave."""
    first = hyper.transform(frame[[column]]).iloc[:, 0].astype(float).dropna()
    if not len(first) or first.min() == first.max():
        return 0.0, 1.0
    return float(first.min()), float(first.max())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name, columns in {
        "numbers": NUMBERS,
        "categories": CATEGORIES,
        "dates": DATES,
        "made": MADE,
        "pseudo": PSEUDO,
    }.items():
        group(name, columns, target)
