"""Containers: what they hold stands in the tree under their paths, in order."""

from __future__ import annotations

from torch import nn

from modelcrate.nn.stock.kinds import Names, Whole
from modelcrate.nn.stock.layer import Children, Config, Field, Layer, Parts, layer


def _length(parts: Parts) -> object:
    return parts.attributes.get("_size", len(parts.parameters))


def _keys(parts: Parts) -> object:
    return parts.attributes.get("_keys", list(parts.parameters))


def _make_list(config: Config, children: Children) -> nn.Module:
    made = nn.ParameterList()
    made._size = config["length"]  # its parameters are registered after it is made
    return made


def _make_dict(config: Config, children: Children) -> nn.Module:
    made = nn.ParameterDict()
    made._keys = dict.fromkeys(config["keys"])
    return made


LAYERS: tuple[Layer, ...] = (
    layer("sequential", nn.Sequential),
    layer("module_list", nn.ModuleList),
    layer("module_dict", nn.ModuleDict),
    layer("module", nn.Module),  # no class of its own: a bare holder of children
    layer("container", nn.Container),
    layer("parameter_list", nn.ParameterList, make=_make_list, length=Field(Whole(maximum=65_536), _length)),
    layer("parameter_dict", nn.ParameterDict, make=_make_dict, keys=Field(Names(), _keys)),
)
