"""Architectures by tag: the only way from a name in a file to a class.

A file says ``acme.unet/1``; what that is, is decided by code that the user installed or wrote, never by the file
(FORMAT.md 1.2). A tag is looked up in a table: built-in architectures, those registered with :func:`architecture`, and
entry points of the group ``modelcrate.architectures`` whose *name equals the tag*.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch

from modelcrate.errors import FormatError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.format.names import check_tag

T = TypeVar("T", bound=Callable[..., Any])

ENTRY_POINTS = "modelcrate.architectures"
CAPTURED = "_modelcrate_built"
"""The attribute of a module that says which architecture and which arguments it was built from."""

Finish = Callable[[torch.nn.Module, torch.device], None]
"""Called on a loaded module: recomputes what no file holds (non-persistent buffers), and may refuse bad values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a tag stands for: ``build(**config)`` makes a module, ``finish(module, device)`` completes a loaded one."""

    tag: str
    build: Callable[..., torch.nn.Module]
    signature: inspect.Signature
    finish: Finish | None = None

    def construct(self, config: dict[str, Any], *, where: str) -> torch.nn.Module:
        """Build the module from an untrusted config.

        Raises FormatError if the config does not fit the parameters or the architecture refuses it.
        """
        if "device" in config:
            raise FormatError("a config can't choose the device", where=where)
        try:
            self.signature.bind(**config)
        except TypeError as error:
            raise FormatError(f"the config does not fit {self.tag}: {error}", where=where) from None
        try:
            module = self.build(**config)
        except ModelcrateError:
            raise
        except Exception as error:  # whatever a constructor does with values that it did not expect
            what = f"{self.tag} can't be built from its config: {type(error).__name__}: {error}"
            raise FormatError(what, where=where) from error
        if not isinstance(module, torch.nn.Module):
            raise UsageError(f"what is registered as {self.tag} built a {type(module).__name__}, not a module")
        return module


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """How a live module came to be; ``problem`` says why its arguments can't be kept, if they can't."""

    tag: str
    config: dict[str, Any]
    problem: str | None = None


_registered: dict[str, Architecture] = {}


def architecture(tag: str, *, finish: Finish | None = None) -> Callable[[T], T]:
    """Register a module class, or a function that builds a module, under a tag such as ``"acme.unet/1"``.

    The arguments of each construction are remembered as data (numbers, text, lists, maps), so that
    ``modelcrate.save`` can write them and ``modelcrate.load`` can build the same module from them. The number after the
    slash is yours: raise it when old configs or weights stop fitting.
    ``finish(module, device)`` is called on each loaded module, for buffers that its state does not hold.
    Raises UsageError for a malformed tag, one that is taken, and parameters (``*args``, ``**kwargs``) that can't be
    checked by name.
    """
    try:
        check_tag(tag, where="architecture")
    except FormatError as error:
        raise UsageError(error.what, where="architecture") from None

    def register(target: T) -> T:
        if not callable(target):
            raise UsageError("only a class or a function can be registered", where=tag)
        is_class = isinstance(target, type)
        bare = is_class and getattr(target, "__init__", None) is torch.nn.Module.__init__
        signature = inspect.Signature() if bare else inspect.signature(target)
        for name, parameter in signature.parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise UsageError(f"parameter {name!r} can't be given by name", where=tag, hint="name each parameter")
        known = _registered.get(tag)
        if known is not None and not _same_source(known.build, target):
            raise UsageError("the tag is taken by another architecture", where=tag)
        if tag in _BUILT_IN and not target.__module__.startswith("modelcrate."):
            raise UsageError("the tag is taken by a built-in architecture", where=tag)
        if is_class:
            _capture_class(cast(type, target), tag, signature)
            build: Callable[..., Any] = target
        else:
            build = _capture_function(target, tag, signature)
        _registered[tag] = Architecture(tag=tag, build=build, signature=signature, finish=finish)
        return cast(T, build)

    return register


def lookup(tag: str, *, where: str = "architecture") -> Architecture:
    """The architecture of a tag; UnsupportedError, with what to do, if none is installed."""
    if tag in _registered:
        return _registered[tag]
    if tag in _BUILT_IN:
        _BUILT_IN[tag]()
        return _registered[tag]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=tag):
        try:
            loaded = entry.load()
        except Exception as error:
            raise UnsupportedError(f"the plugin for {tag} can't be imported: {error}", where=where) from error
        if tag not in _registered:
            architecture(tag)(loaded)
        return _registered[tag]
    raise UnsupportedError(
        f"no architecture {tag!r} is known here",
        where=where,
        hint=f"import the code that registers it with @modelcrate.architecture({tag!r}), or install its plugin",
    )


def built(module: torch.nn.Module) -> Built:
    """How ``module`` was built; UsageError that says what to write, if its class is not registered."""
    found = module.__dict__.get(CAPTURED)
    kind = type(module).__name__
    if not isinstance(found, Built):
        raise UsageError(
            f"{kind} is not a registered architecture, so a crate could not be opened again",
            hint=what_to_write(type(module)),
        )
    if found.problem is not None:
        raise UsageError(f"this {kind} can't be built again from data: {found.problem}", where=found.tag)
    return found


def what_to_write(cls: type[torch.nn.Module]) -> str:
    """The line that makes a class one that can be saved."""
    name = re.sub("[^a-z0-9]+", "_", cls.__name__.lower()).strip("_") or "model"
    return f"put @modelcrate.architecture('you.{name}/1') above class {cls.__name__} and build the model anew"


def _built_in_generator() -> None:
    from modelcrate.nn import generator  # noqa: F401  (registers itself)


def _built_in_decoder() -> None:
    from modelcrate.nn import decoder  # noqa: F401  (registers itself)


def _built_in_series() -> None:
    from modelcrate.nn import series  # noqa: F401  (registers itself)


def _built_in_stock() -> None:
    from modelcrate.nn import stock

    build = stock.build_modules
    _registered[stock.TAG] = Architecture(tag=stock.TAG, build=build, signature=inspect.signature(build))


_BUILT_IN: dict[str, Callable[[], None]] = {
    "ctgan.generator/1": _built_in_generator,
    "ctgan.decoder/1": _built_in_decoder,
    "dgan.generator/1": _built_in_series,
    "torch.nn/1": _built_in_stock,
}


def _same_source(build: Callable[..., Any], target: Callable[..., Any]) -> bool:
    """Whether ``target`` is the same definition met again, as when a notebook cell or a module is run twice."""
    return (build.__module__, build.__qualname__) == (target.__module__, target.__qualname__)


def _capture_class(target: type, tag: str, signature: inspect.Signature) -> None:
    """Remember the arguments of each instance of exactly this class; of a subclass, nothing is known."""
    cls: Any = target  # mypy holds an __init__ for what nobody reads or replaces
    construct = cls.__init__

    @functools.wraps(construct)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        if type(self) is target:
            object.__setattr__(self, CAPTURED, _bound(tag, signature, args, kwargs))

    cls.__init__ = remembering


def _capture_function(target: Callable[..., Any], tag: str, signature: inspect.Signature) -> Callable[..., Any]:
    @functools.wraps(target)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        before = _bound(tag, signature, args, kwargs)
        module = target(*args, **kwargs)
        if isinstance(module, torch.nn.Module):
            object.__setattr__(module, CAPTURED, before)
        return module

    return remembering


def _bound(tag: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Built:
    """The arguments, defaults included, as plain data of their own; later changes to a list do not reach them."""
    try:
        arguments = signature.bind(*args, **kwargs)
        arguments.apply_defaults()
        config = {name: _plain(value, name) for name, value in arguments.arguments.items() if name != "device"}
    except TypeError as error:
        return Built(tag=tag, config={}, problem=str(error))
    return Built(tag=tag, config=config)


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """``value`` as JSON holds it; a tuple becomes a list. TypeError names what can't be data."""
    if depth > 16:
        raise TypeError(f"argument {where} is nested too deep")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) in (list, tuple):
        return [_plain(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: _plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise TypeError(f"argument {where} is a {type(value).__name__}; numbers, text, lists and maps can be kept")
