"""Training checkpoints as crates: saved atomically, resumed exactly, kept by the last few and the best."""

from __future__ import annotations

from modelcrate.checkpoint.load import Checkpoint, load_checkpoint
from modelcrate.checkpoint.manager import CheckpointManager
from modelcrate.checkpoint.report import CheckpointWarning, Restored
from modelcrate.checkpoint.save import save_checkpoint

__all__ = ["Checkpoint", "CheckpointManager", "CheckpointWarning", "Restored", "load_checkpoint", "save_checkpoint"]
