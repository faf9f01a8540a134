"""Constructors of data with arguments that no library writes."""

from __future__ import annotations

from collections.abc import Iterator

from attacks.streams import Attack, Code, call, literal, name, pickled


def build(code: Code, state: object) -> Code:
    return Code(code.opcodes + literal(state) + b"b")


NDARRAY = name("numpy", "ndarray")
RECONSTRUCT = name("numpy.core.multiarray", "_reconstruct")
FLOAT = build(call(name("numpy", "dtype"), "f8", False, True), (3, "<", None, None, None, -1, -1, 0))
OBJECT = build(call(name("numpy", "dtype"), "O8", False, True), (3, "|", None, None, None, -1, -1, 63))


def array(*, kind: object = NDARRAY, shape: object = (0,), code: object = b"b", state: object = None) -> Code:
    made = call(RECONSTRUCT, kind, shape, code)
    return made if state is None else build(made, state)


CASES = {
    "A27": ("counter", "ordered", "set-of"),
    "A28": ("array-of", "array-shape"),
    "A29": ("array-", "frombuffer"),
    "A30": ("dtype",),
    "A31": ("scalar",),
    "A32": ("mt19937", "bit-generator"),
    "A33": ("block", "range-index", "index-of", "tz-of"),
    "A34": ("estimator",),
    "A36": ("module-of",),
}
"""The cases that the values of this module carry, by the beginnings of their names."""


def _case(label: str) -> str:
    return ", ".join(case for case, starts in CASES.items() if label.startswith(starts))


def attacks() -> Iterator[Attack]:
    broken = {
        "array-short-data": array(state=(1, (4,), FLOAT, False, bytes(8))),
        "array-long-data": array(state=(1, (1,), FLOAT, False, bytes(800))),
        "array-negative-shape": array(state=(1, (-4,), FLOAT, False, bytes(32))),
        "array-float-shape": array(state=(1, (4.0,), FLOAT, False, bytes(32))),
        "array-huge-shape": array(state=(1, (2**62, 4), FLOAT, False, bytes(32))),
        "array-short-state": array(state=(1, (4,), FLOAT)),
        "array-text-state": array(state="hello"),
        "array-objects-as-bytes": array(state=(1, (1,), OBJECT, False, bytes(8))),
        "array-missing-objects": array(state=(1, (4,), OBJECT, False, [1])),
        "array-numbers-as-list": array(state=(1, (1,), FLOAT, False, [1.0])),
        "array-shape-argument": array(shape=(10**9,), state=(1, (1,), FLOAT, False, bytes(8))),
        "frombuffer-short": call(name("numpy.core.numeric", "_frombuffer"), bytes(8), FLOAT, (4,), "C"),
        "frombuffer-order": call(name("numpy.core.numeric", "_frombuffer"), bytes(32), FLOAT, (4,), "Z"),
        "scalar-short": call(name("numpy.core.multiarray", "scalar"), FLOAT, b"123"),
        "scalar-number": call(name("numpy.core.multiarray", "scalar"), FLOAT, 3),
        "dtype-short-state": build(call(name("numpy", "dtype"), "f8", False, True), (3, "<")),
        "dtype-text-state": build(call(name("numpy", "dtype"), "f8", False, True), "x"),
        "dtype-width-lie": build(
            call(name("numpy", "dtype"), "f8", False, True), (3, "<", None, None, None, 4096, 8, 0)
        ),
        "dtype-metadata": build(
            call(name("numpy", "dtype"), "f8", False, True), (4, "<", None, None, None, -1, -1, 0, {"a": 1})
        ),
        "dtype-order": build(call(name("numpy", "dtype"), "f8", False, True), (3, "?", None, None, None, -1, -1, 0)),
        "dtype-fields-lie": build(
            call(name("numpy", "dtype"), "V8", False, True), (3, "|", None, ("a", "b"), {"a": (FLOAT, 0)}, 8, 1, 0)
        ),
        "mt19937-short-key": build(
            call(name("numpy.random._pickle", "__randomstate_ctor"), "MT19937"),
            {"bit_generator": "MT19937", "state": {"key": b"", "pos": 7}, "has_gauss": 0, "gauss": 0.0},
        ),
        "bit-generator-name": call(name("numpy.random._pickle", "__bit_generator_ctor"), "os.system"),
        "block-placement": call(
            name("pandas._libs.internals", "_unpickle_block"), 1, call(name("builtins", "slice"), 0, 10**12, 1), 2
        ),
        "range-index-huge-step": call(
            name("pandas.core.indexes.base", "_new_Index"),
            name("pandas.core.indexes.range", "RangeIndex"),
            {"start": 0, "stop": 2**80, "step": 1, "name": None},
        ),
    }
    unknown = {
        "array-of-class": array(kind=name("acme", "Array"), state=(1, (1,), FLOAT, False, bytes(8))),
        "array-of-subclass": array(kind=name("numpy", "memmap")),
        "index-of-class": call(name("pandas.core.indexes.base", "_new_Index"), name("acme", "Index"), {"data": 1}),
        "counter-of-call": call(name("collections", "Counter"), call(name("acme", "items"))),
        "ordered-dict-of-call": call(name("collections", "OrderedDict"), call(name("acme", "items"))),
        "set-of-iterator": call(name("builtins", "set"), call(name("builtins", "iter"), [1])),
        "decimal-of-context": call(name("decimal", "Decimal"), 1, name("acme", "context")),
        "tz-of-class": call(name("datetime", "datetime"), b"\x07\xe4\x01\x01" + bytes(6), call(name("acme", "Zone"))),
        "estimator-of-class": build(
            Code(name("sklearn.pipeline", "Pipeline").opcodes + b")\x81"),
            {"steps": [("a", call(name("acme", "Step")))]},
        ),
        "module-of-class": build(
            Code(name("torch.nn.modules.container", "Sequential").opcodes + b")\x81"),
            {"_modules": {"0": Code(name("acme", "Layer").opcodes + b")\x81")}},
        ),
        "reconstructor-of-class": call(
            name("copyreg", "_reconstructor"), name("acme", "Thing"), name("builtins", "object"), None
        ),
        "torch-device-class": call(name("torch.utils.data.dataloader", "DataLoader"), [1]),
        "enum-lookup": call(name("acme", "Colour"), 1),
        "partial-of-data": call(name("functools", "partial"), name("collections", "OrderedDict")),
    }
    for label, code in broken.items():
        yield Attack(name=f"value-{label}", data=pickled(code), verdict="broken", about=_case(label))
    for label, code in unknown.items():
        yield Attack(name=f"value-{label}", data=pickled(code), verdict="unknown", about=_case(label))
