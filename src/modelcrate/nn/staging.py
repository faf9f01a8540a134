"""From the memory of a file to an accelerator, through two small page-locked buffers.

A copy from ordinary memory makes the driver wait for the pages and copy them itself, one after the other. Here the
processor fills one buffer (which is when the pages come from the disk) while the device empties the other. What it
takes of the host's memory is the two buffers, whatever the size of the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch

BUFFER = 32 << 20
"""Bytes of one of the two buffers; the bus is busy from a few megabytes on."""
_ALIGNMENT = 64

Move = Callable[[torch.Tensor], torch.Tensor]
"""Gives the tensor on the device; a tensor that is there already, as it is."""


@contextlib.contextmanager
def transfer(device: torch.device) -> Iterator[Move]:
    """What brings CPU tensors to ``device`` inside the block; they are complete when it ends."""
    if device.type != "cuda":
        yield lambda tensor: tensor.to(device)
        return
    staging = Staging(device)
    try:
        yield staging.move
    finally:
        staging.wait()


class Staging:
    """Two buffers that take turns. ``pinned=False`` makes them of ordinary memory, on a machine without a device."""

    def __init__(self, device: torch.device, *, size: int = BUFFER, pinned: bool = True) -> None:
        self.device = device
        self._size = size
        self._pinned = pinned
        self._buffers: list[torch.Tensor] = []
        self._free: list[torch.cuda.Event | None] = [None, None]
        self._turn = 0
        self._used = 0

    def move(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a contiguous CPU tensor on the device; small ones share a buffer, large ones go in pieces."""
        if tensor.device.type != "cpu" or not tensor.numel() or not tensor.is_contiguous():
            return tensor.to(self.device)
        made = torch.empty(tensor.shape, dtype=tensor.dtype, device=self.device)
        source, target = _flat(tensor), _flat(made)
        done = 0
        while done < len(source):
            buffer = self._buffer()
            count = min(len(source) - done, self._size - self._used)
            piece = buffer[self._used : self._used + count]
            piece.copy_(source[done : done + count])
            target[done : done + count].copy_(piece, non_blocking=True)
            done += count
            self._used += -(-count // _ALIGNMENT) * _ALIGNMENT
        return made

    def wait(self) -> None:
        """Wait until the device has everything."""
        if self._pinned and self._buffers:
            torch.cuda.current_stream(self.device).synchronize()

    def _buffer(self) -> torch.Tensor:
        """The buffer whose turn it is, with room in it; waits until the device has emptied it."""
        if self._used >= self._size:
            if self._pinned:
                self._free[self._turn] = torch.cuda.current_stream(self.device).record_event()
            self._turn, self._used = 1 - self._turn, 0
            emptied = self._free[self._turn]
            if emptied is not None:
                emptied.synchronize()
        if len(self._buffers) <= self._turn:
            self._buffers.append(self._make())
        return self._buffers[self._turn]

    def _make(self) -> torch.Tensor:
        if not self._pinned:
            return torch.empty(self._size, dtype=torch.uint8)
        with torch.cuda.device(self.device):  # page-locked for this device, without waking up the first one
            return torch.empty(self._size, dtype=torch.uint8, pin_memory=True)


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a contiguous tensor."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.reshape(-1).view(torch.uint8)
