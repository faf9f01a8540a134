"""Live models without their libraries: the object of a corpus file, its classes made up under their own names.

Pickle makes the object (the files are this project's own); a class whose package is absent becomes an empty class in a
made-up module, and code that a file holds by value becomes a function that does nothing.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import pickle
import sys
import types
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

MADE_UP = ("ctgan", "rdt", "sdv", "copulas", "gretel_synthetics", "sklearn", "category_encoders")


TUPLES = {
    "SpanInfo": ("dim", "activation_fn"),
    "ColumnTransformInfo": ("column_name", "column_type", "transform", "output_info", "output_dimensions"),
}
"""Named tuples of ctgan; in gretel-synthetics classes of the same names are none."""
NETWORKS = ("Generator", "Residual", "Decoder", "OutputDecoder", "Merger", "SelectLastCell")


class StandIn:
    """An instance of any class: made from whatever it is given, and written down in the same way."""

    def __new__(cls, *args: Any) -> StandIn:
        made = object.__new__(cls)
        made.__dict__["_given"] = args
        return made

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.pop("_given", None)
        self.__dict__.update(state)

    def __reduce_ex__(self, protocol: int) -> Any:
        if "_given" in self.__dict__:
            return type(self), self._given
        return object.__reduce_ex__(self, protocol)


@contextlib.contextmanager
def standins() -> Iterator[None]:
    """Made-up modules for the length of a test; real ones of these names are put aside."""
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in MADE_UP}
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in MADE_UP]:
            del sys.modules[name]
        sys.modules.update(held)


def made_up(module: str, name: str, *bases: type) -> Any:
    """The class of a name, the same each time, in a module that is made on the way."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        path = ".".join(parts[:length])
        sys.modules.setdefault(path, types.ModuleType(path))
    home = sys.modules[module]
    if not hasattr(home, name):
        kind = type(name, bases or (StandIn,), {"__module__": module, "__qualname__": name})
        setattr(home, name, kind)
    return getattr(home, name)


class Reader(pickle.Unpickler):
    """Pickle, with made-up classes in the place of absent ones."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("cloudpickle"):
            return lambda *parts, **more: lambda *given: None
        if module.split(".", maxsplit=1)[0] in MADE_UP:
            if name in TUPLES and module.startswith("ctgan"):
                return made_up(module, name, namedtuple(name, TUPLES[name]))  # type: ignore[misc]
            return made_up(module, name, *([torch.nn.Module] if name in NETWORKS else []))
        if module == "pandas.core.indexes.numeric":
            return pd.Index
        if module.startswith("numpy._core") and not hasattr(np, "_core"):
            module = module.replace("._core", ".core")
        return super().find_class(module, name)


def live(path: Path) -> Any:
    """The object in a corpus file; call it inside of :func:`standins`."""
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
    if content[:2] == b"PK":
        module = types.ModuleType("reading")
        module.Unpickler = Reader  # type: ignore[attr-defined]
        module.load = pickle.load  # type: ignore[attr-defined]
        return torch.load(io.BytesIO(content), pickle_module=module, weights_only=False)
    return Reader(io.BytesIO(content)).load()
