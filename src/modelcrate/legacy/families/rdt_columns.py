"""Column transformers of rdt 1.3 to 2.0 in the words of our documents.

These releases give every transformer random states of its own and let missing cells be made in three ways. What the
encodings do is in :mod:`modelcrate.tabular.columns`; the transformers that make cells up are in
:mod:`modelcrate.legacy.families.rdt_sources`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.values import Missing
from modelcrate.legacy.families import rdt
from modelcrate.legacy.families.copulas import distribution
from modelcrate.legacy.families.known import cell, refuse_unknown, trained_dtype
from modelcrate.legacy.values.dtypes import DtypeData
from modelcrate.legacy.values.special import GeneratorData
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

MODULES: Final = "rdt.transformers"
PSEUDONYMS: Final = f"{MODULES}.pii.anonymizer.PseudoAnonymizedFaker"
BASE: Final = (
    "columns", "column_prefix", "output_columns", "output_properties", "random_states", "random_seed",
)  # fmt: skip
_NULLS: Final = (
    "missing_value_replacement", "missing_value_generation", "model_missing_values", "null_transformer",
)  # fmt: skip
_FLOAT: Final = (
    *BASE, *_NULLS, "learn_rounding_scheme", "enforce_min_max_values", "computer_representation", "_dtype",
    "_min_value", "_max_value", "_rounding_digits",
)  # fmt: skip
FAKER_NAMES: Final = (
    *BASE, "missing_value_replacement", "missing_value_generation", "model_missing_values", "data_length",
    "enforce_uniqueness", "cardinality_rule", "provider_name", "function_name", "function_kwargs", "locales", "faker",
    "_faker_random_seed", "_nan_frequency", "_unique_categories", "_data_cardinality", "_data_cardinality_scale",
    "_remaining_samples",
)  # fmt: skip
_SAMPLED: Final = "missing_value_generation"
"""Later releases of rdt set it in every transformer that has made rows; None where there is no such choice."""
_CATEGORY: Final = (*BASE, _SAMPLED, "dtype", "order_by", "order", "missing_value_encoding")
_SEED: Final = 42
"""What transformers are seeded with before they are fitted, and in rdt 1.3 ever."""


def translate_column(view: View) -> Document:
    """The encoding of one column. Raises FormatError, and UnsupportedError for another class or an attribute of it."""
    name = view.class_name
    translator = _TRANSLATORS.get(name or "")
    if name is None or translator is None:
        raise UnsupportedError(f"a column transformer of class {name or view.describe()}", where=view.path)
    return translator(view.attributes(name))


def names_of(view: View) -> tuple[list[str], list[str]]:
    """The columns that a fitted transformer reads, and those that it makes."""
    view = view.attributes(view.class_name or "")
    columns = [item.text() for item in view["columns"].items()]
    if len(columns) != 1:
        raise UnsupportedError("a transformer of several columns", where=view["columns"].path)
    return columns, [item.text() for item in view["output_columns"].items()]


def states_of(view: View) -> Document:
    """Where the generators of a transformer stand: ``{"forward", "reverse"}``, each a seed or a state."""
    view = view.attributes(view.class_name or "")
    seed = view["random_seed"].integer() if "random_seed" in view else _SEED
    states = view["random_states"].mapping()
    return {
        ours: twister_of(states[theirs], seed)
        for ours, theirs in (("forward", "transform"), ("reverse", "reverse_transform"))
        if theirs in states
    }


def twister_of(view: View, seed: int) -> int | Document:
    """A legacy generator as the seed that it is fresh from, ``seed`` or the next one, or as its whole state."""
    import numpy as np

    found = view.value()
    if not isinstance(found, GeneratorData) or found.bit_generator != "MT19937":
        raise UnsupportedError("a random state that is no Mersenne Twister", where=view.path)
    inner = found.state.get("state")
    if not isinstance(inner, dict):
        raise UnsupportedError("a random state without its words", where=view.path)
    key, position = np.array(inner["key"], dtype=np.uint32), int(inner["pos"])
    has_normal, normal = bool(found.state.get("has_gauss", 0)), found.state.get("gauss", 0.0)
    for guess in (seed, seed + 1, _SEED, _SEED + 1):
        if has_normal or not 0 <= guess < 2**32:
            continue
        fresh = np.random.RandomState(guess).get_state(legacy=False)
        assert isinstance(fresh, dict)
        if fresh["state"]["pos"] == position and np.array_equal(fresh["state"]["key"], key):
            return guess
    if type(normal) is not float:
        raise FormatError("a random state's normal number is none", where=view.path)
    return {"key": key, "position": position, "has_normal": has_normal, "normal": normal}


# -- missing cells


def missing_of(view: View) -> Document | None:
    """How missing cells come back: by a column of flags, at random, or not at all."""
    handler = view.get("null_transformer")
    if handler is None or handler.is_none():
        raise FormatError("a transformer that was not fitted", where=view.path)
    handler = handler.attributes(f"{MODULES}.null.NullTransformer")
    if "_missing_value_generation" not in handler:
        return rdt.missing_of(view)
    refuse_unknown(
        handler,
        (
            "nulls", "_missing_value_generation", "_missing_value_replacement", "_null_percentage", "_min_value",
            "_max_value",
        ),
    )  # fmt: skip
    way = handler["_missing_value_generation"]
    if not way.is_none() and way.text() not in ("from_column", "random"):
        raise UnsupportedError(f"missing values made by {way.text()!r}", where=way.path)
    flagged = not way.is_none() and way.text() == "from_column"
    share = handler.get("_null_percentage")
    found: Document = {
        "fill": None,
        "flagged": flagged,
        "seen": not way.is_none() and handler["nulls"].boolean(),
        "share": 0.0 if flagged or share is None or share.is_none() else share.finite(),
    }
    replacement = handler["_missing_value_replacement"]
    if type(replacement.node) is not str:
        found["fill"] = rdt.fill_of(replacement)
    elif replacement.text() == "random":
        low, high = (_limit(handler[name]) for name in ("_min_value", "_max_value"))
        if low is not None and high is not None:
            found["between"] = [float(low), float(high)]
    else:
        raise UnsupportedError(f"missing values replaced by {replacement.text()!r}", where=replacement.path)
    return None if way.is_none() and found["fill"] is None and "between" not in found else found


def _limit(view: View | None) -> int | float | None:
    """A smallest or largest value; None where all cells were missing."""
    if view is None or view.is_none():
        return None
    value = view.value()
    if value is Missing.NA or value is Missing.NAT or (isinstance(value, float) and math.isnan(value)):
        return None
    return rdt.bound_of(view)


# -- numbers


def _number(view: View, missing: Document | None) -> Document:
    given = view.get("computer_representation")
    representation = "Float" if given is None else given.text()
    minimum, maximum = (_limit(view.get(name)) for name in ("_min_value", "_max_value"))
    if not view["enforce_min_max_values"].boolean():
        if not representation.startswith("Float") and representation not in rdt.INTEGER_BOUNDS:
            raise UnsupportedError(f"numbers represented as {representation!r}", where=view.path)
        minimum, maximum = rdt.INTEGER_BOUNDS.get(representation, (None, None))
    learns = view["learn_rounding_scheme"].boolean()
    given = view.get("_rounding_digits")
    digits = None if given is None or given.is_none() or not learns else given.integer()
    dtype = trained_dtype(view["_dtype"])
    if digits is None and dtype.startswith("uint"):
        digits = 0
    return {
        "type": "number",
        "dtype": dtype,
        "minimum": minimum,
        "maximum": maximum,
        "digits": digits,
        "learns_digits": learns,
        "missing": missing,
    }


def _float(view: View) -> Document:
    refuse_unknown(view, _FLOAT)
    return _number(view, missing_of(view))


def _normal_score(view: View) -> Document:
    refuse_unknown(
        view,
        (
            *_FLOAT, "distribution", "_distributions", "_distribution", "_univariate", "_learned_distribution_name",
            "_fallback_distribution",
        ),
    )  # fmt: skip
    number = _number(view, missing_of(view))
    return {"type": "normal_score", "distribution": distribution(view["_univariate"]), "number": number}


def _clusters(view: View) -> Document:
    refuse_unknown(view, (*_FLOAT, "max_clusters", "weight_threshold", "_bgm_transformer", "valid_component_indicator"))
    modes = rdt.mixture_modes(view["_bgm_transformer"], view["valid_component_indicator"], _number(view, None))
    return {"type": "clusters", "modes": modes, "missing": missing_of(view)}


def _logit(view: View) -> Document:
    refuse_unknown(view, (*_FLOAT, "min_value", "max_value"))
    low, high = view["min_value"].number(), view["max_value"].number()
    return {"type": "logit", "low": low, "high": high, "number": _number(view, missing_of(view))}


def _logarithm(view: View) -> Document:
    refuse_unknown(view, (*_FLOAT, "constant", "invert"))
    return {
        "type": "logarithm",
        "constant": view["constant"].number(),
        "below": view["invert"].boolean(),
        "number": _number(view, missing_of(view)),
    }


def _flag(view: View) -> Document:
    refuse_unknown(view, (*BASE, *_NULLS))
    return {"type": "flag", "missing": missing_of(view)}


# -- categories


def _keeps_missing(view: View) -> bool:
    given = view.get("missing_value_encoding")
    if given is not None and not given.is_none() and given.text() != "new_category":
        raise UnsupportedError(f"missing values encoded as {given.text()!r}", where=given.path)
    return given is not None and given.is_none()


def _interval(view: View) -> Document:
    import numpy as np

    refuse_unknown(view, (*_CATEGORY, "frequencies", "intervals"))
    categories: list[object] = []
    ends: list[float] = []
    for key, interval in view["intervals"].pairs():
        pair = [number.finite() for number in interval.items()]
        if len(pair) != 2 or pair[0] != (ends[-1] if ends else 0.0):
            raise UnsupportedError("intervals that do not follow one another", where=interval.path)
        categories.append(cell(key))
        ends.append(pair[1])
    trained_dtype(view["dtype"])
    return {
        "type": "interval",
        "categories": categories,
        "ends": np.array(ends, dtype=np.float64),
        "keeps_missing": _keeps_missing(view),
    }


def _label(view: View) -> Document:
    refuse_unknown(view, (*_CATEGORY, "add_noise", "values_to_categories", "categories_to_values"))
    found = view["values_to_categories"].pairs()
    if [code.integer() for code, _ in found] != list(range(len(found))):
        raise UnsupportedError("labels that are not 0, 1, 2 and so on", where=view["values_to_categories"].path)
    document: Document = {
        "type": "label",
        "categories": [cell(category) for _, category in found],
        "noise": view["add_noise"].boolean(),
    }
    return {**document, "keeps_missing": True} if _keeps_missing(view) else document


def _frequency(view: View) -> Document:
    found = rdt.frequency(view, _SAMPLED, "_is_integer")
    if found["noise"]:
        found["aside"] = True
    if "_is_integer" in view:  # releases that look for the interval category by category
        found["shadowed"] = True
    return found


# -- dates


def _timestamp(view: View) -> Document:
    refuse_unknown(
        view,
        (
            *BASE, *_NULLS, "datetime_format", "_dtype", "divider", "enforce_min_max_values", "_min_value",
            "_max_value", "_has_multiple_timezones", "_timezone_offset",
        ),
    )  # fmt: skip
    pattern = view["datetime_format"]
    dtype = _date_dtype(view["_dtype"])
    divider = view.get("divider")
    found: Document = {
        "type": "timestamp",
        "format": None if pattern.is_none() else pattern.text(),
        "text": not dtype.startswith("datetime"),
        "unit": 1 if divider is None or divider.is_none() else divider.integer(),
        "missing": missing_of(view),
        "exact": True,
    }
    if dtype not in ("object", "datetime64[ns]"):
        if pattern.is_none():
            raise UnsupportedError(f"dates that were numbers of dtype {dtype} without a format", where=view.path)
        found["dtype"] = dtype
    enforced = view.get("enforce_min_max_values")
    if enforced is not None and enforced.boolean():
        low, high = (_limit(view.get(name)) for name in ("_min_value", "_max_value"))
        if low is not None and high is not None:
            # earlier releases clip what was modelled, later ones what comes of it
            unit = 1 if "_has_multiple_timezones" in view else found["unit"]
            found["bounds"] = [float(low) * unit, float(high) * unit]
    several = view.get("_has_multiple_timezones")
    zone = view.get("_timezone_offset")
    if several is not None and several.boolean():
        found["zone"] = {"offset": 0, "name": "UTC"}
    elif zone is not None and not zone.is_none():
        found["zone"] = _zone(zone)
    return found


def _date_dtype(view: View) -> str:
    """As :func:`trained_dtype`; dates of a categorical dtype are what its categories are, texts or moments."""
    import numpy as np

    found = view.value()
    if isinstance(found, DtypeData) and found.categories and isinstance(found.categories[0], np.datetime64):
        return "datetime64[ns]"
    return trained_dtype(view)


def _zone(view: View) -> Document:
    """A fixed zone of dateutil or of the standard library."""
    name = view.class_name
    if name == "dateutil.tz.tz.tzutc":
        return {"offset": 0, "name": "UTC"}
    if name == "dateutil.tz.tz.tzoffset":
        given = view.attributes(name)
        label = given["_name"]
        return {"offset": _seconds(given["_offset"]), "name": None if label.is_none() else label.text()}
    if name == "dateutil.tz.tz.tzlocal":
        given = view.attributes(name)
        if given["_hasdst"].boolean():
            raise UnsupportedError("dates in a zone that changes with the season", where=view.path)
        return {"offset": _seconds(given["_std_offset"]), "name": given["_tznames"].items()[0].text()}
    found = view.value()
    if isinstance(found, datetime.timezone):
        return {"offset": round(found.utcoffset(None).total_seconds()), "name": str(found)}
    raise UnsupportedError(f"dates in {view.describe()}", where=view.path)


def _seconds(view: View) -> int:
    found = view.value()
    if not isinstance(found, datetime.timedelta):
        raise FormatError("expected a zone's offset", where=view.path)
    return round(found.total_seconds())


def _pseudonyms(view: View) -> Document:
    """Pseudonyms stay as they are; the map to the real values is left behind."""
    refuse_unknown(view, (*FAKER_NAMES, "_mapping_dict", "_reverse_mapping_dict"))
    return {"type": "identity"}


_TRANSLATORS: Final[dict[str, Callable[[View], Document]]] = {
    f"{MODULES}.numerical.FloatFormatter": _float,
    f"{MODULES}.numerical.GaussianNormalizer": _normal_score,
    f"{MODULES}.numerical.ClusterBasedNormalizer": _clusters,
    f"{MODULES}.numerical.LogitScaler": _logit,
    f"{MODULES}.numerical.LogScaler": _logarithm,
    f"{MODULES}.boolean.BinaryEncoder": _flag,
    f"{MODULES}.categorical.UniformEncoder": _interval,
    f"{MODULES}.categorical.OrderedUniformEncoder": _interval,
    f"{MODULES}.ordinal.OrderedUniformEncoder": _interval,
    f"{MODULES}.categorical.LabelEncoder": _label,
    f"{MODULES}.categorical.OrderedLabelEncoder": _label,
    f"{MODULES}.ordinal.OrderedLabelEncoder": _label,
    f"{MODULES}.categorical.CustomLabelEncoder": _label,
    f"{MODULES}.categorical.OneHotEncoder": rdt.one_hot,
    f"{MODULES}.categorical.FrequencyEncoder": _frequency,
    f"{MODULES}.datetime.UnixTimestampEncoder": _timestamp,
    f"{MODULES}.datetime.OptimizedTimestampEncoder": _timestamp,
    PSEUDONYMS: _pseudonyms,
}
