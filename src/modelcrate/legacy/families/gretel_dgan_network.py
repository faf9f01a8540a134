"""The generator of a DGAN that was pickled whole: its tensors by their names in a state dict."""

from __future__ import annotations

from typing import Final

from modelcrate.errors import LimitError, UnsupportedError
from modelcrate.format.tensors import TensorData
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.view import View

_NN: Final = "torch.nn.modules"
_LAYERS: Final = (
    f"{_NN}.linear.Linear", f"{_NN}.batchnorm.BatchNorm1d", f"{_NN}.rnn.LSTM", f"{_NN}.activation.ReLU",
    f"{_NN}.activation.Softmax", f"{_NN}.activation.Sigmoid", f"{_NN}.activation.Tanh",
    f"{_NN}.container.Sequential", f"{_NN}.container.ModuleList",
)  # fmt: skip
_OWN: Final = ("Generator", "OutputDecoder", "Merger", "SelectLastCell")
DEPTH: Final = 12
"""Modules in modules; a generator has seven."""


def module_tensors(view: View, package: str) -> dict[str, TensorData]:
    """Every parameter and buffer. What the layers do follows from the configuration, with which names and shapes are
    compared afterwards.

    Raises UnsupportedError for a layer that no DGAN has, and for hooks.
    """
    classes = (*_LAYERS, *(f"{package}.{name}" for name in _OWN))
    found: dict[str, TensorData] = {}
    pending = [("", view, 0)]
    while pending:
        prefix, item, depth = pending.pop()
        if depth > DEPTH:
            raise LimitError("modules nested too deep", where=item.path)
        if item.class_name not in classes:
            raise UnsupportedError(f"a layer of class {item.class_name or item.describe()}", where=item.path)
        module = item.attributes(item.class_name)
        for name in module.names():
            if name.endswith("_hooks") and not _is_empty(module[name]):
                raise UnsupportedError("a network with hooks, which are code", where=module[name].path)
        for kind in ("_parameters", "_buffers"):
            for name, tensor in module[kind].mapping().items():
                if not tensor.is_none():
                    found[prefix + name] = tensor.tensor().data(tensor.context, tensor.path)
        parts = [(f"{prefix}{name}.", part, depth + 1) for name, part in module["_modules"].mapping().items()
                 if not part.is_none()]  # fmt: skip
        pending += reversed(parts)
    return found


def _is_empty(view: View) -> bool:
    node = view.node
    if isinstance(node, Dict):
        return not node.pairs
    return isinstance(node, Call) and not (node.assigned or node.states or node.appended) and len(view.pairs()) == 0
