"""The machine against Python's own unpickler: plain objects of any shape, in every protocol."""

from __future__ import annotations

import math
import pickle
import pickletools
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pickled import evaluate

from modelcrate.errors import ModelcrateError
from modelcrate.legacy.machine import read_pickle, survey

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-(2**2000), 2**2000)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.binary(max_size=20).map(bytearray)
    | st.complex_numbers(allow_nan=False)
)
hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
values = st.recursive(
    scalars | hashable | st.sets(hashable, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.tuples(inner, inner, inner)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(hashable, inner, max_size=5)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=25,
)


def same(left: object, right: object) -> bool:
    """Equal in type and value; NaN equals NaN, -0.0 differs from 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(map(repr, left)) == list(map(repr, right)) and all(map(same, left.values(), right.values()))
    return left == right


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values, st.integers(0, 5), st.booleans())
def test_the_graph_evaluates_to_what_pickle_loads(value: object, protocol: int, optimised: bool) -> None:
    data = pickle.dumps(value, protocol)
    if optimised:
        data = pickletools.optimize(data)
    reading = read_pickle(data)
    assert reading.end == len(data)
    assert not reading.faults
    assert same(evaluate(reading.root), pickle.loads(data))


@settings(max_examples=60, deadline=None)
@given(values, st.integers(0, 5))
def test_pythons_own_pickler_is_read_alike(value: object, protocol: int) -> None:
    import io

    out = io.BytesIO()
    pickle._Pickler(out, protocol).dump(value)  # type: ignore[attr-defined]
    assert same(evaluate(read_pickle(out.getvalue()).root), pickle.loads(out.getvalue()))


def test_large_objects_lie_outside_of_frames() -> None:
    value = ["x" * 70_000, b"y" * 70_000, list(range(50_000)), {str(i): i for i in range(5000)}]
    for protocol in range(6):
        data = pickle.dumps(value, protocol)
        assert evaluate(read_pickle(data).root) == value


def test_shared_and_recursive_structure_is_kept() -> None:
    shared: list[object] = [1]
    value: dict[object, object] = {"a": shared, "b": shared}
    value["self"] = value
    for protocol in range(6):
        made = evaluate(read_pickle(pickle.dumps(value, protocol)).root)
        assert isinstance(made, dict)
        assert made["a"] is made["b"]
        assert made["self"] is made


@settings(max_examples=300, deadline=None)
@given(values, st.integers(0, 5), st.randoms(use_true_random=False))
def test_damaged_streams_end_in_library_errors(value: object, protocol: int, chance: random.Random) -> None:
    data = bytearray(pickle.dumps(value, protocol))
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data))
        how = chance.randrange(3)
        if how == 0:
            data[place] = chance.randrange(256)
        elif how == 1:
            del data[place : place + chance.randrange(1, 4)]
        else:
            data[place:place] = chance.randbytes(chance.randrange(1, 4))
        if not data:
            data = bytearray(b"N")
    survey(bytes(data))
    try:
        read_pickle(bytes(data))
    except ModelcrateError:
        return


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_end_in_a_graph_or_a_library_error(data: bytes) -> None:
    survey(data)
    try:
        read_pickle(data)
    except ModelcrateError:
        return


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"N", b"]", b"}", b"(", b")", b"\x8f", b"K\x01", b"\x8c\x01a", b"a", b"e", b"s", b"u",
                                 b"\x90", b"0", b"1", b"2", b"q\x00", b"h\x00", b"\x94", b"t", b"l", b"d", b"\x85",
                                 b"\x86", b"\x91", b"I01\n", b"F1.5\n", b"Va\n", b"C\x01a"]), max_size=40))  # fmt: skip
def test_what_the_machine_accepts_pickle_accepts_with_the_same_value(opcodes: list[bytes]) -> None:
    data = b"".join(opcodes) + b"."
    try:
        mine = evaluate(read_pickle(data).root)
    except (ModelcrateError, TypeError, RecursionError):
        return  # refused, or a dict with keys that can't be hashed, which only evaluating it shows
    assert repr(mine) == repr(pickle.loads(data))
