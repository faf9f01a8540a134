"""A torch module as a component: taken apart into architecture, tensors and facts, and put together again."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch

from modelcrate.crate import Crate
from modelcrate.errors import FormatError, UnsupportedError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.manifest import Omission
from modelcrate.format.names import is_component_name
from modelcrate.nn import stock
from modelcrate.nn.devices import Placement, resolve_devices, unknown_name
from modelcrate.nn.dtypes import DTYPES, resolve_dtype
from modelcrate.nn.materialise import build_meta
from modelcrate.nn.meta import unchanged_globals
from modelcrate.nn.mismatch import MismatchReport
from modelcrate.nn.prefix import unwrap, wrapper_of
from modelcrate.nn.registry import CAPTURED, Architecture, Built, built, lookup
from modelcrate.nn.restore import restore
from modelcrate.nn.state import Facts, capture
from modelcrate.nn.tensors import tensor_view
from modelcrate.nn.walk import slots
from modelcrate.parts import MODULE, MODULES, STATE_DICT, Parts
from modelcrate.storage.component import ComponentData
from modelcrate.stored import StoredComponent

FLOATING = tuple(name for name, dtype in DTYPES.items() if dtype.is_floating_point)
"""Names of the dtypes that a module can be converted to."""

Given: TypeAlias = "str | Callable[[], torch.nn.Module] | None"
"""What a caller may give for an architecture: a tag, or what builds the module; None takes what the file names."""

ROLE = "network"
"""The role of each of several networks in a crate."""


def load_networks(
    crate: Crate,
    *,
    only: str | Iterable[str] | None = None,
    device: Placement = "cpu",
    dtype: torch.dtype | str | None = None,
    strict: bool = True,
    verify: bool = True,
    architecture: Given | Mapping[str, Given] = None,
) -> Any:
    """What :func:`modelcrate.load` returns for a crate of one network (``nn.module/1``) or of several.

    Digests of what is loaded are compared before anything is built. Raises as :func:`load_component`, and UsageError
    for names that the crate does not have.
    """
    converted = None if dtype is None else resolve_dtype(dtype)
    settings = _settings(crate)
    names = _chosen(only, crate)
    targets = resolve_devices(device, names, crate)
    if verify:
        crate.check(names)
    found: dict[str, tuple[torch.nn.Module, MismatchReport]] = {}
    for name in names:
        module, report = load_reported(
            crate[name],
            targets[name],
            dtype=settings.dtype,
            convert=converted,
            strict=strict,
            architecture=given_for(architecture, name),
        )
        if settings.training is not None and not crate[name].has_state:
            module.train(settings.training)
        found[name] = module, report
    if isinstance(only, str) or settings.single:
        (one,) = found.values()
        return one[0] if strict else one
    modules = {name: module for name, (module, _) in found.items()}
    return modules if strict else (modules, {name: report for name, (_, report) in found.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What the manifest says of the networks together: ``training`` of those without facts, None in a family."""

    single: bool
    training: bool | None = None
    dtype: torch.dtype | None = None


def _settings(crate: Crate) -> _Settings:
    model = crate.manifest.model
    assert model is not None  # load() found the tag in it
    fields = Fields(dict(model.config), "manifest.model.config")
    if model.type == MODULES:
        fields.finish()
        for component in crate.values():
            if component.role != ROLE:
                raise FormatError(f"expected the role {ROLE!r}", where=f"{component.where}.role")
        return _Settings(single=False)
    training = fields.boolean("training")
    dtype = fields.nullable("dtype", lambda name: fields.text(name, choices=FLOATING))
    fields.finish()
    if len(crate) != 1:
        raise FormatError(f"a module is one component, the crate has {len(crate)}", where="manifest.components")
    return _Settings(single=True, training=training, dtype=None if dtype is None else DTYPES[dtype])


def _chosen(only: str | Iterable[str] | None, crate: Crate) -> tuple[str, ...]:
    if only is None:
        return tuple(crate)
    if not isinstance(only, Iterable):
        raise UsageError(f"only is a name or a list of names, not a {type(only).__name__}", where="only")
    names = tuple(dict.fromkeys([only] if isinstance(only, str) else only))
    for name in names:
        unknown_name(name, crate, "only")
    return names


def load_component(
    component: StoredComponent,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    architecture: Given = None,
) -> torch.nn.Module:
    """The module that a component's type, config, tensors and facts describe.

    Without facts (no state document) it is in evaluation mode, and ``dtype`` says what its floating-point tensors were
    converted to after it was built.
    Raises as :func:`modelcrate.nn.restore.restore`, and FormatError for a config that does not fit.
    """
    return load_reported(component, device, dtype=dtype, architecture=architecture)[0]


def load_reported(
    component: StoredComponent,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    convert: torch.dtype | None = None,
    strict: bool = True,
    architecture: Given = None,
) -> tuple[torch.nn.Module, MismatchReport]:
    """As :func:`load_component`, with what differs; ``convert`` is the dtype that the caller wants.

    ``architecture`` builds the module in place of what the component names.
    """
    where = component.where
    header, weights = component.header, component.weights
    facts = Facts(training=False)
    if component.has_state and component.type != STATE_DICT:
        facts = Facts.from_document(component.state, where=f"{where}.state")
    found, config = _architecture(component, architecture)

    def finish(module: torch.nn.Module) -> None:
        if found.finish is not None:
            with unchanged_globals():
                found.finish(module, device)

    def fresh() -> torch.nn.Module:
        with unchanged_globals():
            made = found.construct(dict(config), where=f"{where}.config")
            return made if dtype is None else made.to(dtype)

    try:
        module = build_meta(found, config, dtype=dtype, where=f"{where}.config")
    except UnsupportedError as error:  # of a part in the tree; it knows its place in the config only
        if architecture is not None:
            raise
        raise _or_given(error, f"{where}.{error.where}") from error
    report = restore(
        module,
        {name: (entry.dtype, entry.shape) for name, entry in header.entries.items()},
        lambda name: tensor_view(weights, header, header.entries[name], where=f"{where} tensor {name}"),
        facts,
        where=where,
        device=device,
        dtype=convert,
        strict=strict,
        fresh=fresh,
        finish=finish,
    )
    return module, report


def given_for(architecture: Given | Mapping[str, Given], name: str) -> Given:
    """What the caller gave for one component: a tag or builder for all of them, or a mapping by name."""
    return architecture.get(name) if isinstance(architecture, Mapping) else architecture


def _architecture(component: StoredComponent, given: Any) -> tuple[Architecture, Mapping[str, Any]]:
    """What builds a component, and from which config: what it names itself, or what the caller gave."""
    if given is None:
        try:
            return lookup(component.type, where=f"{component.where}.type"), component.config
        except UnsupportedError as error:
            raise _or_given(error, error.where) from error
    if isinstance(given, str):
        return lookup(given, where="architecture"), component.config
    if not callable(given):
        what = "expected a tag, or a function or class that builds the module without arguments"
        raise UsageError(what, where="architecture")
    return Architecture(tag=component.type, build=given, signature=inspect.Signature()), {}


def _or_given(error: UnsupportedError, where: str | None) -> UnsupportedError:
    """An error about an architecture that is not known here, with the other way out."""
    hint = None if error.hint is None else f"{error.hint}, or give load(architecture=...) what builds it"
    return UnsupportedError(error.what, where=where, hint=hint)


def module_parts(module: torch.nn.Module) -> Parts:
    """The parts of a live module; raises as :func:`module_component`."""
    component, omitted = module_component(module, name="module", role="module")
    return Parts(
        model=(MODULE, {"training": unwrap(module).training, "dtype": None}), components=[component], omitted=omitted
    )


def modules_parts(networks: Mapping[str, object]) -> Parts:
    """The parts of several live modules by name, each with tensors and facts of its own.

    A tensor that is in two networks is stored with both, and listed among what is left out: the tie. Raises UsageError
    for names that can't be those of components and for what is no module, else as :func:`module_component`.
    """
    if not networks:
        raise UsageError("there is no network in the dict", where="networks")
    components: list[ComponentData] = []
    omitted: list[Omission] = []
    first: dict[int, str] = {}
    for name, module in networks.items():
        if not isinstance(name, str) or not is_component_name(name):
            raise UsageError(
                f"{str(name)!r} can't be a network's name",
                where="networks",
                hint="a name begins with a lower-case letter and has at most 64 lower-case letters, digits and _",
            )
        if not isinstance(module, torch.nn.Module):
            what = f"expected a torch.nn.Module, got a {type(module).__name__}"
            hint = "save the module itself; modelcrate.save_checkpoint keeps optimizers and other training state"
            raise UsageError(what, where=f"networks.{name}", hint=hint)
        try:
            component, left = module_component(module, name=name, role=ROLE, with_mode=True)
        except (UnsupportedError, UsageError) as error:
            place = f"networks.{name}" if error.where is None else f"networks.{name}: {error.where}"
            raise type(error)(error.what, where=place, hint=error.hint) from error
        components.append(component)
        omitted += [replace(one, where=f"{name}: {one.where}") for one in left]
        shared = Counter(first[id(it)] for it in _tensors(module) if first.get(id(it), name) != name)
        for other, count in shared.items():
            what = f"{count} {'tensor' if count == 1 else 'tensors'} shared with {other}"
            omitted.append(Omission(what=what, where=name, why="each network is stored, and loads, on its own"))
        for tensor in _tensors(module):
            first.setdefault(id(tensor), name)
    return Parts(model=(MODULES, {}), components=components, omitted=omitted)


def _tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    """The module's parameters and buffers, each once."""
    return list({id(slot.tensor): slot.tensor for slot in slots(module) if slot.tensor is not None}.values())


def module_component(
    module: torch.nn.Module, *, name: str, role: str, with_mode: bool = False
) -> tuple[ComponentData, list[Omission]]:
    """A live module as a component, and what stays behind: hooks, wrappers, attributes that are no data.

    ``with_mode`` keeps the training flag among the facts; without it, the caller keeps the module's own.
    Layers of torch.nn are described as they are, a registered architecture by its tag and arguments. The architecture
    is built once more, on the meta device, and compared: what would not load is refused here.
    Raises UnsupportedError for a class that is neither (it says what to write) and for tensors that no crate holds,
    UsageError for a registered module that was changed after construction.
    """
    inner, wrapper = unwrap(module), wrapper_of(module)
    if isinstance(inner.__dict__.get(CAPTURED), Built):
        made = built(inner)
        tag, config = made.tag, made.config
        reference = build_meta(lookup(tag), config, dtype=None, where=tag)
    else:
        tag = stock.TAG
        config, reference = stock.described(inner)
    captured = capture(inner, reference)
    plain = captured.facts == Facts(training=inner.training and not with_mode)
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
