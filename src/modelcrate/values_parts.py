"""Plain values with tensors as components: a state dict, a checkpoint dict, whatever ``torch.save`` was given.

A crate of ``torch.state_dict/1`` is one component: tensors by their names in a state dict, as plain safetensors. A
crate of ``torch.values/1`` has a component ``values`` with everything else, and one component for each network in it:
a state dict as ``torch.state_dict/1``, a whole module under its own type. Loading gives the same value again, with
modules and state dicts back in their places. The state document of both types (``torch.values.1.schema.json`` and
``torch.state_dict.1.schema.json``):

============= =====================================================================================
``version``   1
``value``     the value (:mod:`modelcrate.nn.nested`), maps in their order, None where a part stands
``parts``     component -> the keys and indices that lead to its place (``torch.values/1`` only)
``shared``    storages that several of the component's tensors lie in (:mod:`modelcrate.nn.sharing`)
``learning``  tensors that take gradients; ``parameters``: those that are ``torch.nn.Parameter``
``metadata``  what ``state_dict()._metadata`` said, where it was there
============= =====================================================================================
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from modelcrate.crate import Crate
from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError
from modelcrate.format.document import Fields
from modelcrate.format.values import Value
from modelcrate.limits import DEFAULT
from modelcrate.nn import nested
from modelcrate.nn.nested import TensorSink
from modelcrate.nn.sharing import Shared, find_shared
from modelcrate.nn.tensors import tensor_data, tensor_view
from modelcrate.parts import PREPROCESSING, STATE_DICT, VALUES
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent

if TYPE_CHECKING:
    from modelcrate.module_parts import Given

VALUES_COMPONENT: Final = "values"
"""The component of a crate of values that holds what no other component does."""
VERSION: Final = 1
Path = tuple["str | int", ...]


def state_dict_component(tensors: Mapping[str, Any], *, name: str, role: str, where: str) -> ComponentData:
    """A state dict as a component; raises as :func:`values_component`."""
    metadata = getattr(tensors, "_metadata", None)
    sink = TensorSink()
    document = _document(dict(tensors), where=where, sink=sink)
    if isinstance(metadata, dict):
        document["metadata"] = _encode(metadata, where=f"{where}._metadata", sink=None)
    return _component(name, role, STATE_DICT, document, sink, where)


def values_component(value: object, tag: str, *, parts: Mapping[str, Path], where: str) -> ComponentData:
    """Any plain value as the component ``values``; ``parts`` says where other components belong in it.

    Raises UnsupportedError that names the path, for what is no data and for a tensor that no crate holds.
    """
    sink = TensorSink()
    document = _document(value, where=where, sink=sink)
    document["parts"] = {name: list(path) for name, path in parts.items()}
    return _component(VALUES_COMPONENT, "values", tag, document, sink, where)


def _document(value: object, *, where: str, sink: TensorSink) -> dict[str, Value]:
    try:
        return {"version": VERSION, "value": _encode(value, where="", sink=sink)}
    except ModelcrateError as error:  # its path begins inside of the value
        place = f"{where}.{error.where}" if error.where else where
        raise UnsupportedError(error.what, where=place, hint=error.hint) from None


def _component(
    name: str, role: str, tag: str, document: dict[str, Value], sink: TensorSink, where: str
) -> ComponentData:
    live = sink.live
    document["shared"] = [one.to_document() for one in find_shared(sink.tensors)]
    document["learning"] = [key for key, tensor in live.items() if tensor.requires_grad]
    document["parameters"] = [key for key, tensor in live.items() if isinstance(tensor, torch.nn.Parameter)]
    document = {key: item for key, item in document.items() if item or key in ("version", "value")}
    held = {key: tensor_data(tensor, where=f"{where}.{key}") for key, tensor in sink.tensors.items()}
    return ComponentData(name=name, role=role, type=tag, tensors=held, state=document)


class _Encoder(nested.Encoder):
    """Keeps the order of maps, and names tensors by the dotted path of keys and indices that leads to them."""

    def items(self, found: Any, where: str, depth: int) -> list[Value]:
        return [self.value(item, _join(where, index), depth + 1) for index, item in enumerate(found)]

    def mapping(self, found: Mapping[Any, object], where: str, depth: int) -> Value:
        if all(type(key) is str for key in found) and list(found) == sorted(found):
            return {
                f"@{key}" if key.startswith("@") else key: self.value(item, _join(where, key), depth + 1)
                for key, item in found.items()
            }
        return {"@pairs": self.pairs(found, where, depth)}

    def pairs(self, found: Mapping[Any, object], where: str, depth: int) -> list[Value]:
        pairs: list[Value] = []
        for key, item in found.items():
            self.check_key(key, where)
            encoded = self.value(key, f"{where} key", depth + 1)
            pairs.append([encoded, self.value(item, _join(where, key), depth + 1)])
        return pairs


def _join(where: str, step: object) -> str:
    text = str(step)[:512]
    return f"{where}.{text}" if where else text


def _encode(value: object, *, where: str, sink: TensorSink | None) -> Value:
    return _Encoder(sink).value(value, where, 0)


# -- and back


def load_any(crate: Crate, device: torch.device, architecture: Given | Mapping[str, Given]) -> Any:
    """The value of a crate of ``torch.values/1`` or ``torch.state_dict/1``.

    With ``architecture``, a state dict is loaded into the module that it builds.
    """
    from modelcrate.module_parts import given_for, load_component

    model = crate.manifest.model
    assert model is not None  # load() found the tag in it
    if model.type == VALUES:
        return load_values(
            crate,
            model.config,
            device,
            lambda part: load_component(part, device, architecture=given_for(architecture, part.name)),
        )
    Fields(dict(model.config), "manifest.model.config").finish()
    if len(crate) != 1:
        raise FormatError("a state dict is one component", where="manifest.components")
    (part,) = crate.values()
    given = given_for(architecture, part.name)
    return load_state_dict(part, device) if given is None else load_component(part, device, architecture=given)


def load_values(
    crate: Crate, config: Mapping[str, Any], device: torch.device, load_module: Callable[[StoredComponent], Any]
) -> Any:
    """The value of a crate of ``torch.values/1``; ``load_module`` makes the module of a component.

    Raises FormatError for a document that is none, or parts that have no place in it.
    """
    Fields(dict(config), "manifest.model.config").finish()
    if VALUES_COMPONENT not in crate:
        raise FormatError(f"the component {VALUES_COMPONENT!r} is missing", where="manifest.components")
    main = crate[VALUES_COMPONENT]
    value, fields = _read(main, device)
    places = fields.fields("parts") if fields.has("parts") else Fields({}, fields.where)
    if set(places.names()) != set(crate) - {VALUES_COMPONENT}:
        raise FormatError("the parts are not the other components", where=places.where)
    found: dict[str, Any] = {}
    for name in places.names():
        part = crate[name]
        if part.type == STATE_DICT:
            found[name] = load_state_dict(part, device)
        elif part.type == PREPROCESSING:
            from modelcrate.inference.fitted import Preprocessing

            found[name] = Preprocessing.of_component(part)
        else:
            found[name] = load_module(part)
    for name in places.names():
        value = _put(value, places.items(name, max_items=nested.DEPTH), found[name], places.path(name))
    fields.finish()
    return value


def load_state_dict(component: StoredComponent, device: torch.device) -> OrderedDict[str, torch.Tensor]:
    """The state dict of a component, in its order, with the metadata that it had; raises FormatError."""
    value, fields = _read(component, device)
    if type(value) is not dict or not all(
        type(key) is str and isinstance(item, torch.Tensor) for key, item in value.items()
    ):
        raise FormatError("expected tensors by name", where=fields.path("value"))
    found: OrderedDict[str, torch.Tensor] = OrderedDict(value)
    if fields.has("metadata"):
        metadata = nested.decode(fields.value("metadata"), where=fields.path("metadata"), tensors={})
        if type(metadata) is not dict:
            raise FormatError("expected a map", where=fields.path("metadata"))
        vars(found)["_metadata"] = OrderedDict(metadata)  # where Module.state_dict() puts it
    fields.finish()
    return found


def _read(component: StoredComponent, device: torch.device) -> tuple[Any, Fields]:
    """The value of one component, its tensors on the device, and what of its document was not read."""
    fields = Fields(component.state, f"{component.where}.state")
    version = fields.integer("version", minimum=1)
    if version != VERSION:
        raise UnsupportedError(f"values of version {version}, this reader knows {VERSION}", where=fields.where)
    tensors = _tensors(component, fields, device)
    used: set[str] = set()
    value = nested.decode(fields.value("value"), where=fields.path("value"), tensors=tensors, used=used)
    nested.check_used(tensors, used, where=component.where)
    return value, fields


def _tensors(component: StoredComponent, fields: Fields, device: torch.device) -> dict[str, torch.Tensor]:
    if not component.has_weights:
        return {}
    header, weights = component.header, component.weights
    tensors = {
        name: tensor_view(weights, header, entry, where=f"{component.where} tensor {name}").to(device)
        for name, entry in header.entries.items()
    }
    if fields.has("shared"):
        for index, one in enumerate(fields.each_fields("shared", max_items=DEFAULT.tensors)):
            shared = Shared.from_fields(one)
            tensors.update(shared.lay_out(tensors, f"{fields.path('shared')}[{index}]"))
    learning = set(fields.texts("learning")) if fields.has("learning") else set()
    parameters = set(fields.texts("parameters")) if fields.has("parameters") else set()
    for name in learning | parameters:
        if name not in tensors:
            raise FormatError(f"there is no tensor {name!r}", where=fields.where)
        floating = tensors[name].is_floating_point() or tensors[name].is_complex()
        if name in learning and not floating:
            raise FormatError(f"the tensor {name!r} can't take gradients", where=fields.where)
        if name in parameters:
            tensors[name] = torch.nn.Parameter(tensors[name], requires_grad=name in learning)
        else:
            tensors[name].requires_grad_()
    return tensors


def _put(value: Any, path: list[object], part: Any, where: str) -> Any:
    """``value`` with ``part`` in the place of the None that a path of keys and indices leads to."""
    if not path:
        if value is not None:
            raise FormatError("a part whose place is taken", where=where)
        return part
    holder = value
    for step in path[:-1]:
        holder = _step(holder, step, where)
    if _step(holder, path[-1], where) is not None:
        raise FormatError("a part whose place is taken", where=where)
    holder[path[-1]] = part
    return value


def _step(holder: Any, step: object, where: str) -> Any:
    if type(holder) is dict and type(step) is str and step in holder:
        return holder[step]
    if type(holder) is list and type(step) is int and 0 <= step < len(holder):
        return holder[step]
    raise FormatError("a part whose place does not exist", where=where)
