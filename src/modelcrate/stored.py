"""One component of an open crate: its tensors and its state, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError, UsageError
from modelcrate.format import values
from modelcrate.format.jsontext import Json
from modelcrate.format.manifest import Component
from modelcrate.format.tensors import TensorData, TensorHeader, check_booleans, parse_header
from modelcrate.format.values import Value
from modelcrate.limits import Limits

if TYPE_CHECKING:
    import torch


class StoredComponent:
    """What a crate holds of one component. Every byte is checked, as the crate was opened to do, before it is used."""

    def __init__(
        self, name: str, component: Component, read: Callable[[str], memoryview], *, where: str, limits: Limits
    ) -> None:
        self.name = name
        self.role = component.role
        self.type = component.type
        self.config: Mapping[str, Json] = component.config
        self.where = f"{where}: {name}"
        self._component = component
        self._read = read
        self._limits = limits
        self._header: TensorHeader | None = None
        self._state: dict[str, Value] | None = None

    @property
    def has_weights(self) -> bool:
        """Whether the component has tensors, perhaps none."""
        return self._component.weights is not None

    @property
    def has_state(self) -> bool:
        """Whether the component has a state document."""
        return self._component.state is not None

    @property
    def weights(self) -> memoryview:
        """The whole weights member, a safetensors file, in private writable memory."""
        if self._component.weights is None:
            raise UsageError("the component has no tensors", where=self.where)
        return self._read(self._component.weights)

    @property
    def header(self) -> TensorHeader:
        """Names, dtypes, shapes and places of the tensors; raises as :func:`modelcrate.format.tensors.parse_header`."""
        if self._header is None:
            self._header = parse_header(self.weights, where=self.where, limits=self._limits)
        return self._header

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """The tensors by name, each made on access: CPU views of the crate's memory, private and writable."""
        return _Tensors(self)

    @property
    def data(self) -> Mapping[str, TensorData]:
        """The tensors by name as plain bytes, without torch."""
        return _Data(self)

    @property
    def state(self) -> dict[str, Value]:
        """The state document (FORMAT.md 7.1), decoded once; raises as :func:`modelcrate.format.values.decode`."""
        if self._component.state is None:
            raise UsageError("the component has no state", where=self.where)
        if self._state is None:
            where = f"{self.where}.state"
            state = values.decode(self.state_bytes, where=where, limits=self._limits)
            if type(state) is not dict:
                raise FormatError("a state document is a map", where=where)
            self._state = state
        return self._state

    @property
    def state_bytes(self) -> memoryview:
        """The encoded state document."""
        if self._component.state is None:
            raise UsageError("the component has no state", where=self.where)
        return self._read(self._component.state)


class _Tensors(Mapping[str, "torch.Tensor"]):
    def __init__(self, component: StoredComponent) -> None:
        self._component = component
        self._header = component.header

    def __getitem__(self, name: str) -> torch.Tensor:
        from modelcrate.nn.tensors import tensor_view

        entry = self._header.entries[name]
        return tensor_view(self._component.weights, self._header, entry, where=self._component.where)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.entries)

    def __len__(self) -> int:
        return len(self._header.entries)


class _Data(Mapping[str, TensorData]):
    def __init__(self, component: StoredComponent) -> None:
        self._component = component
        self._header = component.header

    def __getitem__(self, name: str) -> TensorData:
        entry = self._header.entries[name]
        start = self._header.data_start
        data = self._component.weights[start + entry.start : start + entry.end]
        check_booleans(entry, data, where=self._component.where)
        return TensorData(entry.dtype, entry.shape, data)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.entries)

    def __len__(self) -> int:
        return len(self._header.entries)
