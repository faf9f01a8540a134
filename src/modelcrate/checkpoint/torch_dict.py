"""A checkpoint dict of ``torch.save``, converted: what stands in it where, so that it restores like a checkpoint.

Such a dict says nothing of its own structure, but its shape does: a map of tensors is a network's state dict,
``{"state": ..., "param_groups": ...}`` is an optimizer's, a map with ``last_epoch`` a scheduler's. Names come from the
keys, without the words that say what it is: ``generator_state_dict``, ``netG`` and ``optimizer_G`` give ``generator``,
``g`` and ``g``; where nothing is left, as in ``model_state_dict`` and ``optimizer``, the name is ``model``. What is
none of these is kept as it is; so is every value under its own key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch

from modelcrate.checkpoint import network
from modelcrate.checkpoint.load import Action, Checkpoint, Plan
from modelcrate.checkpoint.parts import DEFAULT_NAME
from modelcrate.checkpoint.progress import Progress, number
from modelcrate.checkpoint.report import Restored
from modelcrate.crate import Crate
from modelcrate.errors import MismatchError, UnsupportedError, UsageError
from modelcrate.format.document import INTEGER_BOUND
from modelcrate.module_parts import load_component
from modelcrate.nn.devices import resolve_device
from modelcrate.nn.optimizer import OptimizerState
from modelcrate.nn.random_state import Generator
from modelcrate.nn.scheduler import SchedulerState
from modelcrate.stored import StoredComponent
from modelcrate.values_parts import Path, load_any, load_values

if TYPE_CHECKING:
    from modelcrate.nn.devices import Device

DEPTH: Final = 3
"""Maps inside maps in which parts are looked for: ``{"optimizers": {"generator": {...}}}``."""
_SILENT: Final = frozenset(
    [
        *("state", "states", "dict", "dicts", "weights", "params", "parameters", "ckpt", "checkpoint"),
        *("net", "nets", "network", "networks", "model", "models", "module", "ema"),
        *("optimizer", "optimizers", "optim", "opt", "scheduler", "schedulers", "sched", "lr"),
    ]
)
"""Words of a key that say what something is, and not whose."""
_STEPS: Final = ("global_step", "step", "steps", "iteration", "iterations", "iter")
_CONFIGS: Final = ("config", "cfg", "args", "hparams", "hyper_parameters", "hyperparameters")
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One part of a dict: ``kind`` is network, ema, optimizer, scheduler or scaler."""

    kind: str
    path: Path
    value: Any


class DictCheckpoint(Checkpoint):
    """A converted checkpoint dict. ``restore`` takes names as above, or the keys of the dict themselves."""

    def __init__(self, crate: Crate, device: torch.device, only: frozenset[str] | None) -> None:
        self._crate = crate
        self._device = device
        self._only = None
        self.path = crate.path
        model = crate.manifest.model
        assert model is not None  # load_checkpoint() found its tag
        value = load_values(crate, model.config, torch.device("cpu"), lambda part: part)
        self._parts, self._aliases = _named(find(value))
        if not self._of("network", "ema"):
            raise UnsupportedError(
                "there is no network in it, so it is no checkpoint",
                where=str(crate.path or "crate"),
                hint="modelcrate.load gives the value as it was saved",
            )
        if only is not None:
            self._parts = {key: part for key, part in self._parts.items() if key[1] in _meant(only, self._parts)}
        self.networks = self._of("network")
        self.optimizers = self._of("optimizer")
        self.ema = self._of("ema")
        self.progress = _progress(value, self._parts)

    @property
    def values(self) -> Any:
        """The whole dict as it was saved, under its own keys: what :func:`modelcrate.load` gives."""
        return load_any(self._crate, self._device, None)

    def tensors(self, name: str) -> Mapping[str, torch.Tensor]:
        """A network's tensors by name: private CPU views of the file."""
        found = self.stored(name)
        return found.tensors if isinstance(found, StoredComponent) else dict(found)

    def network(self, name: str, *, device: Device | None = None) -> torch.nn.Module:
        """A network that was saved whole, in evaluation mode; UnsupportedError for a mere state dict."""
        found = self.stored(name)
        if not isinstance(found, StoredComponent):
            raise UnsupportedError(
                "only the state dict of this network was saved",
                where=name,
                hint="build it yourself and restore(networks={name: module})",
            )
        return load_component(found, self._device if device is None else resolve_device(device)).eval()

    def restore(
        self,
        networks: Any = None,
        optimizers: Any = None,
        schedulers: Any = None,
        *,
        scaler: Any = None,
        ema: Any = None,
        random_state: bool | Mapping[str, Generator] = True,
        strict: bool = True,
    ) -> Restored:
        """As :meth:`Checkpoint.restore`. Optimizers pair parameters by their order, as torch does."""
        return super().restore(
            self._renamed("network", networks),
            self._renamed("optimizer", optimizers),
            self._renamed("scheduler", schedulers),
            scaler=scaler,
            ema=self._renamed("ema", ema),
            random_state=random_state,
            strict=strict,
        )

    def _of(self, *kinds: str) -> tuple[str, ...]:
        return tuple(name for kind, name in self._parts if kind in kinds)

    def _renamed(self, kind: str, given: Any) -> Any:
        """What was given, by the names of parts: for a key of the dict, and for the only one there is."""
        if given is None:
            return None
        if not isinstance(given, Mapping):
            names = self._of(kind)
            return {names[0] if len(names) == 1 else DEFAULT_NAME: given}
        return {self._aliases.get((kind, name), name): one for name, one in given.items()}

    def _has(self, name: str) -> bool:
        return False  # none of the parts that only modelcrate writes

    def stored(self, name: str) -> Any:
        """A network as it is stored: a component for one that was saved whole, else a state dict."""
        for kind in ("network", "ema"):
            part = self._parts.get((kind, self._aliases.get((kind, name), name)))
            if part is not None:
                return part.value
        raise UsageError(f"there is no network {name!r}", hint=f"there is {', '.join(self.networks)}")

    def _network(self, name: str, module: Any, plan: Plan, role: str = "networks") -> Action:
        where = f"{role}.{name}"
        if not isinstance(module, torch.nn.Module):
            raise UsageError(f"expected a torch.nn.Module, got a {type(module).__name__}", where=where)
        found = self._parts["network" if role == "networks" else "ema", name].value
        if isinstance(found, StoredComponent):
            apply, differences = network.prepare(module, found, where=where, strict=plan.strict)
        else:
            apply, differences = network.prepare_tensors(module, found, where=where, strict=plan.strict)
        plan.differences += differences
        return apply

    def _averaged(self, name: str, averaged: Any, plan: Plan) -> Action:
        return self._network(name, averaged, plan, "ema")

    def _optimizer(self, name: str, optimizer: Any, parameters: Mapping[int, str], plan: Plan) -> Action:
        where = f"optimizers.{name}"
        state = OptimizerState.of_torch(self._parts["optimizer", name].value, optimizer, where=where)
        return state.prepare(optimizer, {}, where=where, strict=plan.strict)

    def _scheduler(self, name: str, scheduler: Any, plan: Plan) -> Action:
        state = replace(self.progress.schedulers[name], kind=type(scheduler).__name__)  # no dict says which it was
        return state.prepare(scheduler, where=f"schedulers.{name}", strict=plan.strict)

    def _scaler(self, scaler: Any, plan: Plan) -> Action:
        state = self.progress.scaler
        if state is None:
            raise MismatchError("the checkpoint has no scaler", where="scaler")
        return super()._scaler_state(replace(state, kind=type(scaler).__name__), scaler, plan)


def find(value: object) -> Iterator[Found]:
    """The parts of a checkpoint dict, in its order; nothing for a value that is none."""
    pending: list[tuple[Path, Any]] = [((), value)]
    while pending:
        path, found = pending.pop()
        kind = _kind(path, found)
        if kind is not None:
            yield Found(kind=kind, path=path, value=found)
        elif type(found) is dict and len(path) < DEPTH:
            pending += [((*path, key), it) for key, it in reversed(found.items()) if type(key) is str]
        elif type(found) is list and path and len(path) < DEPTH and len(found) <= 64:
            pending += [((*path, index), it) for index, it in reversed(list(enumerate(found)))]


def _kind(path: Path, value: Any) -> str | None:
    words = [word for step in path for word in _words(step)]
    if isinstance(value, StoredComponent):
        return "ema" if "ema" in words else "network"
    if not isinstance(value, dict) or not value or not path or not all(type(key) is str for key in value):
        return None
    if all(isinstance(item, torch.Tensor) for item in value.values()):
        if type(value) is not dict or _SILENT & set(words):  # an OrderedDict came from a component of its own
            return "ema" if "ema" in words else "network"
        return None
    if isinstance(value.get("state"), dict) and _is_groups(value.get("param_groups")):
        return "optimizer"
    if {"scale", "growth_factor", "growth_interval"} <= set(value):
        return "scaler"
    return "scheduler" if "last_epoch" in value and any(word.startswith("sched") for word in words) else None


def _is_groups(groups: object) -> bool:
    return isinstance(groups, list) and all(
        isinstance(group, dict)
        and isinstance(group.get("params"), list)
        and all(type(index) is int for index in group["params"])
        for group in groups
    )


def _words(step: object) -> list[str]:
    return [word.lower() for word in _WORD.findall(str(step))]


def _named(parts: Iterator[Found]) -> tuple[dict[tuple[str, str], Found], dict[tuple[str, str], str]]:
    """The parts by kind and name, and the names of those whose keys are other names."""
    named: dict[tuple[str, str], Found] = {}
    aliases: dict[tuple[str, str], str] = {}
    listed = list(parts)
    for part in listed:
        words = [word for step in part.path if type(step) is str for word in _words(step)]
        own = [word for word in words if word not in _SILENT]
        alone = sum(other.kind == part.kind for other in listed) == 1
        numbers = [str(step) for step in part.path if type(step) is int and not alone]
        name = "_".join([*own, *numbers]) if own else "_".join([DEFAULT_NAME, *numbers])
        if not name[0].isalpha():
            name = f"{DEFAULT_NAME}_{name}"
        if (part.kind, name) in named:
            name = "_".join([*words, *numbers])
        while (part.kind, name) in named:
            name += "_"
        named[part.kind, name] = part
        if type(part.path[-1]) is str:
            aliases[part.kind, part.path[-1]] = name
    return named, {key: name for key, name in aliases.items() if key not in named}


def _meant(only: frozenset[str], parts: Mapping[tuple[str, str], Found]) -> frozenset[str]:
    for wanted in sorted(only):
        if all(name != wanted for _, name in parts):
            there = ", ".join(dict.fromkeys(name for _, name in parts))
            raise UsageError(f"the checkpoint has no part {wanted!r}", where="only", hint=f"there is {there}")
    return only


def _progress(value: Any, parts: Mapping[tuple[str, str], Found]) -> Progress:
    taken = {part.path[0] for part in parts.values() if len(part.path) == 1}
    plain = {key: it for key, it in value.items() if type(key) is str and key not in taken}
    epoch = plain.pop("epoch") if _is_count(plain.get("epoch")) else None
    step = next((plain.pop(key) for key in _STEPS if _is_count(plain.get(key))), None)
    losses = {key: number(it) for key, it in plain.items() if "loss" in _words(key) and _is_number(it)}
    config: dict[str, Any] = next((plain[key] for key in _CONFIGS if _is_map(plain.get(key))), {})
    states = {name: part.value for (kind, name), part in parts.items() if kind == "scheduler"}
    scaler = next((part.value for (kind, _), part in parts.items() if kind == "scaler"), None)
    return Progress(
        epoch=epoch,
        step=step,
        losses=losses,
        config=config,
        extras={key: it for key, it in plain.items() if key not in losses},
        schedulers={name: SchedulerState(kind="", state=state) for name, state in states.items()},
        scaler=None if scaler is None else SchedulerState(kind="", state=scaler),
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < INTEGER_BOUND


def _is_number(value: object) -> bool:
    return isinstance(number(value), float | int)


def _is_map(value: object) -> bool:
    return type(value) is dict and all(type(key) is str for key in value)
