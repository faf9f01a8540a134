"""Tensors that lie in one another's memory: which do, and how to lay them out again.

Two parameters over one storage see each other's changes. Written to a file they are two tensors with their own values;
their places in the common storage are kept beside, so that after loading a write to one shows in the other as before.
Tensors that merely come from one allocation without touching (the weights of a flattened LSTM) are not shared in any
way that a program could see, and are not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.limits import DEFAULT, Limits

WASTE = 4
"""A common storage may be this many times larger than its tensors together; a stride of a billion is an attack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where one tensor lies in a common storage, in elements."""

    offset: int
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A storage of ``size`` elements and the tensors that lie in it, by name."""

    size: int
    members: Mapping[str, Layout]

    def to_document(self) -> dict[str, Any]:
        members = {name: {"offset": it.offset, "stride": list(it.stride)} for name, it in self.members.items()}
        return {"size": self.size, "members": members}

    @classmethod
    def from_fields(cls, fields: Fields, limits: Limits = DEFAULT) -> Shared:
        size = fields.integer("size", minimum=1)
        held = fields.fields("members")
        members: dict[str, Layout] = {}
        for name in held.names():
            one = held.fields(name)
            members[name] = Layout(
                offset=one.integer("offset", minimum=0, maximum=size),
                stride=one.integers("stride", maximum=size, max_items=limits.tensor_rank),
            )
            one.finish()
        fields.finish()
        return cls(size=size, members=members)

    def lay_out(self, tensors: Mapping[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
        """The same values in one new storage; FormatError if the layout does not hold them."""
        present = {name: tensors[name] for name in self.members if name in tensors}
        if len(present) != len(self.members) or len({(it.dtype, it.device) for it in present.values()}) != 1:
            raise FormatError("tensors that share a storage are missing, or differ in dtype", where=where)
        if self.size > WASTE * sum(tensor.numel() for tensor in present.values()):
            raise FormatError("the common storage is far larger than its tensors", where=where)
        for name, tensor in present.items():
            layout = self.members[name]
            if len(layout.stride) != tensor.ndim or _reach(tensor.shape, layout) > self.size or not tensor.numel():
                raise FormatError(f"{name!r} does not fit into its storage", where=where)
        first = next(iter(present.values()))
        storage = torch.zeros(self.size, dtype=first.dtype, device=first.device)
        views: dict[str, torch.Tensor] = {}
        for name, tensor in present.items():
            layout = self.members[name]
            views[name] = storage.as_strided(tensor.shape, layout.stride, layout.offset)
            if torch._debug_has_internal_overlap(views[name]) == 1:
                raise FormatError(f"{name!r} overlaps with itself", where=where)
            views[name].copy_(tensor)
        return views


def find_shared(tensors: Mapping[str, torch.Tensor]) -> list[Shared]:
    """The groups of different tensors (by name) that lie in one another's memory."""
    storages: dict[tuple[Any, ...], list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.numel():
            key = (tensor.device, tensor.untyped_storage().data_ptr(), tensor.dtype)
            storages.setdefault(key, []).append(name)
    found: list[Shared] = []
    for names in storages.values():
        if len(names) == 1:
            continue
        for group in _touching({name: tensors[name] for name in names}):
            shared = _shared({name: tensors[name] for name in group})
            if shared.size <= WASTE * sum(tensors[name].numel() for name in group):
                found.append(shared)
    return found


def _touching(tensors: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """Groups whose ranges of elements overlap, one after the other along the storage."""
    groups: list[list[str]] = []
    end = -1
    for name in sorted(tensors, key=lambda name: tensors[name].storage_offset()):
        tensor = tensors[name]
        if tensor.storage_offset() < end:
            groups[-1].append(name)
        else:
            groups.append([name])
        layout = Layout(offset=int(tensor.storage_offset()), stride=tuple(tensor.stride()))
        end = max(end, _reach(tensor.shape, layout))
    return [group for group in groups if len(group) > 1]


def _shared(tensors: Mapping[str, torch.Tensor]) -> Shared:
    start = min(int(tensor.storage_offset()) for tensor in tensors.values())
    members = {
        name: Layout(offset=int(tensor.storage_offset()) - start, stride=tuple(tensor.stride()))
        for name, tensor in tensors.items()
    }
    return Shared(size=max(_reach(tensors[name].shape, it) for name, it in members.items()), members=members)


def _reach(shape: tuple[int, ...], layout: Layout) -> int:
    """One past the last element of the storage that a tensor (with elements) touches."""
    return layout.offset + sum((size - 1) * step for size, step in zip(shape, layout.stride, strict=True)) + 1
