"""A torch module as a component: taken apart into architecture, tensors and facts, and put together again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from modelcrate.crate import Crate
from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.format.manifest import Omission
from modelcrate.nn import stock
from modelcrate.nn.dtypes import DTYPES
from modelcrate.nn.materialise import build_meta, unchanged_globals
from modelcrate.nn.prefix import unwrap, wrapper_of
from modelcrate.nn.registry import CAPTURED, Built, built, lookup
from modelcrate.nn.restore import restore
from modelcrate.nn.state import Facts, capture
from modelcrate.nn.tensors import tensor_view
from modelcrate.parts import MODULE, Parts
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent

FLOATING = tuple(name for name, dtype in DTYPES.items() if dtype.is_floating_point)
"""Names of the dtypes that a module can be converted to."""

_FLOATING = tuple(name for name, dtype in DTYPES.items() if dtype.is_floating_point)


def load_module(crate: Crate, config: Mapping[str, Any], device: torch.device) -> torch.nn.Module:
    """The module of a crate of type ``nn.module/1``, in the mode it was saved in; raises as :func:`load_component`."""
    fields = Fields(dict(config), "manifest.model.config")
    training = fields.boolean("training")
    dtype = fields.nullable("dtype", lambda name: fields.text(name, choices=FLOATING))
    fields.finish()
    if len(crate) != 1:
        raise FormatError(f"a module is one component, the crate has {len(crate)}", where="manifest.components")
    (component,) = crate.values()
    module = load_component(component, device, dtype=None if dtype is None else DTYPES[dtype])
    return module if component.has_state else module.train(training)


def load_component(
    component: StoredComponent, device: torch.device, *, dtype: torch.dtype | None = None
) -> torch.nn.Module:
    """The module that a component's type, config, tensors and facts describe.

    Without facts (no state document) it is in evaluation mode, and ``dtype`` says what its floating-point tensors were
    converted to after it was built.
    Raises as :func:`modelcrate.nn.restore.restore`, and FormatError for a config that does not fit.
    """
    where = component.where
    header, weights = component.header, component.weights
    facts = Facts(training=False)
    if component.has_state:
        facts = Facts.from_document(component.state, where=f"{where}.state")
    found = lookup(component.type, where=f"{where}.type")

    def finish(module: torch.nn.Module) -> None:
        if found.finish is not None:
            with unchanged_globals():
                found.finish(module, device)

    module = build_meta(found, component.config, dtype=dtype, where=f"{where}.config")
    restore(
        module,
        {name: (entry.dtype, entry.shape) for name, entry in header.entries.items()},
        lambda name: tensor_view(weights, header, header.entries[name], where=f"{where} tensor {name}"),
        facts,
        where=where,
        device=device,
        finish=finish,
    )
    return module


def module_parts(module: torch.nn.Module) -> Parts:
    """The parts of a live module; raises as :func:`module_component`."""
    component, omitted = module_component(module, name="module", role="module")
    return Parts(
        model=(MODULE, {"training": unwrap(module).training, "dtype": None}), components=[component], omitted=omitted
    )


def module_component(module: torch.nn.Module, *, name: str, role: str) -> tuple[ComponentData, list[Omission]]:
    """A live module as a component, and what stays behind: hooks, wrappers, attributes that are no data.

    Layers of torch.nn are described as they are, a registered architecture by its tag and arguments. The architecture
    is built once more, on the meta device, and compared: what would not load is refused here.
    Raises UnsupportedError for a class that is neither (it says what to write) and for tensors that no crate holds,
    UsageError for a registered module that was changed after construction.
    """
    inner, wrapper = unwrap(module), wrapper_of(module)
    if isinstance(inner.__dict__.get(CAPTURED), Built):
        made = built(inner)
        tag, config = made.tag, made.config
    else:
        tag, config = stock.TAG, stock.describe(inner)
    captured = capture(inner, build_meta(lookup(tag), config, dtype=None, where=tag))
    plain = captured.facts == Facts(training=inner.training)
    component = ComponentData(
        name=name,
        role=role,
        type=tag,
        config=config,
        tensors=captured.data(),
        state=None if plain else captured.facts.to_document(),
    )
    omitted = list(captured.omitted)
    if wrapper is not None:
        what = f"the wrapper {wrapper}"
        omitted.insert(0, Omission(what=what, where="module", why="it runs the module, and is no part of it"))
    return component, omitted
