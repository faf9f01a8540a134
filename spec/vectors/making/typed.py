"""Vectors of kind ``crate`` with components of types that have a schema (7.7): what it takes and what it refuses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from making.build import Vector, archive, array, small_list, small_map, text
from making.crates import Members, entries, expected, manifest, whole
from making.manifests import identity


def packed(value: Any) -> bytes:
    """A small value in the encoding of section 7; keys in the order of their bytes, arrays as ``Array``."""
    if isinstance(value, bytes):  # made already
        return value
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", True: b"\xc3", False: b"\xc2"}[value]
    if isinstance(value, int):
        assert 0 <= value < 128
        return bytes([value])
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return small_list(*map(packed, value))
    return small_map(*((key, packed(value[key])) for key in sorted(value)))


def floats(*numbers: float, shape: list[int] | None = None) -> bytes:
    return array("float64", shape or [len(numbers)], struct.pack(f"<{len(numbers)}d", *numbers))


def crate(**components: tuple[str, str, Any]) -> tuple[Members, dict[str, Any]]:
    """Members and the manifest's components, from (role, type, state) by name."""
    members = {f"state/{name}.msgpack": packed(state) for name, (_, _, state) in components.items()}
    described = {
        name: {"role": role, "type": kind, "config": {}, "weights": None, "state": f"state/{name}.msgpack"}
        for name, (role, kind, _) in components.items()
    }
    return members, described


def normal(**changes: Any) -> dict[str, Any]:
    return {"type": "normal", "loc": 3.0, "scale": 0.5, **changes}


def joint(*distributions: dict[str, Any], correlation: bytes | None = None, **changes: Any) -> dict[str, Any]:
    columns = [{"name": f"c{place}", "distribution": each} for place, each in enumerate(distributions)]
    return {"columns": columns, "correlation": correlation or floats(1.0, shape=[1, 1]), **changes}


FAMILIES: list[dict[str, Any]] = [
    normal(),
    {"type": "gamma", "shape": 2.0, "loc": 0.0, "scale": 1.0},
    {"type": "beta", "a": 0.5, "b": 3.0, "loc": -1.0, "scale": 4.0},
    {"type": "student_t", "freedom": 2.5, "loc": 0.0, "scale": 1.0},
    {"type": "truncated_normal", "low": -1.0, "high": 2.0, "loc": 0.0, "scale": 1.0},
    {"type": "log_laplace", "shape": 2.0, "loc": 0.0, "scale": 1.0},
    {"type": "uniform", "loc": 0.0, "scale": 1.0},
    {"type": "constant", "value": 7.0},
    {"type": "quantiles", "scores": floats(-1.0, 0.0, 1.0), "values": floats(0.0, 0.0, 5.0)},
]


def table(distribution: dict[str, Any]) -> dict[str, Any]:
    number = {
        "type": "number", "dtype": "float64", "minimum": None, "maximum": None, "digits": None,
        "learns_digits": False, "missing": None,
    }  # fmt: skip
    field = {"name": "a", "kind": "number", "whole": False, "dtype": "float64", "identifiers": None, "anonymiser": None}
    encoding = {"type": "normal_score", "distribution": distribution, "number": number}
    return {
        "fields": [field],
        "columns": [{"name": "a", "outputs": ["a"], "encoding": encoding}],
        "constraints": {"constraints": [], "applied": []},
        "primary_key": [],
    }


def stage(*names: str, **form: Any) -> list[dict[str, Any]]:
    return [{"name": name, "format": {"kind": "plain", "dtype": "int64", **form}} for name in names]


def ascending(**changes: Any) -> dict[str, Any]:
    return {
        "type": "ascending", "columns": ["low", "high"], "start": "low.fillna", "distances": ["low#high"],
        "labels": "gaps", "strict": False, "dtype": "int64", "texts": False, "patterns": [{"pattern": None}] * 2,
        "matched": True, **changes,
    }  # fmt: skip


def steps(rule: dict[str, Any] | None = None, stages: Any = None, **changes: Any) -> dict[str, Any]:
    """A table whose one constraint is undone as a step, with formats and a generator per column."""
    kept = {"kind": "number", "whole": False, "dtype": "int64", "identifiers": None, "anonymiser": None}
    number = {
        "type": "number", "dtype": "int64", "minimum": 0, "maximum": 99, "digits": 0, "learns_digits": True,
        "missing": None,
    }  # fmt: skip
    form = {"kind": "number", "dtype": "int64", "minimum": 0, "maximum": 99, "digits": 0}
    named = ["low.fillna", "low#high", "gaps"]
    return {
        "fields": [{"name": "low", **kept, "format": form}, {"name": "high", **kept}],
        "columns": [
            {"name": "low.fillna", "outputs": ["low.fillna"], "encoding": number, "states": {"reverse": 7}},
            *({"name": name, "outputs": [name], "encoding": {"type": "identity"}} for name in named[1:]),
        ],
        "constraints": {
            "constraints": [rule or ascending()],
            "applied": [True],
            "stages": [{"columns": stage("low", "high")}] if stages is None else stages,
        },
        "primary_key": [],
        "modelled": stage(*named, dtype="object", nones=True),
        **changes,
    }


JOINT = "tabular.joint/1"
TABLE = "tabular.table/1"


def generators(**states: Any) -> dict[str, Any]:
    """A table whose first column has these generators."""
    found = steps()
    found["columns"][0]["states"] = states
    return found


def faithful(**changes: Any) -> dict[str, Any]:
    """Steps that are undone as the original undid them, and a column of shares with a missing one."""
    dates = {"dtype": "datetime64[ns]", "texts": True, "recent": True, "guessed": "all"}
    found = steps(ascending(**dates))
    shares = {
        "type": "frequency", "dtype": "object", "categories": ["a", None], "noise": False, "shadowed": True,
        "starts": floats(0.0, 0.5), "ends": floats(0.5, 1.0), "means": floats(0.25, 0.75),
        "deviations": floats(0.1, 0.1), **changes,
    }  # fmt: skip
    kept = {"kind": "category", "whole": False, "dtype": "object", "identifiers": None, "anonymiser": None}
    found["fields"].append({"name": "share", **kept})
    found["columns"].append({"name": "share", "outputs": ["share"], "encoding": shares})
    return found


def vectors() -> Iterator[Vector]:
    unrelated = [float(row == column) for row in range(9) for column in range(9)]
    good = {
        "typed-joint": (JOINT, joint(*FAMILIES, correlation=floats(*unrelated, shape=[9, 9])), "every distribution"),
        "typed-normal-score": (TABLE, table(normal()), "a number as a normal score"),
        "typed-table-steps": (TABLE, steps(), "a constraint that is undone as a step, formats, a column's generator"),
        "typed-steps-as-the-original": (TABLE, faithful(), "what a replay repeats: distances, guesses and shares"),
    }
    for name, (kind, state, what) in good.items():
        members, components = crate(part=("part", kind, state))
        made = whole(members, components=components)
        plain = {key: data for key, data in made.items() if key != "manifest.json"}
        found = expected(made)
        found["identity"] = identity(manifest(plain, components=components), made["manifest.json"], "blake3")
        yield Vector("crate", name, archive(entries(made)), what, expected=found)
    bad = {
        "typed-joint-scale-zero": (JOINT, joint(normal(scale=0.0)), "a distribution without spread"),
        "typed-joint-unknown-field": (JOINT, joint(normal(hook=1.0)), "a parameter that nobody knows"),
        "typed-joint-family": (JOINT, joint({"type": "os.system", "loc": 0.0}), "a family that nobody knows"),
        "typed-joint-no-columns": (JOINT, joint(), "no column"),
        "typed-joint-vector": (JOINT, joint(normal(), correlation=floats(1.0)), "correlations in one dimension"),
        "typed-normal-score-alone": (TABLE, table({}), "a normal score without a distribution"),
        "typed-steps-one-column": (TABLE, steps(ascending(columns=["low"])), "one column that ascends"),
        "typed-steps-dtype": (TABLE, steps(ascending(dtype="complex64")), "numbers without an order"),
        "typed-steps-recent": (TABLE, steps(ascending(recent=1)), "a number for true or false"),
        "typed-steps-guessed": (TABLE, steps(ascending(guessed="some")), "guesses that nobody knows"),
        "typed-shares-shadowed": (TABLE, faithful(shadowed="yes"), "a text for true or false"),
        "typed-steps-text-for-truth": (TABLE, steps(ascending(strict="yes")), "a text for true or false"),
        "typed-steps-no-pattern": (TABLE, steps(ascending(patterns=[None, None])), "formats that are none"),
        "typed-steps-rule": (TABLE, steps(ascending(type="exec")), "a rule that nobody knows"),
        "typed-steps-stage": (TABLE, steps(stages=[{"columns": stage("low", dtype="float65")}]), "an unknown dtype"),
        "typed-steps-stage-digits": (TABLE, steps(modelled=stage("low", digits=21)), "more digits than a number has"),
        "typed-steps-modelled": (TABLE, steps(modelled={}), "a stage that is no list"),
        "typed-steps-generator": (TABLE, generators(reverse="seed"), "a generator that stands nowhere"),
        "typed-steps-no-generator": (TABLE, generators(forward=3), "a generator for known cells alone"),
    }
    for name, (kind, state, what) in bad.items():
        members, components = crate(part=("part", kind, state))
        data = archive(entries(whole(members, components=components)))
        yield Vector("crate", name, data, what, "7.7", "FORMAT")
