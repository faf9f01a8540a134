"""Holding a value against the JSON with type tags in which the library that wrote a file described it.

Identity counts: what the description calls the same object, or the same storage, must be one here, and no other.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from modelcrate.legacy.record import Name, Record

FOLDER = Path(__file__).resolve().parents[1] / "corpus" / "torch"
PRIVATE = ("_flat_weights_names", "_all_weights")


def source(name: str) -> Path:
    """The file of a case."""
    (found,) = [path for path in FOLDER.glob(f"{name}.*") if ".expected." not in path.name]
    return found


class Description:
    """What the original library said of one file."""

    def __init__(self, name: str) -> None:
        document = json.loads((FOLDER / f"{name}.expected.json").read_text(encoding="utf-8"))
        self.content = document["content"]
        tensors = FOLDER / f"{name}.expected.safetensors"
        self.tensors = load_file(tensors) if tensors.exists() else {}
        self.forward = document.get("forward")
        self._ids: dict[int, object] = {}
        self._storages: dict[int, int] = {}
        self._pointers: dict[int, int] = {}
        self.problems: list[str] = []
        self.compared = Counter()

    def hold(self, value: object) -> list[str]:
        """Every difference between the description and the value, with its path."""
        self._any(self.content, value, "root")
        return self.problems

    def _differs(self, path: str, wanted: object, found: object) -> None:
        self.problems.append(f"{path}: wanted {str(wanted)[:80]}, found {str(found)[:80]}")

    def _same(self, path: str, wanted: object, found: object) -> None:
        if type(wanted) is not type(found) or wanted != found:
            self._differs(path, wanted, found)

    def _any(self, wanted: Any, found: Any, path: str) -> None:
        if not isinstance(wanted, dict):
            return self._same(path, wanted, found)
        kind = wanted["type"]
        self.compared[kind] += 1
        if kind == "ref":
            if self._ids.get(wanted["id"]) is not found:
                self._differs(path, f"the object {wanted['id']} again", found)
            return None
        if "id" in wanted:
            self._ids[wanted["id"]] = found
        method = getattr(self, "_" + kind.replace(".", "_").lower(), None)
        assert method is not None, f"{path}: no comparison for {kind}"
        return method(wanted, found, path)

    # -- containers and numbers

    def _pairs(self, wanted: Any, found: Any, path: str, kind: type) -> None:
        if type(found) is not kind:
            return self._differs(path, kind, type(found))
        if len(found) != len(wanted["items"]):
            self._differs(path, [key for key, _ in wanted["items"]], list(found))
        for (key, item), (ours, value) in zip(wanted["items"], found.items(), strict=False):
            self._any(key, ours, f"{path} key")
            self._any(item, value, f"{path}.{ours}")
        return None

    def _dict(self, wanted: Any, found: Any, path: str) -> None:
        self._pairs(wanted, found, path, dict)

    def _collections_ordereddict(self, wanted: Any, found: Any, path: str) -> None:
        self._pairs(wanted, found, path, OrderedDict)

    def _items(self, wanted: Any, found: Any, path: str, kind: type) -> None:
        if type(found) is not kind or len(found) != len(wanted["items"]):
            return self._differs(path, wanted, found)
        for index, (item, value) in enumerate(zip(wanted["items"], found, strict=True)):
            self._any(item, value, f"{path}.{index}")
        return None

    def _list(self, wanted: Any, found: Any, path: str) -> None:
        self._items(wanted, found, path, list)

    def _tuple(self, wanted: Any, found: Any, path: str) -> None:
        self._items(wanted, found, path, tuple)

    def _torch_size(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, torch.Size(wanted["items"]), found)

    def _int(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, int(wanted["value"]), found)

    def _float(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, wanted["hex"], found.hex() if type(found) is float else found)

    def _torch_device(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, torch.device(wanted["value"]), found)

    def _torch_dtype(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, wanted["value"], str(found))

    def _ndarray(self, wanted: Any, found: Any, path: str) -> None:
        if type(found) is not np.ndarray:
            return self._differs(path, "an array", found)
        self._same(path, (wanted["dtype"], wanted["shape"]), (found.dtype.str, list(found.shape)))
        values = found.ravel().tolist()
        self._same(path, wanted["values"], [repr(v) for v in values] if found.dtype.kind in "fc" else values)
        return None

    # -- tensors and objects

    def _tensor(self, wanted: Any, found: Any, path: str) -> None:
        if not isinstance(found, torch.Tensor):
            return self._differs(path, "a tensor", found)
        cls = {"torch.Tensor": torch.Tensor, "torch.nn.parameter.Parameter": torch.nn.Parameter}[wanted["class"]]
        for name, here in (
            ("dtype", str(found.dtype)),
            ("shape", list(found.shape)),
            ("requires_grad", found.requires_grad),
            ("stride", list(found.stride())),
            ("storage_offset", found.storage_offset() if found.numel() else wanted["storage_offset"]),
        ):
            self._same(f"{path} {name}", wanted[name], here)
        self._same(f"{path} class", cls, type(found))
        self._same(f"{path} device", "cpu", found.device.type)
        if found.numel():
            pointer = found.untyped_storage().data_ptr()
            self._same(f"{path} storage", self._storages.setdefault(wanted["storage"], pointer), pointer)
            self._same(f"{path} storage", self._pointers.setdefault(pointer, wanted["storage"]), wanted["storage"])
        ours = found.detach().contiguous()
        if ours.is_complex():
            ours = torch.view_as_real(ours).contiguous()
        theirs = self.tensors[wanted["key"]]
        equal = ours.dtype == theirs.dtype and ours.shape == theirs.shape
        equal = equal and torch.equal(ours.reshape(-1).view(torch.uint8), theirs.reshape(-1).view(torch.uint8))
        self._same(f"{path} values", True, equal)
        return None

    def _module(self, wanted: Any, found: Any, path: str) -> None:
        if not isinstance(found, Record):
            return self._differs(path, "a record", found)
        held = found.attributes
        self._same(f"{path} class", wanted["class"], found.class_name)
        self._same(f"{path} training", wanted["training"], held["training"])
        for name, table in (("parameters", "_parameters"), ("buffers", "_buffers"), ("children", "_modules")):
            self._same(f"{path} {name}", list(wanted[name]), list(held[table]))
            for key, item in wanted[name].items():
                self._any(item, held[table].get(key), f"{path}.{key}")
        hidden = {"_parameters", "_buffers", "_modules", "training"}
        ours = {
            key: value
            for key, value in held.items()
            if key not in hidden and (not key.startswith("_") or key in PRIVATE) and not isinstance(value, Name)
        }
        self._same(f"{path} attributes", sorted(wanted["attributes"]), sorted(ours))
        for key, item in wanted["attributes"].items():
            self._any(item, ours.get(key), f"{path}.{key}")
        return None

    def _enum(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, (wanted["class"], (wanted["value"],)), (found.class_name, found.args))

    def _dataclass(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, wanted["class"], found.class_name)
        self._same(path, list(wanted["fields"]), list(found.attributes))
        for key, item in wanted["fields"].items():
            self._any(item, found.attributes[key], f"{path}.{key}")

    def _torch_generator(self, wanted: Any, found: Any, path: str) -> None:
        self._same(path, "torch._C.Generator", found.class_name)
        states = [value for value in _leaves(found) if isinstance(value, torch.Tensor)]
        self._same(path, 1, len(states))
        self._any(wanted["state"], states[0], f"{path}.state")


def _leaves(record: Record) -> list[object]:
    found: list[object] = [*record.args, record.state]
    for value in list(found):
        found.extend(value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else ())
    return found
