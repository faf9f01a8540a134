"""The caller's function that belongs to a model while it trains, kept beside the model that only samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelcrate.errors import UsageError

EpochCallback = Callable[[Any], object]
"""Called by a library that trains with what it tells after each epoch (of gretel's ACTGAN: an ``EpochInfo``)."""


class HoldsCallback:
    """Something that a callback can be attached to. No crate holds one, and sampling never calls it."""

    epoch_callback: EpochCallback | None = None
    """The function that was attached, for code that hands the model on to a training."""

    def set_callback(self, callback: EpochCallback | None) -> None:
        """Attach a function, or with None detach it. Raises :class:`UsageError` for what can't be called."""
        if callback is not None and not callable(callback):
            raise UsageError(f"a callback is a function, not a {type(callback).__name__}", where="epoch_callback")
        self.epoch_callback = callback
