"""What a restore did: for a person to read, and for a program to check."""

from __future__ import annotations

from dataclasses import dataclass


class CheckpointWarning(UserWarning):
    """Training goes on, but not from where it stopped: some state starts fresh, or an older checkpoint is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What :meth:`modelcrate.Checkpoint.restore` restored, by names such as ``optimizers.generator``.

    ``fresh`` was asked for and is not in the checkpoint; ``unused`` is in the checkpoint and was not asked for;
    ``differences`` (only with ``strict=False``) were left as they are; ``notes`` say what no checkpoint can hold.
    """

    restored: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether training goes on exactly as it would have: nothing fresh, unused or different."""
        return not (self.fresh or self.unused or self.differences)
