"""What a device says when it fails, as an error of the library: out of memory, lost, refused by its driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from modelcrate.errors import StorageError

_FULL: Final = "OutOfMemoryError"
_LOST: Final = "AcceleratorError"
_WORDS: Final = ("CUDA error", "HIP error", "MPS backend out of memory", "cudaError")
"""How drivers begin their complaint, in versions of torch that raise a bare RuntimeError."""


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """Raise StorageError where a device ran out of memory or was lost; what was moved so far is let go.

    Torch's own classes are known by name, so that nothing here imports it.
    """
    failure: StorageError | None = None
    try:
        yield
    except RuntimeError as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if _FULL not in kinds and _LOST not in kinds and not str(error).startswith(_WORDS):
            raise
        full = _FULL in kinds or "out of memory" in str(error)
        failure = StorageError(
            f"the device {'has not enough memory' if full else 'failed'}: {str(error).splitlines()[0][:200]}",
            hint="try another device, device='cpu', or a smaller dtype" if full else "try another device",
        )
    if failure is not None:  # outside of the handler, so that no traceback keeps the tensors of the failed load alive
        raise failure
