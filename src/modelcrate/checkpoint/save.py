"""Saving a checkpoint: live objects are looked at, taken down as components, and written as one crate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from modelcrate.checkpoint import network
from modelcrate.checkpoint.network import Copy
from modelcrate.checkpoint.parts import (
    EMA_PREFIX,
    OPTIMIZER_PREFIX,
    PROGRESS,
    PROGRESS_TYPE,
    RANDOM_STATE,
    STATE_TYPE,
    named,
)
from modelcrate.checkpoint.progress import Progress
from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM
from modelcrate.format.manifest import Manifest
from modelcrate.nn.nested import TensorSink
from modelcrate.nn.optimizer import OPTIMIZER_TYPE, OptimizerState
from modelcrate.nn.random_state import RANDOM_STATE_TYPE, Generator, RandomState
from modelcrate.nn.scheduler import SchedulerState
from modelcrate.nn.tensors import tensor_data
from modelcrate.parts import CHECKPOINT
from modelcrate.storage.component import ComponentData


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The live objects of one training run, and its numbers; the arguments of :func:`save_checkpoint`."""

    networks: Any
    optimizers: Any = None
    schedulers: Any = None
    scaler: Any = None
    ema: Any = None
    epoch: int | None = None
    step: int | None = None
    losses: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] | None = None
    config: Mapping[str, Any] | None = None
    random_state: bool | Mapping[str, Generator] = True
    data_position: Any = None
    extras: Mapping[str, Any] | None = None

    def capture(self, copy: Copy | None = None) -> list[ComponentData]:
        """The components of a checkpoint; with ``copy``, nothing in them changes when training goes on.

        Raises UsageError or UnsupportedError, naming the path, for what no crate can hold.
        """
        networks = named(self.networks, "networks")
        if not networks:
            raise UsageError("a checkpoint holds at least one network", where="networks")
        found = [_network(name, "network", module, f"networks.{name}", copy) for name, module in networks.items()]
        names = network.parameter_names(networks)
        for name, optimizer in named(self.optimizers, "optimizers").items():
            where = f"optimizers.{name}"
            document, tensors = OptimizerState.capture(optimizer, names, where=where).to_document(where=where)
            found.append(_component(OPTIMIZER_PREFIX + name, "optimizer", OPTIMIZER_TYPE, document, tensors, copy))
        for name, averaged in named(self.ema, "ema").items():
            where = f"ema.{name}"
            if isinstance(averaged, torch.nn.Module):
                found.append(_network(EMA_PREFIX + name, "ema", averaged, where, copy))
            else:
                sink = TensorSink()
                document = SchedulerState.capture(averaged, where=where).to_document(where=where, sink=sink)
                found.append(_component(EMA_PREFIX + name, "ema", STATE_TYPE, document, sink.tensors, copy))
        document, tensors = self._progress().to_document()
        found.append(_component(PROGRESS, PROGRESS, PROGRESS_TYPE, document, tensors, copy))
        if self.random_state is not False:
            own = self.random_state if isinstance(self.random_state, Mapping) else {}
            document = RandomState.capture(named(own, "random_state")).to_document()
            found.append(_component(RANDOM_STATE, RANDOM_STATE, RANDOM_STATE_TYPE, document, {}, copy))
        return found

    def _progress(self) -> Progress:
        return Progress(
            epoch=self.epoch,
            step=self.step,
            losses={} if self.losses is None else self.losses,
            metrics={} if self.metrics is None else self.metrics,
            config={} if self.config is None else self.config,
            extras={} if self.extras is None else self.extras,
            data_position=self.data_position,
            schedulers={
                name: SchedulerState.capture(scheduler, where=f"schedulers.{name}")
                for name, scheduler in named(self.schedulers, "schedulers").items()
            },
            scaler=None if self.scaler is None else SchedulerState.capture(self.scaler, where="scaler"),
        )


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    networks: Any,
    optimizers: Any = None,
    schedulers: Any = None,
    scaler: Any = None,
    ema: Any = None,
    epoch: int | None = None,
    step: int | None = None,
    losses: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    random_state: bool | Mapping[str, Generator] = True,
    data_position: Any = None,
    extras: Mapping[str, Any] | None = None,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> Manifest:
    """Save everything that training needs to go on, as one crate, atomically and durably.

    ``networks``, ``optimizers``, ``schedulers`` and ``ema`` are mappings from names to live objects (or one object
    alone); classes of modules need not be registered. ``epoch`` and ``step`` count what is finished. ``losses``,
    ``metrics``, ``config``, ``extras`` and ``data_position`` are plain data, tensors included. ``random_state=True``
    keeps Python's, NumPy's and torch's generators; a mapping keeps those and the generators in it; False keeps none.
    Raises UsageError or UnsupportedError that names the path of what is no data, and as
    :func:`modelcrate.crate_writer.write_crate`.
    """
    training = Training(
        networks=networks,
        optimizers=optimizers,
        schedulers=schedulers,
        scaler=scaler,
        ema=ema,
        epoch=epoch,
        step=step,
        losses=losses,
        metrics=metrics,
        config=config,
        random_state=random_state,
        data_position=data_position,
        extras=extras,
    )
    return write(path, training.capture(), form=form, digest=digest, overwrite=overwrite)


def write(
    path: str | os.PathLike[str],
    components: list[ComponentData],
    *,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> Manifest:
    """Write captured components as a checkpoint."""
    return write_crate(
        path,
        components=components,
        model=(CHECKPOINT, {}),
        form=form,
        digest=digest,
        overwrite=overwrite,
    )


def _network(name: str, role: str, module: Any, where: str, copy: Copy | None) -> ComponentData:
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"expected a torch.nn.Module, got a {type(module).__name__}", where=where)
    return network.capture(module, name=name, role=role, where=where, copy=copy)


def _component(
    name: str,
    role: str,
    tag: str,
    document: dict[str, Any],
    tensors: Mapping[str, torch.Tensor],
    copy: Copy | None,
) -> ComponentData:
    held = {key: tensor_data(_copied(copy, name, key, it), where=f"{name}.{key}") for key, it in tensors.items()}
    return ComponentData(name=name, role=role, type=tag, tensors=held or None, state=document)


def _copied(copy: Copy | None, component: str, name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor if copy is None else copy(f"{component}/{name}", tensor)
