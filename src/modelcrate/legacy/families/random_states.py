"""The random states that models store, in our words: a Mersenne Twister of NumPy and PyTorch's CPU generator."""

from __future__ import annotations

from typing import Any, TypeAlias

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import Call
from modelcrate.legacy.values.special import GeneratorData
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"


def state_of_objects(view: View) -> Document:
    """A NumPy RandomState and a PyTorch generator, as they were pickled."""
    import numpy as np

    pair = view.items()
    if len(pair) != 2:
        raise FormatError("expected a NumPy state and a PyTorch generator", where=view.path)
    if pair[0].class_name not in ("numpy.random._pickle.__randomstate_ctor", "numpy.random.mtrand.RandomState"):
        raise UnsupportedError(f"a random state of class {pair[0].class_name}", where=pair[0].path)
    state = pair[0].attributes(pair[0].class_name or "")
    if state["bit_generator"].text() != "MT19937":
        raise UnsupportedError("a random state that is no Mersenne Twister", where=state.path)
    twister = state["state"].mapping()
    generator = pair[1].node
    if pair[1].callee != "torch._C.Generator" or not isinstance(generator, Call) or len(generator.states) != 1:
        raise UnsupportedError("a random state that is no PyTorch generator", where=pair[1].path)
    parts = View(generator.states[0], f"{pair[1].path}.state", view.context).items()
    if len(parts) != 3:
        raise FormatError("a generator's state has three parts", where=pair[1].path)
    return {
        "numpy": {
            "key": np.array(twister["key"].array(), dtype=np.uint32),
            "position": twister["pos"].integer(),
            "has_normal": bool(state["has_gauss"].integer()),
            "normal": state["gauss"].finite(),
        },
        "torch": _bytes_of(parts[2]),
    }


def state_of_twister(view: View) -> Document:
    """A NumPy RandomState alone, of a model without a network; PyTorch's generator is a fresh one."""
    import numpy as np
    import torch

    found = view.value()
    inner = found.state.get("state") if isinstance(found, GeneratorData) else None
    if not isinstance(found, GeneratorData) or found.bit_generator != "MT19937" or not isinstance(inner, dict):
        raise UnsupportedError("a random state that is no Mersenne Twister", where=view.path)
    normal = found.state.get("gauss", 0.0)
    return {
        "numpy": {
            "key": np.array(inner["key"], dtype=np.uint32),
            "position": int(inner["pos"]),
            "has_normal": bool(found.state.get("has_gauss", 0)),
            "normal": normal if type(normal) is float else 0.0,
        },
        "torch": torch.Generator().manual_seed(0).get_state().numpy().copy(),
    }


def state_of_tuples(twister: View, generator: View) -> Document:
    """What ``RandomState.get_state()`` and ``Generator.get_state()`` gave."""
    import numpy as np

    parts = twister.items()
    if len(parts) != 5 or parts[0].text() != "MT19937":
        raise UnsupportedError("a random state that is no Mersenne Twister", where=twister.path)
    return {
        "numpy": {
            "key": np.array(parts[1].array(), dtype=np.uint32),
            "position": parts[2].integer(),
            "has_normal": bool(parts[3].integer()),
            "normal": parts[4].finite(),
        },
        "torch": _bytes_of(generator),
    }


def _bytes_of(view: View) -> Any:
    import numpy as np

    tensor = view.tensor().data(view.context, view.path)
    if tensor.dtype != "U8":
        raise FormatError("a generator's state is bytes", where=view.path)
    return np.frombuffer(bytes(tensor.data), dtype=np.uint8).copy()
