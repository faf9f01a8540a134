"""The state of any ``torch.optim`` optimizer as data: a document, and tensors of a safetensors file.

What is known is the structure of ``state_dict()``, not the classes: per parameter a dict of tensors and plain values,
per group a dict of options. State is kept by column (``exp_avg`` of all parameters), numbers in tensors without
dimensions (``step``) as one vector per column: a model of 20,000 parameters has one tensor of steps, not 20,000.

Restoring is exact. ``Optimizer.load_state_dict`` casts all state to its parameter's dtype; what it changed that way is
put back afterwards, where the parameter still has the dtype that it was saved with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modelcrate.errors import FormatError, MismatchError, UsageError
from modelcrate.format.document import Fields
from modelcrate.format.values import Value
from modelcrate.nn import nested
from modelcrate.nn.dtypes import STORED_NAMES
from modelcrate.nn.nested import Tensors, TensorSink
from modelcrate.nn.optimizer_document import (
    RESERVED,
    Group,
    Parameter,
    parameters_document,
    read_column,
    read_groups,
    read_parameters,
    slug,
)
from modelcrate.nn.tensors import copy_into

OPTIMIZER_TYPE = "training.optimizer/1"

ELEMENTWISE = frozenset(
    [
        *("acc_delta", "ax", "exp_avg", "exp_avg_sq", "exp_inf", "grad_avg", "max_exp_avg_sq", "momentum_buffer"),
        *("prev", "square_avg", "step_size", "sum"),
    ]
)
"""State of torch's own optimizers that has one item per item of the parameter; another shape would be broadcast."""
COUNTERS = frozenset(["step"])
"""State of torch's own optimizers that counts; NaN or a negative number would spread into the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerState:
    """Everything that an optimizer knows; ``state`` is by parameter index, ``shared`` is what belongs to no parameter.

    ``on_host`` says, for each key whose tensors have no dimensions, whether they were kept on the CPU although the
    parameters were not; None where that couldn't be told.
    """

    kind: str
    parameters: tuple[Parameter, ...]
    groups: tuple[Group, ...]
    state: Mapping[int, Mapping[str, Any]]
    on_host: Mapping[str, bool | None]
    shared: Mapping[Any, Any]

    @classmethod
    def capture(cls, optimizer: Any, names: Mapping[int, str], *, where: str) -> OptimizerState:
        """Look at a live optimizer; nothing is copied. ``names`` gives a parameter's name by the ``id`` of the tensor.

        Raises UsageError for an object that has no state of the structure above.
        """
        found = _state_dict(optimizer, where)
        indices: dict[Any, int] = {}
        parameters: list[Parameter] = []
        groups: list[Group] = []
        tensors: list[torch.Tensor] = []
        for number, (saved, live) in enumerate(zip(found["param_groups"], optimizer.param_groups, strict=True)):
            start = len(parameters)
            own = saved.get("param_names") or [None] * len(live["params"])
            for key, tensor, name in zip(saved["params"], live["params"], own, strict=True):
                if key in indices:
                    raise UsageError("a parameter is in two places", where=f"{where}.groups[{number}]")
                nested.check_tensor(tensor, where=f"{where}.groups[{number}]")
                indices[key] = len(parameters)
                tensors.append(tensor)
                parameters.append(
                    Parameter(
                        name=names.get(id(tensor), name), dtype=STORED_NAMES[tensor.dtype], shape=tuple(tensor.shape)
                    )
                )
            options = {name: value for name, value in saved.items() if name not in RESERVED}
            groups.append(Group(options=options, parameters=tuple(range(start, len(parameters)))))
        state: dict[int, Mapping[str, Any]] = {}
        shared: dict[Any, Any] = {}
        for key, value in found["state"].items():
            if key not in indices:
                shared[key] = value
            elif isinstance(value, dict) and all(type(name) is str for name in value):
                state[indices[key]] = value
            else:
                raise UsageError("the state of a parameter is not a dict of names", where=f"{where}.state[{key!r}]")
        return cls(
            kind=type(optimizer).__name__,
            parameters=tuple(parameters),
            groups=tuple(groups),
            state=state,
            on_host=_hosts(state, tensors),
            shared=shared,
        )

    @classmethod
    def of_torch(cls, found: Mapping[str, Any], optimizer: Any, *, where: str) -> OptimizerState:
        """The state in a ``state_dict()`` of torch that comes from elsewhere, for this very ``optimizer``.

        Such a dict has neither class nor shapes: what is known of a parameter is taken from the live one in its place.
        Raises FormatError for a dict of another structure; what does not fit, :meth:`prepare` says.
        """
        real = [tensor for group in optimizer.param_groups for tensor in group["params"]]
        indices: dict[int, int] = {}
        groups: list[Group] = []
        for group in found["param_groups"]:
            start = len(indices)
            indices |= {key: start + place for place, key in enumerate(group["params"])}
            options = {name: value for name, value in group.items() if name not in RESERVED}
            groups.append(Group(options=options, parameters=tuple(range(start, start + len(group["params"])))))
        if len(indices) != sum(len(group.parameters) for group in groups):
            raise FormatError("a parameter is in two places", where=where)
        parameters = [Parameter(name=None, dtype=STORED_NAMES.get(it.dtype, ""), shape=tuple(it.shape)) for it in real]
        state = {indices[key]: value for key, value in found["state"].items() if key in indices}
        if not all(isinstance(value, dict) and all(type(name) is str for name in value) for value in state.values()):
            raise FormatError("the state of a parameter is not a dict of names", where=where)
        return cls(
            kind=type(optimizer).__name__,
            parameters=tuple(parameters),
            groups=tuple(groups),
            state=state,
            on_host=dict.fromkeys(COUNTERS, True) if _counts_on_host(optimizer) else {},
            shared={key: value for key, value in found["state"].items() if key not in indices},
        )

    def to_document(self, *, where: str) -> tuple[dict[str, Value], dict[str, torch.Tensor]]:
        """The document and the tensors (on their devices, not copied); see ``training.optimizer.1.schema.json``.

        Raises UsageError or UnsupportedError, naming the path, for what can't be kept.
        """
        sink = TensorSink()
        columns = [self._column(key, position, sink, where) for position, key in enumerate(self._keys())]
        document: dict[str, Value] = {
            "class": self.kind,
            "parameters": parameters_document(self.parameters),
            "groups": [
                {
                    "parameters": np.asarray(group.parameters, dtype=np.int64),
                    "options": nested.encode(group.options, where=f"{where}.groups[{number}]", sink=_Renamed(sink)),
                }
                for number, group in enumerate(self.groups)
            ],
            "columns": columns,
            "shared": nested.encode(self.shared, where=f"{where}.shared", sink=_Renamed(sink)),
        }
        return document, sink.tensors

    def _keys(self) -> list[str]:
        return sorted({key for values in self.state.values() for key in values})

    def _column(self, key: str, position: int, sink: TensorSink, where: str) -> dict[str, Value]:
        prefix = slug(key, position)
        scalar_dtype: torch.dtype | None = None
        scalars: dict[int, torch.Tensor] = {}
        tensors: list[int] = []
        plain: list[Value] = []
        for index in sorted(self.state):
            if key not in self.state[index]:
                continue
            value = self.state[index][key]
            place = f"{where}.state[{index}].{key}"
            if not isinstance(value, torch.Tensor):
                plain.append([index, nested.encode(value, where=place, sink=_Renamed(sink))])
                continue
            nested.check_tensor(value, where=place)
            if value.ndim == 0 and scalar_dtype in (None, value.dtype):
                scalar_dtype = value.dtype
                scalars[index] = value
                continue
            name = f"{prefix}.{index}"
            if sink.add(name, value.detach(), where=place) != name:
                raise UsageError("two names for state become one", where=place)
            tensors.append(index)
        if scalars:
            column = torch.stack([value.detach().to("cpu") for value in scalars.values()])
            sink.add(f"{prefix}.all", column, where=f"{where}.state.{key}")
        return {
            "key": key,
            "tensors": np.asarray(tensors, dtype=np.int64),
            "scalars": np.asarray(list(scalars), dtype=np.int64),
            "plain": plain,
            "on_host": self.on_host.get(key),
        }

    @classmethod
    def from_document(cls, fields: Fields, tensors: Tensors) -> OptimizerState:
        """Read a document strictly; FormatError for anything that :meth:`to_document` would not have written."""
        used: set[str] = set()
        kind = fields.text("class", max_length=256)
        parameters = read_parameters(fields.fields("parameters"))
        groups = read_groups(fields, len(parameters), tensors, used)
        state: dict[int, dict[str, Any]] = {}
        on_host: dict[str, bool | None] = {}
        for position, column in enumerate(fields.each_fields("columns", max_items=1 << 16)):
            read_column(column, position, len(parameters), state, on_host, tensors, used)
        shared = nested.decode(fields.value("shared"), where=fields.path("shared"), tensors=tensors, used=used)
        if not isinstance(shared, dict):
            raise FormatError("expected a map", where=fields.path("shared"))
        fields.finish()
        nested.check_used(tensors, used, where=fields.where)
        return cls(kind=kind, parameters=parameters, groups=groups, state=state, on_host=on_host, shared=shared)

    def prepare(
        self, optimizer: Any, names: Mapping[int, str], *, where: str, strict: bool = True
    ) -> Callable[[], None]:
        """Compare with a live optimizer, and return what puts the state into it.

        Parameters are paired by name where all names of a group are known on both sides, else by their order.
        ``strict=False`` allows another optimizer class and parameters of another dtype (state is cast to it).
        Raises MismatchError for anything that doesn't fit, before anything is changed.
        """
        live = _state_dict(optimizer, where)
        if strict and type(optimizer).__name__ != self.kind:
            raise MismatchError(
                f"saved by {self.kind}, restored into {type(optimizer).__name__}",
                where=where,
                hint="make the same optimizer, or leave it out to start fresh",
            )
        if len(live["param_groups"]) != len(self.groups):
            raise MismatchError(
                f"saved with {len(self.groups)} parameter groups, there are {len(live['param_groups'])}", where=where
            )
        pairs: dict[int, tuple[Any, torch.Tensor]] = {}
        groups: list[dict[str, Any]] = []
        for number, (group, described, real) in enumerate(
            zip(self.groups, live["param_groups"], optimizer.param_groups, strict=True)
        ):
            place = f"{where}.groups[{number}]"
            for saved, position in zip(group.parameters, self._pair(group, real, names, place), strict=True):
                pairs[saved] = (described["params"][position], real["params"][position])
            options = _check_options(group.options, described, place)
            groups.append({**described, **options})
        for index, (_, tensor) in pairs.items():
            self._check_parameter(index, tensor, optimizer, where, strict)
        return lambda: self._apply(optimizer, pairs, groups, where)

    def _pair(self, group: Group, real: Mapping[str, Any], names: Mapping[int, str], where: str) -> Sequence[int]:
        tensors = real["params"]
        if len(tensors) != len(group.parameters):
            raise MismatchError(f"saved with {len(group.parameters)} parameters, there are {len(tensors)}", where=where)
        own = real.get("param_names") or [None] * len(tensors)
        ours = [names.get(id(tensor), name) for tensor, name in zip(tensors, own, strict=True)]
        theirs = [self.parameters[index].name for index in group.parameters]
        if None in ours or None in theirs or len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
            return range(len(tensors))
        if set(ours) != set(theirs):
            missing = sorted(str(name) for name in set(ours) - set(theirs))
            extra = sorted(str(name) for name in set(theirs) - set(ours))
            raise MismatchError(
                f"the parameters differ: {', '.join(missing[:3])} not saved; {', '.join(extra[:3])} not here",
                where=where,
            )
        positions = {name: position for position, name in enumerate(ours)}
        return [positions[name] for name in theirs]

    def _check_parameter(self, index: int, tensor: torch.Tensor, optimizer: object, where: str, strict: bool) -> None:
        saved = self.parameters[index]
        place = f"{where}.{saved.name or f'parameter {index}'}"
        if tuple(tensor.shape) != saved.shape:
            raise MismatchError(f"saved for shape {list(saved.shape)}, here it is {list(tensor.shape)}", where=place)
        if strict and STORED_NAMES.get(tensor.dtype) != saved.dtype:
            raise MismatchError(f"saved for {saved.dtype}, here it is {STORED_NAMES.get(tensor.dtype)}", where=place)
        if not type(optimizer).__module__.startswith("torch.optim."):
            return
        for key, value in self.state.get(index, {}).items():
            if not isinstance(value, torch.Tensor):
                continue
            if key in ELEMENTWISE and tuple(value.shape) != saved.shape:
                raise MismatchError(f"{key} has shape {list(value.shape)}", where=place)
            if key in COUNTERS and not (value.ndim == 0 and 0 <= float(value.real) < 2**63):
                raise MismatchError(f"{key} is no count of steps", where=place)

    def _apply(
        self,
        optimizer: Any,
        pairs: Mapping[int, tuple[Any, torch.Tensor]],
        groups: list[dict[str, Any]],
        where: str,
    ) -> None:
        exact: dict[int, dict[str, Any]] = {}
        for index, values in self.state.items():
            parameter = pairs[index][1]
            exact[index] = {key: _placed(value, parameter, self.on_host.get(key)) for key, value in values.items()}
        state = dict(self.shared)
        for index, values in exact.items():
            state[pairs[index][0]] = {key: value if _castable(value) else None for key, value in values.items()}
        try:
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError) as error:
            raise MismatchError(f"the optimizer refused its state: {error}", where=where) from error
        if getattr(type(optimizer), "load_state_dict", None) is torch.optim.Optimizer.load_state_dict:
            for index, values in exact.items():
                parameter = pairs[index][1]
                same = STORED_NAMES.get(parameter.dtype) == self.parameters[index].dtype
                _settle(optimizer.state[parameter], values, self.on_host, same)


class _Renamed(TensorSink):
    """Gives the tensors of nested values short names, numbered in one sequence with their owner's."""

    def __init__(self, owner: TensorSink) -> None:
        super().__init__()
        self.owner = owner

    def add(self, name: str, tensor: torch.Tensor, *, where: str) -> str:
        return self.owner.add(f"nested.{len(self.owner.tensors)}", tensor, where=where)


def _state_dict(optimizer: Any, where: str) -> dict[str, Any]:
    """``optimizer.state_dict()``, if it has the structure of torch's and fits the live groups."""
    try:
        found = optimizer.state_dict()
        groups = [group["params"] for group in found["param_groups"]]
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        fits = isinstance(found["state"], dict) and [len(group) for group in groups] == sizes
    except (AttributeError, TypeError, KeyError):
        fits = False
    if not fits:
        raise UsageError(
            f"{type(optimizer).__name__} has no state_dict() of torch's structure",
            where=where,
            hint="give its state as extras=",
        )
    return dict(found)


def _hosts(state: Mapping[int, Mapping[str, Any]], parameters: Sequence[torch.Tensor]) -> dict[str, bool | None]:
    hosts: dict[str, bool | None] = {}
    for index, values in state.items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor) and value.ndim == 0 and key not in hosts:
                same = parameters[index].device.type == "cpu"
                hosts[key] = None if same else value.device.type == "cpu"
    return hosts


def _counts_on_host(optimizer: Any) -> bool:
    """Whether torch keeps the step counts of this optimizer on the CPU: always, unless it is capturable or fused."""
    return not any(group.get("capturable") or group.get("fused") for group in optimizer.param_groups)


def _check_options(options: Mapping[str, Any], live: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The saved options, each of the kind that the live one has; tensors copied to where the live one is."""
    placed: dict[str, Any] = {}
    for name, value in options.items():
        ours = live.get(name)
        if name in live and not nested.compatible(ours, value):
            raise MismatchError("the saved option is of another kind", where=f"{where}.{name}")
        if isinstance(value, torch.Tensor):
            placed[name] = value.to(ours.device if isinstance(ours, torch.Tensor) else "cpu", copy=True)
        else:
            placed[name] = value
    return placed


def _placed(value: Any, parameter: torch.Tensor, on_host: bool | None) -> Any:
    """A copy of saved state where the parameter is, in its memory layout; what was kept on the host stays there."""
    if isinstance(value, torch.Tensor):
        if value.ndim == 0 and on_host is not False:
            return value.clone()
        if value.shape == parameter.shape:
            return copy_into(torch.empty_like(parameter, dtype=value.dtype, requires_grad=False), value)
        return value.to(parameter.device, copy=True)
    if isinstance(value, list | tuple):
        return type(value)([_placed(item, parameter, on_host) for item in value])
    if isinstance(value, dict):
        return {key: _placed(item, parameter, on_host) for key, item in value.items()}
    return value


def _castable(value: Any) -> bool:
    """Whether ``Optimizer.load_state_dict`` can rebuild a value; texts and arrays it breaks."""
    if isinstance(value, list | tuple):
        return all(map(_castable, value))
    if isinstance(value, dict):
        return all(map(_castable, value.values()))
    return isinstance(value, torch.Tensor) or not isinstance(value, Iterable)


def _settle(live: dict[str, Any], exact: Mapping[str, Any], on_host: Mapping[str, bool | None], same: bool) -> None:
    """Put back what ``load_state_dict`` changed.

    That is values that it can't rebuild, and, where the parameter has the ``same`` dtype as when it was saved, dtypes
    of state that are not the parameter's, and the place of numbers.
    """
    for key, value in exact.items():
        if key not in live:
            continue
        if not isinstance(value, torch.Tensor):
            if same or not _castable(value):
                live[key] = value
        elif same and live[key] is not value and (live[key].dtype != value.dtype or on_host.get(key) is not None):
            live[key] = value.to(live[key].device) if on_host.get(key) is None else value
