"""The generator network of CTGAN-like models: its tensors and its shape, out of a pickled module."""

from __future__ import annotations

from typing import Final

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.format.tensors import TensorData
from modelcrate.legacy.families.known import refuse_unknown
from modelcrate.legacy.graph import Call, Dict
from modelcrate.legacy.view import View

_NN: Final = "torch.nn.modules"
LINEAR: Final = f"{_NN}.linear.Linear"
BATCH_NORM: Final = f"{_NN}.batchnorm.BatchNorm1d"
_HOOKS: Final = (
    "_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
_MODULE: Final = (
    "training", "_parameters", "_buffers", "_non_persistent_buffers_set", "_is_full_backward_hook", "_modules",
    *_HOOKS,
)  # fmt: skip
_OWN: Final = {
    LINEAR: ("in_features", "out_features"),
    BATCH_NORM: ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    f"{_NN}.activation.ReLU": ("inplace",),
    f"{_NN}.container.Sequential": (),
}
EPSILON: Final = 1e-5
"""What BatchNorm adds to a variance, unless it was told otherwise, which these models never do."""


def generator_tensors(view: View, *, generator: str, residual: str) -> dict[str, TensorData]:
    """The tensors of a generator by their names in a state dict; the two classes are named by the caller.

    Raises FormatError, and UnsupportedError for another layer, hooks, or layers with unusual settings.
    """
    found: dict[str, TensorData] = {}
    top = _module(view, {generator: ()})
    _walk(_only(top, "seq"), "seq", residual, found)
    return found


def generator_shape(tensors: dict[str, TensorData]) -> tuple[int, list[int], int]:
    """(input width, widths of the residual blocks, output width), read off the tensors."""
    widths: list[int] = []
    while f"seq.{len(widths)}.fc.weight" in tensors:
        widths.append(_shape(tensors, f"seq.{len(widths)}.fc.weight")[0])
    last = _shape(tensors, f"seq.{len(widths)}.weight")
    return last[1] - sum(widths), widths, last[0]


def decoder_tensors(view: View, *, decoder: str) -> dict[str, TensorData]:
    """The tensors of a TVAE decoder by their names in a state dict; its class is named by the caller.

    Raises as :func:`generator_tensors` does.
    """
    found: dict[str, TensorData] = {}
    top = _module(view, {decoder: ()})
    _walk(_only(top, "seq"), "seq", None, found)
    own = top["_parameters"].mapping()
    if list(own) != ["sigma"]:
        raise UnsupportedError("a decoder without deviations", where=top.path)
    found["sigma"] = own["sigma"].tensor().data(top.context, own["sigma"].path)
    outputs = decoder_shape(found)[2]
    if found["sigma"].shape != (outputs,):
        raise FormatError(f"expected one deviation for each of {outputs} outputs", where=own["sigma"].path)
    return found


def decoder_shape(tensors: dict[str, TensorData]) -> tuple[int, list[int], int]:
    """(input width, widths of the hidden layers, output width), read off the tensors; ReLU lies between layers."""
    widths: list[tuple[int, int]] = []
    while f"seq.{2 * len(widths)}.weight" in tensors:
        widths.append(_shape(tensors, f"seq.{2 * len(widths)}.weight"))
    if not widths:
        raise FormatError("a decoder without layers", where="generator")
    return widths[0][1], [rows for rows, _ in widths[:-1]], widths[-1][0]


def _shape(tensors: dict[str, TensorData], name: str) -> tuple[int, int]:
    if name not in tensors or len(tensors[name].shape) != 2:
        raise FormatError(f"the generator has no matrix {name!r}", where="generator")
    rows, columns = tensors[name].shape
    return rows, columns


def _walk(sequence: View, prefix: str, residual: str | None, found: dict[str, TensorData]) -> None:
    layers = _module(sequence, _OWN)["_modules"].mapping()
    for name, layer in layers.items():
        path = f"{prefix}.{name}"
        if residual is not None and layer.class_name == residual:
            block = _module(layer, {residual: ()})
            for part, inner in block["_modules"].mapping().items():
                _layer(_module(inner, _OWN), f"{path}.{part}", found)
        else:
            _layer(_module(layer, _OWN), path, found)


def _layer(view: View, path: str, found: dict[str, TensorData]) -> None:
    if view.class_name == BATCH_NORM:
        usual = view["eps"].finite() == EPSILON and view["affine"].boolean() and view["track_running_stats"].boolean()
        if not usual:
            raise UnsupportedError("a batch norm with unusual settings", where=view.path)
    for kind in ("_parameters", "_buffers"):
        for name, tensor in view[kind].mapping().items():
            if not tensor.is_none():
                found[f"{path}.{name}"] = tensor.tensor().data(tensor.context, tensor.path)


def _module(view: View, classes: dict[str, tuple[str, ...]]) -> View:
    name = view.class_name
    if name is None or name not in classes:
        raise UnsupportedError(f"a layer of class {name or view.describe()} in a generator", where=view.path)
    module = view.attributes(name)
    refuse_unknown(module, (*_MODULE, *classes[name], *(("dtype", "device") if name == LINEAR else ())))
    for hooks in _HOOKS:
        held = module.get(hooks)
        if held is not None and not _is_empty(held):
            raise UnsupportedError("a network with hooks, which are code", where=held.path)
    return module


def _is_empty(view: View) -> bool:
    node = view.node
    if isinstance(node, Dict):
        return not node.pairs
    return isinstance(node, Call) and not (node.assigned or node.states or node.appended) and len(view.pairs()) == 0


def _only(view: View, name: str) -> View:
    parts = view["_modules"].mapping()
    if list(parts) != [name]:
        raise UnsupportedError(f"a generator with the parts {', '.join(parts)}", where=view.path)
    return parts[name]
