"""One entry of the table of layers: a tag, the class it stands for, its fields, what it costs and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from torch import nn

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.nn.meta import make
from modelcrate.nn.stock.kinds import Kind

Config = dict[str, Any]
"""Constructor arguments by field name, checked against the layer's kinds."""
Children = Mapping[str, "nn.Module | None"]
Shape = tuple[int, ...]

REQUIRED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a layer is made of, as plain maps: taken from a live module here, from a pickle's inert nodes elsewhere.

    ``parameters`` and ``buffers`` give shapes, None where the layer registers an absent one; ``children`` gives the
    child modules (or whatever stands for them) by name.
    """

    attributes: Mapping[str, object]
    parameters: Mapping[str, Shape | None] = field(default_factory=dict)
    buffers: Mapping[str, Shape | None] = field(default_factory=dict)
    children: Mapping[str, object] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether a parameter or buffer of that name is there and is not None."""
        return self.parameters.get(name) is not None or self.buffers.get(name) is not None


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its kind, and where a layer keeps it (the attribute of the same name unless ``read`` says otherwise).

    ``absent`` is the value of a layer whose pickle is older than the attribute. ``to`` is the constructor argument
    where that has another name.
    """

    kind: Kind
    read: Callable[[Parts], object] | str | None = None
    absent: object = REQUIRED
    to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One stock layer. ``cost`` counts (elements, tensors) of a config in integers, before anything is built.

    ``needs`` names the children without which the layer can't work. ``make`` builds it where the plain call of the
    class with the config as keywords won't do.
    """

    tag: str
    cls: type[nn.Module]
    fields: Mapping[str, Field]
    needs: tuple[str, ...] = ()
    cost: Callable[[Config], tuple[int, int]] | None = None
    make: Callable[[Config, Children], nn.Module] | None = None

    def capture(self, parts: Parts, where: str) -> Config:
        """The JSON config of a layer, read from its parts; UnsupportedError for a value outside of the range table."""
        config: Config = {}
        for name, spec in self.fields.items():
            place = f"{where}.{name}"
            try:
                config[name] = spec.kind.write(_value(parts, name, spec, place), place)
            except FormatError as error:
                what = f"this {self.cls.__name__} can't be described: {error.what}"
                raise UnsupportedError(what, where=error.where) from None
        return config

    def parse(self, value: object, where: str) -> Config:
        """The checked constructor arguments of an untrusted config: every field there, none besides, all in range."""
        if type(value) is not dict:
            raise FormatError("expected a map", where=where)
        for name in value:
            if name not in self.fields:
                raise FormatError(f"unknown field {name!r}", where=where)
        config: Config = {}
        for name, spec in self.fields.items():
            if name not in value:
                raise FormatError("a required field is missing", where=f"{where}.{name}")
            config[name] = spec.kind.read(value[name], f"{where}.{name}")
        return config

    def build(self, config: Config, children: Children, where: str) -> nn.Module:
        """The layer from checked arguments; a combination that its own constructor refuses is a FormatError."""
        for name in self.needs:
            if children.get(name) is None:
                raise FormatError(f"a {self.tag} needs a child {name!r}", where=where)
        try:
            if self.make is not None:
                return self.make(config, children)
            return make(self.cls, {spec.to or name: config[name] for name, spec in self.fields.items()})
        except Exception as error:  # whatever a constructor raises, the config is to blame
            raise FormatError(f"{self.tag} refuses its config: {error}", where=where) from error


def layer(
    tag: str,
    cls: type[nn.Module],
    *,
    needs: tuple[str, ...] = (),
    cost: Callable[[Config], tuple[int, int]] | None = None,
    make: Callable[[Config, Children], nn.Module] | None = None,
    **fields: Field | Kind,
) -> Layer:
    """An entry, its fields given by name."""
    table = {name: spec if isinstance(spec, Field) else Field(spec) for name, spec in fields.items()}
    return Layer(tag=tag, cls=cls, fields=table, needs=needs, cost=cost, make=make)


def _value(parts: Parts, name: str, spec: Field, where: str) -> object:
    if callable(spec.read):
        return spec.read(parts)
    attribute = spec.read or name
    if attribute in parts.attributes:
        return parts.attributes[attribute]
    if spec.absent is REQUIRED:
        raise FormatError(f"the attribute {attribute!r} is missing", where=where)
    return spec.absent
