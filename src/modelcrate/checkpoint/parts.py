"""What a checkpoint consists of: the names, roles and type tags of its components.

===================== ================= ============================ =======================================
component             role              type                         holds
===================== ================= ============================ =======================================
``generator``         ``network``       its architecture, or         one network's weights, a plain
                                        ``training.network/1``       safetensors file
``ema_generator``     ``ema``           the same, or                 an averaged copy, or the state of
                                        ``training.state/1``         an object that keeps one
``optimizer_adam``    ``optimizer``     ``training.optimizer/1``     optimizer tensors and their document
``progress``          ``progress``      ``training.progress/1``      epoch, losses, schedulers, extras ...
``random_state``      ``random_state``  ``training.random_state/1``  the random generators
===================== ================= ============================ =======================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelcrate.errors import UsageError
from modelcrate.format.names import COMPONENT_PATTERN

NETWORK_TYPE = "training.network/1"
STATE_TYPE = "training.state/1"
PROGRESS_TYPE = "training.progress/1"

OPTIMIZER_PREFIX = "optimizer_"
EMA_PREFIX = "ema_"
PROGRESS = "progress"
RANDOM_STATE = "random_state"
DEFAULT_NAME = "model"
"""The name of a network, optimizer or scheduler that is given alone instead of in a mapping."""

_NAME = re.compile(COMPONENT_PATTERN)


def named(given: Any, argument: str) -> dict[str, Any]:
    """What was given for ``networks=`` and the like as a dict by name: a mapping, one object alone, or None."""
    if given is None:
        return {}
    found = dict(given) if isinstance(given, Mapping) else {DEFAULT_NAME: given}
    for name in found:
        longest = 64 - len(OPTIMIZER_PREFIX)
        if not isinstance(name, str) or _NAME.fullmatch(name) is None or len(name) > longest:
            raise UsageError(
                f"{str(name)!r} can't be a name: lower-case letters, digits and _, at most {longest} characters",
                where=argument,
            )
        if argument == "networks" and (
            name in (PROGRESS, RANDOM_STATE) or name.startswith((OPTIMIZER_PREFIX, EMA_PREFIX))
        ):
            raise UsageError(f"{name!r} is the name of another part of a checkpoint", where=argument)
    return found


def role_of(name: str) -> str:
    """The one role that a component of this name has in a checkpoint."""
    if name in (PROGRESS, RANDOM_STATE):
        return name
    if name.startswith(OPTIMIZER_PREFIX):
        return "optimizer"
    return "ema" if name.startswith(EMA_PREFIX) else "network"
