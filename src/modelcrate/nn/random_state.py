"""The states of random number generators as plain data: Python's, NumPy's, torch's on the CPU and each CUDA device.

A document names the algorithm and gives its numbers; nothing in it is handed to a ``setstate`` before length and range
have been checked here. Kinds of generator are looked up in the tables below, never by a name in a file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch

from modelcrate.errors import FormatError, MismatchError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.names import COMPONENT_PATTERN
from modelcrate.format.values import Value

RANDOM_STATE_TYPE = "training.random_state/1"

Generator: TypeAlias = "random.Random | np.random.Generator | np.random.RandomState | torch.Generator"
"""A generator of the caller's own, kept beside the global ones."""

MERSENNE_WORDS = 624
TORCH_BYTES = 1 << 16
"""Bytes of one torch generator's state: 5,056 on the CPU and 16 on CUDA today."""
DEVICES = 1024
GENERATORS = 1024

_WORD = 2**64
_KINDS = ("python", "numpy", "torch")

_LAYOUTS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "MT19937": (("key", MERSENNE_WORDS, "uint32"), ("pos", 0, "word")),
    "PCG64": (("state", 0, "wide"), ("inc", 0, "wide")),
    "PCG64DXSM": (("state", 0, "wide"), ("inc", 0, "wide")),
    "Philox": (("counter", 4, "uint64"), ("key", 2, "uint64")),
    "SFC64": (("state", 4, "uint64"),),
}
"""Fields of each of NumPy's bit generators: an array of so many words, a word, or a 128-bit integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomState:
    """The state of every generator that was asked for, as documents; ``cuda`` has one state for each device."""

    python: Mapping[str, Value]
    numpy: Mapping[str, Value]
    torch: Value
    cuda: tuple[Value, ...]
    own: Mapping[str, Mapping[str, Value]]

    @classmethod
    def capture(cls, own: Mapping[str, Generator] | None = None, *, where: str = "random_state") -> RandomState:
        """The global generators now, and those in ``own`` by name. Devices that CUDA has not touched are not touched.

        Raises UsageError for an object that is no generator, or whose kind is unknown.
        """
        used: bool = torch.cuda.is_available() and cast(Any, torch.cuda).is_initialized()  # torch left it untyped
        devices = torch.cuda.device_count() if used else 0
        return cls(
            python=_capture_python(random.getstate()),
            numpy=_capture_legacy(np.random.get_state(legacy=False), where=f"{where}.numpy"),
            torch=_torch_bytes(torch.get_rng_state()),
            cuda=tuple(_torch_bytes(torch.cuda.get_rng_state(index)) for index in range(devices)),
            own={name: _capture(generator, f"{where}.{name}") for name, generator in (own or {}).items()},
        )

    def to_document(self) -> dict[str, Value]:
        """See ``training.random_state.1.schema.json``."""
        return {
            "python": dict(self.python),
            "numpy": dict(self.numpy),
            "torch": self.torch,
            "cuda": list(self.cuda),
            "own": {name: dict(state) for name, state in self.own.items()},
        }

    @classmethod
    def from_document(cls, fields: Fields) -> RandomState:
        """Read a document strictly: lengths, ranges, known algorithms."""
        _check_python(fields.fields("python"))
        _check_legacy(fields.fields("numpy"))
        _read_torch(fields, "torch")
        cuda = Fields({str(i): item for i, (_, item) in enumerate(fields.each("cuda", max_items=DEVICES))}, "cuda")
        for name in cuda.names():
            _read_torch(cuda, name)
        own = fields.fields("own")
        if len(own.names()) > GENERATORS:
            raise FormatError(f"more than {GENERATORS} generators", where=own.where)
        found: dict[str, Any] = {}
        for name in own.names():
            if re.fullmatch(COMPONENT_PATTERN, name) is None:
                raise FormatError(f"{name!r} can't name a generator", where=own.where)
            _check_own(own.fields(name))
            found[name] = own.value(name)
        values = {name: fields.value(name) for name in ("python", "numpy", "torch", "cuda")}
        fields.finish()
        return cls(
            python=_as_map(values["python"]),
            numpy=_as_map(values["numpy"]),
            torch=values["torch"],
            cuda=tuple(cast("list[Value]", values["cuda"])),  # read one by one above
            own=found,
        )

    def prepare(
        self, own: Mapping[str, Generator] | None = None, *, where: str = "random_state"
    ) -> Callable[[], list[str]]:
        """Check what can be checked, and return what sets the generators (and returns notes for the report).

        Raises MismatchError for a generator in ``own`` that was not saved, or that is of another kind.
        """
        notes: list[str] = []
        actions: list[Callable[[], None]] = [lambda: random.setstate(_python_tuple(self.python))]
        name = np.random.get_state(legacy=False)["bit_generator"]
        if name != self.numpy["bit_generator"]:
            raise MismatchError(f"saved from {self.numpy['bit_generator']}, here it is {name}", where=f"{where}.numpy")
        actions.append(lambda: np.random.set_state(_numpy_dict(self.numpy)))
        actions.append(lambda: torch.set_rng_state(_torch_tensor(self.torch)))
        present = torch.cuda.device_count() if torch.cuda.is_available() else 0
        for index, state in enumerate(self.cuda[:present]):
            actions.append(_cuda_setter(index, state))
        if len(self.cuda) > present:
            notes.append(f"{where}.cuda: {len(self.cuda)} devices were saved, {present} are here")
        for key, generator in (own or {}).items():
            if key not in self.own:
                raise MismatchError("no such generator was saved", where=f"{where}.{key}")
            actions.append(_setter(generator, self.own[key], f"{where}.{key}"))
        unused = sorted(set(self.own) - set(own or {}))
        if unused:
            notes.append(f"{where}: saved and not asked for: {', '.join(unused)}")

        def apply() -> list[str]:
            try:
                for action in actions:
                    action()
            except (ValueError, TypeError, RuntimeError, OverflowError, KeyError) as error:
                raise FormatError(f"a generator refused its state: {error}", where=where) from error
            return notes

        return apply


def _capture(generator: object, where: str) -> dict[str, Value]:
    if isinstance(generator, torch.Generator):
        return {"kind": "torch", "state": _torch_bytes(generator.get_state()), "device": generator.device.type}
    if isinstance(generator, np.random.Generator):
        return {"kind": "numpy", "state": _capture_bits(dict(generator.bit_generator.state), where)}
    if isinstance(generator, np.random.RandomState):
        return {"kind": "numpy_legacy", "state": _capture_legacy(generator.get_state(legacy=False), where)}
    if type(generator) is random.Random:
        return {"kind": "python", "state": _capture_python(generator.getstate())}
    raise UsageError(f"an object of type {type(generator).__name__} is no generator that can be kept", where=where)


def _capture_python(state: tuple[Any, ...]) -> dict[str, Value]:
    version, words, gauss = state
    return {
        "version": version,
        "words": np.asarray(words[:-1], dtype=np.uint32),
        "position": words[-1],
        "gauss": gauss,
    }


def _capture_legacy(state: Any, where: str) -> dict[str, Value]:
    document = _capture_bits(state, where)
    return {**document, "has_gauss": int(state["has_gauss"]), "gauss": float(state["gauss"])}


def _capture_bits(state: Mapping[str, Any], where: str) -> dict[str, Value]:
    name = state["bit_generator"]
    if name not in _LAYOUTS:
        raise UsageError(f"the bit generator {name} can't be kept", where=where)
    fields: dict[str, Value] = {}
    for field, words, kind in _LAYOUTS[name]:
        value = state["state"][field]
        fields[field] = np.array(value, dtype=kind) if words else int(value)
    document: dict[str, Value] = {"bit_generator": name, "state": fields}
    for extra in ("has_uint32", "uinteger", "buffer_pos"):
        if extra in state:
            document[extra] = int(state[extra])
    if "buffer" in state:
        document["buffer"] = np.array(state["buffer"], dtype=np.uint64)
    return document


def _check_python(fields: Fields) -> None:
    fields.integer("version", minimum=3, maximum=3)
    _words(fields, "words", MERSENNE_WORDS, "uint32")
    fields.integer("position", minimum=0, maximum=MERSENNE_WORDS)
    fields.nullable("gauss", fields.number)
    fields.finish()


def _check_legacy(fields: Fields) -> None:
    fields.integer("has_gauss", minimum=0, maximum=1)
    fields.number("gauss")
    _check_bits(fields)


def _check_bits(fields: Fields) -> None:
    name = fields.text("bit_generator", choices=tuple(_LAYOUTS))
    state = fields.fields("state")
    for field, words, kind in _LAYOUTS[name]:
        if words:
            _words(state, field, words, kind)
        elif kind == "word":
            state.integer(field, minimum=0, maximum=MERSENNE_WORDS)
        else:
            value = state.value(field)
            if type(value) is not int or not 0 <= value < 2**128:
                raise FormatError("expected a 128-bit integer", where=state.path(field))
    state.finish()
    if fields.has("has_uint32"):
        fields.integer("has_uint32", minimum=0, maximum=1)
        fields.integer("uinteger", minimum=0, maximum=2**32 - 1)
    if name == "Philox":
        fields.integer("buffer_pos", minimum=0, maximum=4)
        _words(fields, "buffer", 4, "uint64")
    fields.finish()


def _check_own(fields: Fields) -> None:
    kind = fields.text("kind", choices=(*_KINDS, "numpy_legacy"))
    if kind == "torch":
        fields.text("device", choices=("cpu", "cuda", "mps", "xpu"))
        _read_torch(fields, "state")
    elif kind == "python":
        _check_python(fields.fields("state"))
    elif kind == "numpy":
        _check_bits(fields.fields("state"))
    else:
        _check_legacy(fields.fields("state"))
    fields.finish()


def _words(fields: Fields, name: str, count: int, dtype: str) -> None:
    if fields.array(name, dtype=dtype).shape != (count,):
        raise FormatError(f"expected {count} words", where=fields.path(name))


def _read_torch(fields: Fields, name: str) -> None:
    if fields.array(name, dtype="uint8").size > TORCH_BYTES:
        raise FormatError(f"more than {TORCH_BYTES} bytes", where=fields.path(name))


def _as_map(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _torch_bytes(state: torch.Tensor) -> Value:
    return state.cpu().numpy().astype(np.uint8, copy=True)


def _torch_tensor(state: Value) -> torch.Tensor:
    return torch.from_numpy(np.array(state, dtype=np.uint8))


def _python_tuple(state: Mapping[str, Value]) -> tuple[Any, ...]:
    return (state["version"], (*state["words"].tolist(), state["position"]), state["gauss"])


def _numpy_dict(state: Mapping[str, Value]) -> dict[str, Any]:
    return {**state, "state": dict(state["state"])}


def _cuda_setter(index: int, state: Value) -> Callable[[], None]:
    return lambda: torch.cuda.set_rng_state(_torch_tensor(state), index)


def _setter(generator: object, saved: Mapping[str, Value], where: str) -> Callable[[], None]:
    """What sets one of the caller's own generators; MismatchError if it is of another kind than the saved one."""
    kind, state = saved["kind"], saved["state"]
    if isinstance(generator, torch.Generator) and kind == "torch" and generator.device.type == saved["device"]:
        owner = generator
        return lambda: _discard(owner.set_state(_torch_tensor(state)))
    if isinstance(generator, np.random.Generator) and kind == "numpy":
        bits = generator.bit_generator
        if bits.state["bit_generator"] == state["bit_generator"]:
            return lambda: setattr(bits, "state", _numpy_dict(state))
    if isinstance(generator, np.random.RandomState) and kind == "numpy_legacy":
        legacy = generator
        if legacy.get_state(legacy=False)["bit_generator"] == state["bit_generator"]:
            return lambda: legacy.set_state(_numpy_dict(state))
    if type(generator) is random.Random and kind == "python":
        python = generator
        return lambda: python.setstate(_python_tuple(state))
    raise MismatchError(f"saved from another kind of generator ({kind})", where=where)


def _discard(_: object) -> None:
    """For calls whose result means nothing here."""
