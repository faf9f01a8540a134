"""Fitted objects and arrays as JSON, and stand-ins made of it: objects with the class names and attributes of the real
ones, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

PLAIN = (type(None), bool, int, float, str)


def dump(value: Any) -> Any:
    """A value as JSON with tagged maps; what is neither data nor a fitted object becomes ``{"$other": type}``."""
    if isinstance(value, np.ndarray):
        items = [dump(item) for item in value.reshape(-1).tolist()]
        return {"$array": value.dtype.str, "shape": list(value.shape), "items": items}
    if isinstance(value, np.generic):
        return {"$scalar": value.dtype.str, "item": value.item()}
    if type(value) in PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return {"$tuple": [dump(item) for item in value]} if isinstance(value, tuple) else [dump(it) for it in value]
    if isinstance(value, dict):
        return {"$map": [[dump(key), dump(item)] for key, item in value.items()]}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"$dtype": np.dtype(value).str}
    if type(value).__name__ == "NAType":
        return {"$na": True}
    if type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__"):
        cls = type(value)
        return {"$object": [cls.__module__, cls.__qualname__], "attributes": dump(vars(value))}
    return {"$other": type(value).__name__}


def build(value: Any) -> Any:
    """The value that :func:`dump` took down; fitted objects as stand-ins."""
    if isinstance(value, list):
        return [build(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        dtype = np.dtype(value["$array"])
        if dtype.kind != "O":
            return np.array(value["items"], dtype=dtype).reshape(value["shape"])
        array = np.empty(len(value["items"]), dtype=object)
        array[:] = [build(item) for item in value["items"]]
        return array.reshape(value["shape"])
    if "$scalar" in value:
        return np.dtype(value["$scalar"]).type(value["item"])
    if "$tuple" in value:
        return tuple(build(item) for item in value["$tuple"])
    if "$map" in value:
        return {build(key): build(item) for key, item in value["$map"]}
    if "$dtype" in value:
        return np.dtype(value["$dtype"])
    if "$na" in value:
        return type("NAType", (), {})()
    if "$object" in value:
        module, name = value["$object"]
        return stand_in(module, name, build(value["attributes"]))
    return object()


def stand_in(module: str, name: str, attributes: dict[str, Any]) -> Any:
    """An object that says it is of a class, with attributes of its own and no method."""
    made = type(name, (), {"__module__": module, "__qualname__": name})()
    made.__dict__.update(attributes)
    return made
