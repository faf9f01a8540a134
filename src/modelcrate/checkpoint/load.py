"""A saved checkpoint: what it says, its parts one by one, and putting them back into live objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from modelcrate.checkpoint import network
from modelcrate.checkpoint.parts import (
    EMA_PREFIX,
    NETWORK_TYPE,
    OPTIMIZER_PREFIX,
    PROGRESS,
    PROGRESS_TYPE,
    RANDOM_STATE,
    STATE_TYPE,
    named,
    role_of,
)
from modelcrate.checkpoint.progress import Progress, prepare_scaler
from modelcrate.checkpoint.report import CheckpointWarning, Restored
from modelcrate.crate import Crate
from modelcrate.crate import open as open_crate
from modelcrate.device_errors import device_errors
from modelcrate.errors import FormatError, MismatchError, ModelcrateError, UnsupportedError, UsageError
from modelcrate.format.document import Fields
from modelcrate.limits import DEFAULT, Limits
from modelcrate.module_parts import load_component
from modelcrate.nn.devices import resolve_device
from modelcrate.nn.optimizer import OPTIMIZER_TYPE, OptimizerState
from modelcrate.nn.random_state import RANDOM_STATE_TYPE, Generator, RandomState
from modelcrate.nn.scheduler import SchedulerState
from modelcrate.parts import CHECKPOINT, VALUES
from modelcrate.storage.regions import IO
from modelcrate.storage.source import Location
from modelcrate.stored import StoredComponent

if TYPE_CHECKING:
    from modelcrate.nn.devices import Device

Action = Callable[[], "list[str] | None"]


class Checkpoint:
    """A checkpoint that is open. Its parts are read when they are asked for; all were checked when it was loaded."""

    def __init__(self, crate: Crate, device: torch.device, only: frozenset[str] | None) -> None:
        self._crate = crate
        self._device = device
        self._only = only
        model = crate.manifest.model
        if model is None or model.type != CHECKPOINT:
            kind = "no model" if model is None else model.type
            raise UnsupportedError(
                f"the crate holds {kind}, not a training checkpoint",
                where="manifest.model.type",
                hint="open it with modelcrate.load or modelcrate.open",
            )
        if model.config:
            raise FormatError("expected an empty config", where="manifest.model.config")
        for name, component in crate.items():
            if component.role != role_of(name):
                raise FormatError(f"expected the role {role_of(name)!r}", where=f"{component.where}.role")
        self.path: str | None = crate.path
        """The path it was loaded from, or None for bytes."""
        self.networks = self._names("network", "")
        """Names of the networks."""
        self.optimizers = self._names("optimizer", OPTIMIZER_PREFIX)
        """Names of the optimizers."""
        self.ema = self._names("ema", EMA_PREFIX)
        """Names of the averaged copies."""
        progress = self._part(PROGRESS, PROGRESS_TYPE)
        self.progress = Progress.from_document(Fields(progress.state, f"{progress.where}.state"), _tensors(progress))
        """Counters, numbers, schedulers and extras."""

    @property
    def epoch(self) -> int | None:
        """The epoch that was finished last when this was saved; None if no epoch was given."""
        return self.progress.epoch

    @property
    def next_epoch(self) -> int:
        """The epoch to go on with: the saved one + 1, or 0 if none was given."""
        return 0 if self.progress.epoch is None else self.progress.epoch + 1

    @property
    def step(self) -> int | None:
        """The number of steps that were finished; None if none was given."""
        return self.progress.step

    @property
    def losses(self) -> Mapping[str, Any]:
        return self.progress.losses

    @property
    def metrics(self) -> Mapping[str, Any]:
        return self.progress.metrics

    @property
    def config(self) -> Mapping[str, Any]:
        return self.progress.config

    @property
    def extras(self) -> Mapping[str, Any]:
        return self.progress.extras

    @property
    def data_position(self) -> Any:
        return self.progress.data_position

    @property
    def schedulers(self) -> tuple[str, ...]:
        """Names of the schedulers."""
        return tuple(self.progress.schedulers)

    @property
    def crate(self) -> Crate:
        """The crate itself: manifest, identity, every component."""
        return self._crate

    def tensors(self, name: str) -> Mapping[str, torch.Tensor]:
        """A network's tensors by name (``ema_x`` for an averaged copy): private CPU views of the file."""
        return _tensors(self.stored(name))

    def stored(self, name: str) -> Any:
        """A network as it is stored; UsageError for a name that is not there, or was left out by ``only``."""
        if name not in self._crate or self._crate[name].role not in ("network", "ema"):
            raise UsageError(f"there is no network {name!r}", hint=f"there is {', '.join(self.networks)}")
        return self._allowed(name)

    def network(self, name: str, *, device: Device | None = None) -> torch.nn.Module:
        """Build a network whose architecture the checkpoint names, in evaluation mode.

        Raises UnsupportedError where it names none, because the class was not registered when it was saved.
        """
        component = self.stored(name)
        if component.type in (NETWORK_TYPE, STATE_TYPE):
            raise UnsupportedError(
                "the class of this network was not registered when it was saved",
                where=component.where,
                hint="build it yourself and restore(networks={name: module}), or register its architecture",
            )
        target = self._device if device is None else resolve_device(device)
        return load_component(component, target).eval()

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
        """Put the saved state into live objects, made as they were for the run that saved it.

        Make optimizers and schedulers first (a scheduler changes its optimizer when it is made), then restore all of
        them at once. Tensors are copied into the live ones, wherever those are. Everything is compared before anything
        is changed. What was asked for and isn't there stays fresh, and optimizers, schedulers and a scaler that are
        there and were not asked for are left: both give a :class:`CheckpointWarning`, never an error.
        Raises MismatchError where something does not fit; with ``strict=False`` that is left as it is, and reported.
        """
        plan = Plan(strict)
        modules = named(networks, "networks")
        parameters = network.parameter_names(modules)
        for name, module in modules.items():
            plan.add(f"networks.{name}", name in self.networks, self._network, name, module, plan)
            if strict and name not in self.networks:
                hint = f"there is {', '.join(self.networks)}"
                raise MismatchError("the checkpoint has no such network", where=f"networks.{name}", hint=hint)
        for name, optimizer in named(optimizers, "optimizers").items():
            plan.add(f"optimizers.{name}", name in self.optimizers, self._optimizer, name, optimizer, parameters, plan)
        for name, scheduler in named(schedulers, "schedulers").items():
            plan.add(f"schedulers.{name}", name in self.schedulers, self._scheduler, name, scheduler, plan)
        if scaler is not None:
            plan.add("scaler", self.progress.scaler is not None, self._scaler, scaler, plan)
        for name, averaged in named(ema, "ema").items():
            plan.add(f"ema.{name}", name in self.ema, self._averaged, name, averaged, plan)
        if random_state is not False and self._has(RANDOM_STATE):
            plan.add("random_state", True, self._generators, random_state)
        return plan.run(self._inventory())

    def close(self) -> None:
        """Let go of the file; what was read stays valid."""
        self._crate.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Checkpoint of {', '.join(self.networks)} at epoch {self.epoch}, step {self.step}>"

    def _names(self, role: str, start: str) -> tuple[str, ...]:
        names = (name for name, component in self._crate.items() if component.role == role and self._wanted(name))
        return tuple(name.removeprefix(start) for name in names)

    def _wanted(self, name: str) -> bool:
        return self._only is None or name in self._only or name == PROGRESS

    def _has(self, name: str) -> bool:
        return name in self._crate and self._wanted(name)

    def _allowed(self, name: str) -> StoredComponent:
        if not self._wanted(name):
            raise UsageError(f"{name!r} was left out when the checkpoint was loaded", hint="load it without only=")
        return self._crate[name]

    def _part(self, name: str, tag: str) -> StoredComponent:
        """A component by its name, of the one type that its place allows."""
        if name not in self._crate:
            raise FormatError(f"the checkpoint has no {name}", where="manifest.components")
        component = self._crate[name]
        if component.type != tag:
            raise UnsupportedError(f"{component.type!r} is not known here", where=f"{component.where}.type")
        if component.config:
            raise FormatError("expected an empty config", where=f"{component.where}.config")
        if not component.has_state:
            raise FormatError("the state is missing", where=component.where)
        return component

    def _inventory(self) -> dict[str, bool]:
        """What could be restored, and whether training goes wrong without it."""
        found = {f"networks.{name}": False for name in self.networks}
        found.update({f"optimizers.{name}": True for name in self.optimizers})
        found.update({f"schedulers.{name}": True for name in self.schedulers if self._only is None})
        if self.progress.scaler is not None and self._only is None:
            found["scaler"] = True
        found.update({f"ema.{name}": False for name in self.ema})
        if self._has(RANDOM_STATE):
            found["random_state"] = False
        return found

    def _network(self, name: str, module: Any, plan: Plan, role: str = "networks") -> Action:
        where = f"{role}.{name}"
        if not isinstance(module, torch.nn.Module):
            raise UsageError(f"expected a torch.nn.Module, got a {type(module).__name__}", where=where)
        component = self._crate[name if role == "networks" else EMA_PREFIX + name]
        apply, differences = network.prepare(module, component, where=where, strict=plan.strict)
        plan.differences += differences
        return apply

    def _averaged(self, name: str, averaged: Any, plan: Plan) -> Action:
        component = self._crate[EMA_PREFIX + name]
        where = f"ema.{name}"
        if isinstance(averaged, torch.nn.Module):
            if component.type == STATE_TYPE:
                raise MismatchError("saved from an object that is no module", where=where)
            return self._network(name, averaged, plan, "ema")
        if component.type != STATE_TYPE:
            raise MismatchError("saved from a module", where=where)
        component = self._part(EMA_PREFIX + name, STATE_TYPE)
        tensors, used = _tensors(component), set[str]()
        state = SchedulerState.from_document(Fields(component.state, f"{component.where}.state"), tensors, used)
        return state.prepare(averaged, where=where, strict=plan.strict)

    def _optimizer(self, name: str, optimizer: Any, parameters: Mapping[int, str], plan: Plan) -> Action:
        component = self._part(OPTIMIZER_PREFIX + name, OPTIMIZER_TYPE)
        state = OptimizerState.from_document(Fields(component.state, f"{component.where}.state"), _tensors(component))
        return state.prepare(optimizer, parameters, where=f"optimizers.{name}", strict=plan.strict)

    def _scheduler(self, name: str, scheduler: Any, plan: Plan) -> Action:
        return self.progress.schedulers[name].prepare(scheduler, where=f"schedulers.{name}", strict=plan.strict)

    def _scaler(self, scaler: Any, plan: Plan) -> Action:
        state = self.progress.scaler
        if state is None:
            raise MismatchError("the checkpoint has no scaler", where="scaler")
        return self._scaler_state(state, scaler, plan)

    @staticmethod
    def _scaler_state(state: SchedulerState, scaler: Any, plan: Plan) -> Action:
        return prepare_scaler(state, scaler, where="scaler", strict=plan.strict)

    def _generators(self, given: bool | Mapping[str, Generator]) -> Action:
        component = self._part(RANDOM_STATE, RANDOM_STATE_TYPE)
        state = RandomState.from_document(Fields(component.state, f"{component.where}.state"))
        return state.prepare(named(given, "random_state") if isinstance(given, Mapping) else {})


class Plan:
    """Collects what to do; nothing is done before everything was compared."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.differences: list[str] = []
        self._actions: dict[str, Action] = {}
        self._fresh: list[str] = []
        self._asked: set[str] = set()

    def add(self, name: str, present: bool, prepare: Callable[..., Action], *arguments: Any) -> None:
        """Compare one part with ``prepare(*arguments)``, and remember what it says is to be done."""
        self._asked.add(name)
        if not present:
            self._fresh.append(name)
            return
        try:
            self._actions[name] = prepare(*arguments)
        except MismatchError as error:
            if self.strict:
                raise
            self.differences.append(str(error))

    def run(self, inventory: Mapping[str, bool]) -> Restored:
        notes: list[str] = []
        for action in self._actions.values():
            notes += action() or []
        unused = [name for name in inventory if name not in self._asked]
        left = [name for name in unused if inventory[name]]
        if left or self._fresh:
            parts = [f"not in the checkpoint: {', '.join(self._fresh)}"] if self._fresh else []
            parts += [f"not asked for: {', '.join(left)}"] if left else []
            text = f"training state starts fresh where it was not restored ({'; '.join(parts)})"
            warnings.warn(text, CheckpointWarning, stacklevel=3)
        return Restored(
            restored=tuple(self._actions),
            fresh=tuple(self._fresh),
            unused=tuple(unused),
            differences=tuple(self.differences),
            notes=tuple(notes),
        )


@device_errors()
def load_checkpoint(
    location: Location,
    *,
    device: Device = "cpu",
    only: str | Iterable[str] | None = None,
    verify: bool = True,
    io: IO = "map",
    limits: Limits = DEFAULT,
) -> Checkpoint:
    """Open a checkpoint, and check every byte of it (``verify=False``: everything but the digests).

    ``only`` names the components to use (``"generator"``, ``"optimizer_generator"``): no other is read, nor missed.
    A converted checkpoint dict of ``torch.save`` opens as :class:`modelcrate.checkpoint.torch_dict.DictCheckpoint`.
    ``device`` is where :meth:`Checkpoint.network` builds networks; :meth:`Checkpoint.restore` copies into live objects
    wherever they are. Raises as :func:`modelcrate.open`; UnsupportedError for a crate that is no checkpoint.
    """
    target = resolve_device(device)
    names = None if only is None else frozenset([only] if isinstance(only, str) else only)
    crate = open_crate(location, verify=verify, io=io, limits=limits)
    try:
        if crate.manifest.model is not None and crate.manifest.model.type == VALUES:
            from modelcrate.checkpoint.torch_dict import DictCheckpoint

            if verify:
                crate.check()
            return DictCheckpoint(crate, target, names)
        for name in sorted(names or ()):
            if name not in crate:
                raise UsageError(f"the checkpoint has no component {name!r}", hint=f"there is {', '.join(crate)}")
        if names is None and verify:
            crate.check()
        return Checkpoint(crate, target, names)
    except BaseException:
        crate.close()
        raise


def _tensors(component: StoredComponent) -> Mapping[str, torch.Tensor]:
    return component.tensors if component.has_weights else {}


def read_progress(path: str | os.PathLike[str]) -> Progress | ModelcrateError:
    """The progress of the checkpoint at ``path``, read alone, or why it can't be read."""
    try:
        with load_checkpoint(path, only=PROGRESS) as checkpoint:
            return checkpoint.progress
    except ModelcrateError as error:
        return error
