"""What ``torch.save`` was given, as a crate: modules, state dicts, checkpoint dicts, tensors in any arrangement.

=============================== =========================== ======================================================
the file holds                  model type                  components
=============================== =========================== ======================================================
a whole module                  ``nn.module/1``             ``module``: ``torch.nn/1``, or the tag of its class
a state dict                    ``torch.state_dict/1``      ``state_dict``
anything else                   ``torch.values/1``          ``values``, and one for each module or state dict in it
=============================== =========================== ======================================================

A checkpoint dict is of the last kind, not a ``training.checkpoint/1``: it does not say which optimizer it was, nor
which parameter is which. Loading gives the dict back, for ``load_state_dict`` of whoever made it.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final, TypeGuard

import numpy as np
import torch

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UnsupportedError
from modelcrate.format.extensions import DTYPE_SIZES
from modelcrate.format.manifest import Omission
from modelcrate.inference.fitted import Preprocessing
from modelcrate.legacy.export import module_state, named_tensors
from modelcrate.legacy.families import sklearn_preprocessing
from modelcrate.legacy.families.gretel_actgan import Translation
from modelcrate.legacy.families.torch_module import Module, is_module, translate_module
from modelcrate.legacy.read import values_of
from modelcrate.legacy.record import Name, Record
from modelcrate.legacy.script import Program
from modelcrate.legacy.view import View
from modelcrate.nn.dtypes import name_of
from modelcrate.nn.nested import DEPTH
from modelcrate.parts import MODULE, STATE_DICT, VALUES
from modelcrate.storage.component import ComponentData
from modelcrate.tabular.preprocessing import scikit
from modelcrate.values_parts import VALUES_COMPONENT, Path, state_dict_component, values_component

PARTS: Final = 60
"""Networks that become components of their own; a crate has at most 64 members, and more than this is no family."""
STATE_DICT_DEPTH: Final = 3
"""Maps inside maps in which a state dict is looked for."""
_LEAVES: Final = frozenset([type(None), bool, int, float, str, bytes])
_NAMESPACES: Final = ("argparse.Namespace", "types.SimpleNamespace")
_NO_NAME: Final = re.compile(r"[^a-z0-9_]+")


def translate(view: View) -> Translation:
    """Translate the object of a file that ``torch.save`` or a pickle of tensors holds.

    Raises UnsupportedError, naming the path, for tensors and layers that no crate can hold.
    """
    value, where = values_of(view), view.path
    if isinstance(value, Record) and is_module(value):
        return _module(value, where)
    if isinstance(value, Record):
        raise UnsupportedError(f"no known model: the file holds an object of {value.class_name}", where=where)
    if _is_state_dict(value, depth=0):
        component = state_dict_component(value, name="state_dict", role="state_dict", where=where)
        return Translation(model=(STATE_DICT, {}), components=[component], hyperparameters={})
    return _Values(where, view).translate(value)


def translate_weights(view: View, program: Program | None = None) -> Translation:
    """Every tensor of a file under its dotted path, as one state dict; all else is left out.

    Of a whole module these are what its ``state_dict()`` holds. ``program`` is what a TorchScript archive has beside
    its module: its code is listed as left out, and its constants too, unless they are all the tensors that there are.
    """
    where = view.path
    tensors = weights_of(values_of(view), where, script=program is not None)
    held = [] if program is None else list(weights_of(values_of(program.constants()), where).items())
    notes = []
    if held and not tensors:
        tensors = {f"constants.{name}": tensor for name, tensor in held}
        notes.append(f"a frozen program: its {len(held)} tensors have no names, only numbers among its constants")
        held = []
    if not tensors:
        raise UnsupportedError("there is no tensor in it", where=where)
    component = state_dict_component(tensors, name="state_dict", role="state_dict", where=where)
    found = Translation(model=(STATE_DICT, {}), components=[component], hyperparameters={}, notes=notes)
    found.omitted.append(Omission(what="everything but tensors", where=where, why="only the weights were asked for"))
    if program is not None:
        found.omitted += _program(program, held, where)
    return found


def weights_of(value: object, where: str, *, script: bool = False) -> dict[str, torch.Tensor]:
    """Every tensor of a value by its dotted path, those that are tied under each of their names.

    The modules of a ``script`` also have private lists that name their parameters again; those names go.
    """
    whole = module_state(value) if isinstance(value, Record) and is_module(value) else value
    tensors, aliases = named_tensors(whole, where)
    if script:
        aliases = {name: kept for name, kept in aliases.items() if "._" not in f".{name}"}
    return tensors | {name: tensors[kept] for name, kept in aliases.items()}


def _program(program: Program, constants: list[tuple[str, torch.Tensor]], where: str) -> list[Omission]:
    """What of a TorchScript program stays behind, a line a kind: crates carry no code."""
    found = []
    for what, members, why in (
        ("code of the program", program.code, "a crate carries no code"),
        ("what lies beside the module", program.others, "only the weights were asked for"),
    ):
        if members:
            names = ", ".join(f"{name} ({size} bytes)" for name, size in members[:20])
            more = f" and {len(members) - 20} more" if len(members) > 20 else ""
            found.append(Omission(what=f"{what} (files: {len(members)})", where=names + more, why=why))
    if constants:
        shapes = ", ".join(f"{name}: {name_of(it.dtype)} {list(it.shape)}" for name, it in constants[:20])
        what = f"{len(constants)} constants of the program ({shapes}{', …' if len(constants) > 20 else ''})"
        found.append(Omission(what=what, where=f"{where}, constants.pkl", why="they have no names"))
    return found


def _module(record: Record, where: str) -> Translation:
    made = translate_module(record, name="module", role="module", where=where)
    return Translation(
        model=(MODULE, {"training": made.training, "dtype": None}),
        components=[made.component],
        hyperparameters=_described({"module": made}),
        omitted=made.omitted,
        notes=made.notes,
    )


def _described(modules: dict[str, Module]) -> dict[str, Any]:
    """For people: the classes that have no code here, and the layers inside."""
    found = {name: {"class": made.class_name, "layers": made.layers} for name, made in modules.items() if made.layers}
    return {"modules": found} if found else {}


def _at(view: View, path: Path) -> View:
    """The node at a path of keys and indices; FormatError where maps and lists do not lead to it."""
    for step in path:
        held: dict[Any, View] = view.mapping() if type(step) is str else dict(enumerate(view.items()))
        if step not in held:
            raise FormatError("its place in the file can't be found", where=view.path)
        view = held[step]
    return view


def _is_state_dict(value: object, depth: int) -> TypeGuard[dict[str, torch.Tensor]]:
    """Whether a value is a map from names to tensors; inside of other values, one that a module gave, by its names."""
    if not isinstance(value, dict) or not value:
        return False
    if not all(type(key) is str and isinstance(item, torch.Tensor) for key, item in value.items()):
        return False
    named = hasattr(value, "_metadata") or any("." in key or key in ("weight", "bias") for key in value)
    return depth == 0 or (depth <= STATE_DICT_DEPTH and named)


class _Values:
    """One value on its way: plain data kept, networks taken out as parts, objects left out and listed."""

    def __init__(self, where: str, view: View) -> None:
        self.where = where
        self.view = view
        self.components: list[ComponentData] = []
        self.modules: dict[str, Module] = {}
        self.parts: dict[str, Path] = {}
        self.omitted: list[Omission] = []
        self.notes: list[str] = []
        self.storages: dict[int, str] = {}

    def translate(self, value: object) -> Translation:
        plain = self.value(value, (), 0, inside=True)
        main = values_component(plain, VALUES, parts=self.parts, where=self.where)
        self._note_shared(plain, VALUES_COMPONENT)
        return Translation(
            model=(VALUES, {}),
            components=[main, *self.components],
            hyperparameters=_described(self.modules),
            omitted=self.omitted,
            notes=list(dict.fromkeys(self.notes)),
        )

    def value(self, value: Any, path: Path, depth: int, *, inside: bool) -> Any:
        """``value`` as plain data; ``inside`` says that only dicts and lists lead here, so that parts have a place."""
        if type(value) in _LEAVES:
            return value
        where = ".".join([self.where, *map(str, path)])
        if depth > DEPTH:
            raise LimitError(f"values nested deeper than {DEPTH}, or one that contains itself", where=where)
        if isinstance(value, Record):
            return self._record(value, path, depth, where, inside)
        if isinstance(value, Name):
            return self._left_out(f"{value.name}", where, "it is a class or a function")
        if inside and _is_state_dict(value, depth) and len(self.parts) < PARTS:
            name = self._take(path)
            self.components.append(state_dict_component(value, name=name, role="network", where=where))
            self._note_shared(value, name)
            return None
        if isinstance(value, dict):
            return {
                key: self.value(it, (*path, key), depth + 1, inside=inside and type(key) is str)
                for key, it in value.items()
            }
        if isinstance(value, list | deque):
            return [self.value(it, (*path, index), depth + 1, inside=inside) for index, it in enumerate(value)]
        if type(value) in (tuple, torch.Size):
            return tuple(self.value(it, (*path, index), depth + 1, inside=False) for index, it in enumerate(value))
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value, path, depth, where)
        if isinstance(value, bytearray):
            return bytes(value)
        if isinstance(value, torch.dtype | torch.device | torch.Tensor | set | frozenset | complex):
            return value
        if type(value).__module__ in ("builtins", "datetime", "decimal") and not isinstance(value, range | slice):
            return value
        if type(value).__module__ == "modelcrate.format.values":
            return value
        return self._left_out(f"a {type(value).__name__}", where, "it is no plain data")

    def _record(self, value: Record, path: Path, depth: int, where: str, inside: bool) -> Any:
        if is_module(value):
            if not inside or len(self.parts) >= PARTS:
                raise UnsupportedError("a module in a place that a crate can't name", where=where)
            name = self._take(path)
            made = translate_module(value, name=name, role="module", where=where, with_mode=True)
            self.modules[name] = made
            self.components.append(made.component)
            self.omitted += made.omitted
            self.notes += [f"{where}: {note}" for note in made.notes]
            return None
        if value.class_name in _NAMESPACES and type(value.state) is dict:
            self.notes.append(f"{where}: a {value.class_name} became a map")
            return self.value(value.state, path, depth, inside=inside)
        if inside and value.class_name.partition(".")[0] == scikit.PACKAGE and len(self.parts) < PARTS:
            return self._preprocessing(value, path, where)
        return self._left_out(f"an object of {value.class_name}", where, "objects are no data")

    def _preprocessing(self, value: Record, path: Path, where: str) -> None:
        """A fitted scaler, encoder or imputer becomes a part; another object of its library is left out."""
        try:
            step, columns = sklearn_preprocessing.translate(_at(self.view, path))
            made = Preprocessing(step, columns)
        except LimitError:
            raise
        except ModelcrateError as error:
            return self._left_out(f"an object of {value.class_name}", where, error.what)
        self.components.append(made.component(self._take(path)))
        kind = value.class_name.rpartition(".")[2]
        self.notes.append(f"{where}: the {kind} became a Preprocessing of modelcrate, which gives the same numbers")
        return None

    def _array(self, value: Any, path: Path, depth: int, where: str) -> Any:
        kind = value.dtype.kind
        if kind in "OU" and isinstance(value, np.ndarray):
            self.notes.append(f"{where}: an array of texts or objects became a list")
            return self.value(value.tolist(), path, depth + 1, inside=False)
        if kind == "U":
            return str(value)
        if value.dtype.fields is not None or value.dtype.newbyteorder("=").name not in DTYPE_SIZES:
            return self._left_out(f"an array of dtype {value.dtype}", where, "no crate can hold it")
        if not value.dtype.isnative:
            value = value.astype(value.dtype.newbyteorder("="))
        return value[()] if value.ndim == 0 else value

    def _left_out(self, what: str, where: str, why: str) -> None:
        self.omitted.append(Omission(what=what, where=where, why=f"{why}; None stands in its place"))

    def _take(self, path: Path) -> str:
        """A component's name for a place: its last key that can be one, or a number."""
        words = [_NO_NAME.sub("_", str(step).lower()).strip("_") for step in path if type(step) is str]
        name = (words[-1] if words else "")[:48]
        if not name or not name[0].isalpha() or name in (VALUES_COMPONENT, "manifest"):
            name = f"part_{name}".rstrip("_")
        base, number = name, 2
        while name in self.parts:
            name, number = f"{base}_{number}", number + 1
        self.parts[name] = path
        return name

    def _note_shared(self, value: object, name: str) -> None:
        """Tensors of different components that share memory in the file have their own in the crate."""
        for tensor in named_tensors(value, self.where)[0].values():
            pointer = tensor.untyped_storage().data_ptr()
            owner = self.storages.setdefault(pointer, name) if tensor.numel() else name
            if owner != name:
                self.notes.append(f"tensors of {owner!r} and {name!r} share memory in the file, and not in the crate")
