"""Memory for one copy of all tensors of a run, used again for the next copy."""

from __future__ import annotations

import torch

from modelcrate.nn.tensors import copy_into


class Snapshot:
    """Copies tensors into host memory that it keeps: a run's second snapshot allocates nothing.

    The copies of one round are overwritten by the next, which must not begin before they are written.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, torch.Tensor] = {}

    def copy(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """A contiguous copy on the CPU, in the same memory as the last one of that name if it still fits."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
            pinned = tensor.is_cuda
            buffer = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=pinned)
            self._buffers[name] = buffer
        return copy_into(buffer, tensor.detach())

    def clear(self) -> None:
        """Give the memory back."""
        self._buffers.clear()
