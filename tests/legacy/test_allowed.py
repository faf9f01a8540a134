"""The allow-list: what stock libraries write is data, and the same constructors with other arguments are not."""

from __future__ import annotations

import argparse
import array
import collections
import datetime
import decimal
import http
import inspect
import io
import ipaddress
import pickle
import types
import typing
import warnings
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pickled import named, text
from tagged import CORPUS
from torch import nn

from modelcrate.legacy.scan import scan
from modelcrate.legacy.torchfile import QUANTISED_WIDTHS
from oracle import Oracle

pytestmark = pytest.mark.filterwarnings("ignore")


def saved(value: object, *, legacy: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def why(data: bytes) -> list[tuple[str, str]]:
    return [(finding.name, finding.reason) for finding in scan(data).findings][:4]


def modules() -> list[nn.Module]:
    """One of each layer of torch.nn that can be made from a few small numbers."""
    attempts: list[tuple[Any, ...]] = [(), (2,), (2, 2), (2, 2, 2), (2, 3, 1), (4, 2), (1, (2, 2)), (8, 16, [2, 4])]
    made = []
    for name, kind in sorted(vars(nn).items()):
        if not (inspect.isclass(kind) and issubclass(kind, nn.Module)) or name.startswith("Lazy"):
            continue
        for arguments in attempts:
            try:
                made.append(kind(*arguments))
                break
            except (TypeError, ValueError, AssertionError, AttributeError, RuntimeError, IndexError):
                continue
    return made


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    MODULES = modules()


def test_every_layer_of_torch_nn_is_data() -> None:
    assert len(MODULES) > 140
    for module in MODULES:
        data = saved(module)
        assert scan(data).verdict == "data", (type(module).__name__, why(data))


def test_optimizers_and_schedulers_are_data() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    for name, kind in sorted(vars(torch.optim).items()):
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer:
            optimizer = kind([weight])
            assert scan(saved([optimizer, optimizer.state_dict()])).verdict == "data", name
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    assert scan(saved([scheduler, scheduler.state_dict()])).verdict == "data"


def tensors() -> dict[str, Any]:
    return {
        "coo": torch.eye(3).to_sparse(),
        "coo-partly-dense": torch.ones(4, 5, 6).to_sparse(2),
        "coo-empty": torch.zeros(3, 3).to_sparse(),
        "csr": torch.eye(4).to_sparse_csr(),
        "csc": torch.eye(4).to_sparse_csc(),
        "bsr": torch.eye(4).to_sparse_bsr((2, 2)),
        "quantised": torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.quint8),
        "quantised-32": torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint32),
        "quantised-rows": torch.quantize_per_channel(torch.eye(3), torch.ones(3), torch.zeros(3), 0, torch.qint8),
        "meta": torch.zeros(3, device="meta"),
        "buffer": nn.Buffer(torch.zeros(2)),
        "packed": nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 2, 1), [3, 2]),
        "largest": torch.max(torch.eye(2), 0),
        "names": [torch.float32, torch.strided, torch.device("cuda:1"), torch.Size([1]), torch.per_tensor_affine],
        "classes": [torch.Tensor, torch.FloatTensor, nn.Linear, nn.functional.gelu, nn.functional.relu],
        "generator": torch.Generator(),
    }


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    TENSORS = tensors()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_every_kind_are_data(name: str, legacy: bool) -> None:
    data = saved(TENSORS[name], legacy=legacy)
    assert scan(data).verdict == "data", why(data)


def test_tensors_with_attributes_are_data() -> None:
    tensor, weight = torch.zeros(2), nn.Parameter(torch.zeros(2))
    tensor.tag, weight.tag = {"a": 1}, "b"  # type: ignore[attr-defined]
    assert scan(saved([tensor, weight])).verdict == "data"


def indices(places: list[list[int]], size: tuple[int, ...], layout: str = "coo") -> bytes:
    values = torch.ones(len(places[-1]))
    if layout == "coo":
        return saved(torch.sparse_coo_tensor(torch.tensor(places), values, size, check_invariants=False))
    made = torch.sparse_csr_tensor(*map(torch.tensor, places), values, size, check_invariants=False)
    return saved(made)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: indices([[0, 5]], (3,)), id="beyond"),
        pytest.param(lambda: indices([[0, -1]], (3,)), id="negative"),
        pytest.param(lambda: indices([[0, 1], [0, 2**40]], (3, 3)), id="far-beyond"),
        pytest.param(lambda: indices([[0, 2, 2], [0, 9]], (2, 2), "csr"), id="column"),
        pytest.param(lambda: indices([[0, 9, 2], [0, 1]], (2, 2), "csr"), id="rows-that-fall"),
        pytest.param(lambda: indices([[-4, 1, 2], [0, 1]], (2, 2), "csr"), id="first-row"),
    ],
)
def test_sparse_indices_outside_of_their_tensor_are_broken__A24(data: Any) -> None:
    """PyTorch does not look at them while it loads; using the tensor reads memory that is not its own."""
    assert scan(data()).verdict == "broken"


def storage(kind: str = "QInt8Storage", count: int = 9) -> bytes:
    return b"(" + text("storage") + named("torch", kind) + text("0") + text("cpu") + b"K" + bytes([count]) + b"tQ"


@pytest.mark.parametrize(
    ("geometry", "verdict"),
    [
        pytest.param(b"K\x00(K\x03K\x03t(K\x03K\x01t", "data", id="as-saved"),
        pytest.param(b"K\x00(K\x03K\x03t(K\xffK\x01t", "broken", id="strides"),
        pytest.param(b"K\x00(K\x03K\xfft(K\x03K\x01t", "broken", id="sizes"),
        pytest.param(b"K\x09(K\x03K\x03t(K\x03K\x01t", "broken", id="offset"),
    ],
)
def test_quantised_tensors_stay_within_their_storage__A24(geometry: bytes, verdict: str) -> None:
    from attacks.containers import torch_zip

    scheme = b"(" + named("torch", "per_tensor_affine") + b"G" + b"\x3f\xb9\x99\x99\x99\x99\x99\x9a" + b"K\x00t"
    hooks = named("collections", "OrderedDict") + b")R"
    call = named("torch._utils", "_rebuild_qtensor") + b"(" + storage() + geometry + scheme + b"\x89" + hooks + b"tR."
    assert scan(torch_zip(b"\x80\x02" + call, **{"data/0": bytes(9)})).verdict == verdict
    assert QUANTISED_WIDTHS["torch.QInt8Storage"] == 1


def test_a_typed_tensor_takes_pytorchs_own_classes_only__A24() -> None:
    data = pickle.dumps(np.zeros(1))
    assert scan(data).verdict == "data"
    maker, plain = named("torch._utils", "_rebuild_meta_tensor_no_storage"), named("torch", "Tensor")
    parts = b"(" + named("torch", "float32") + b"(K\x01t(K\x01t\x89t"
    head = b"\x80\x02" + named("torch._tensor", "_rebuild_from_type_v2") + b"("
    assert scan(head + maker + plain + parts + b"}" + text("tag") + b"K\x01s" + b"tR.").verdict == "data"
    assert scan(head + maker + named("acme", "Tensor") + parts + b"}tR.").verdict == "unknown"
    assert scan(head + named("acme", "make") + plain + parts + b"}tR.").verdict == "unknown"
    assert scan(head + maker + plain + parts + b"}" + text("__class__") + b"K\x01s" + b"tR.").verdict == "dangerous"
    assert scan(head + named("os", "system") + plain + b"(" + text("id") + b"t}tR.").verdict == "dangerous"


STANDARD: dict[str, Any] = {
    "zones": [datetime.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), zoneinfo.ZoneInfo("UTC")],
    "arrays": [array.array("d", [1.0]), array.array("q", [2**40]), array.array("b")],
    "types": [int, type(None), type(...), type(NotImplemented), ..., len, abs, print],
    "errors": [ValueError("x", 1), OSError(2, "no"), UnicodeDecodeError("utf8", b"a", 0, 1, "r"), KeyError()],
    "containers": [collections.UserDict(a=1), collections.UserList([1]), collections.ChainMap({}, {"a": 1})],
    "context": decimal.Context(prec=5),
    "addresses": [ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_interface("::1/8")],
    "namespaces": [types.SimpleNamespace(a=1), argparse.Namespace(a=1)],
    "functions": [np.mean, np.log1p, np.float32],
    "titles": np.zeros(2, dtype=[(("title", "a"), "i4")]),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", STANDARD)
def test_values_of_the_standard_library_are_data(name: str, protocol: int) -> None:
    data = pickle.dumps(STANDARD[name], protocol)
    assert scan(data).verdict == "data", why(data)


@pytest.mark.parametrize(
    "value",
    [http.HTTPStatus(200), typing.Annotated[int, 1], [iter([1])], zip([1]), nn.LazyLinear(2)],
    ids=["enum-of-the-network-module", "typing", "iterator", "zip", "bound-methods"],
)
def test_honest_values_off_the_list_are_unknown_and_not_dangerous(value: object) -> None:
    for protocol in range(2, 6):
        data = pickle.dumps(value, protocol) if not isinstance(value, nn.Module) else saved(value)
        assert scan(data).verdict == "unknown", why(data)


def test_an_array_that_was_mapped_is_not_accused(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "numbers", dtype="f8", mode="w+", shape=(3,))
    assert scan(pickle.dumps(mapped)).verdict == "unknown"
    head = b"\x80\x04" + named("numpy", "memmap")
    assert scan(head + text("path") + b"\x85R.").verdict == "dangerous"
    assert scan(head + b"0" + named("functools", "partial") + named("numpy", "memmap") + b"\x85R.").verdict != "data"


RANGE = named("builtins", "range") + b"J\xff\xff\xff\x7f\x85R"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(named("torch.nn.modules.linear", "Linear") + b"M\xff\xffM\xff\xff\x86R.", id="layer"),
        pytest.param(named("torch.optim.sgd", "SGD") + b"](K\x01e\x85R.", id="optimizer"),
        pytest.param(named("torch", "FloatStorage") + b"J\xff\xff\xff\x7f\x85R.", id="storage"),
        pytest.param(named("torch", "FloatTensor") + b"J\xff\xff\xff\x7f\x85R.", id="tensor-class"),
        pytest.param(named("pandas.core.frame", "DataFrame") + b"}\x85R.", id="frame"),
        pytest.param(named("pandas.core.series", "Series") + b"}\x85R.", id="series"),
        pytest.param(named("builtins", "type") + b"K\x01\x85R.", id="type-of-a-number"),
        pytest.param(named("builtins", "type") + text("X") + b")}\x87R.", id="type-made-anew"),
        pytest.param(named("collections", "UserList") + RANGE + b"\x85R.", id="list"),
        pytest.param(named("array", "array") + text("q") + RANGE + b"\x86R.", id="array"),
        pytest.param(named("builtins", "print") + text("x") + b"\x85R.", id="function"),
        pytest.param(
            named("pytorch_lightning.utilities.parsing", "AttributeDict") + b")\x81" + text("__setstate__")
            + named("builtins", "bytearray") + b"s.", id="item-that-is-a-method",
        ),
    ],
)  # fmt: skip
def test_known_constructors_with_other_arguments_are_not_data(call: bytes) -> None:
    assert scan(b"\x80\x04" + call).verdict != "data"


def test_bound_methods_are_unknown_only_where_nothing_else_is_known() -> None:
    def method(module: str, owner: str, name: str) -> str:
        made = named(module, owner) + b")\x81"
        return scan(b"\x80\x04" + named("builtins", "getattr") + made + text(name) + b"\x86R.").verdict

    assert method("acme", "Net", "forward") == "unknown"
    assert method("torch.nn.modules.linear", "Linear", "forward") == "unknown"
    assert method("acme", "Net", "__globals__") == "dangerous"
    assert method("acme", "Net", "system") == "dangerous"
    assert method("pathlib", "PosixPath", "touch") == "dangerous"
    assert method("subprocess", "Popen", "wait") == "dangerous"
    called = named("builtins", "getattr") + named("acme", "Net") + b")\x81" + text("run") + b"\x86R)R."
    assert scan(b"\x80\x04" + called).verdict == "dangerous"


UNKNOWN = {
    "torch/cloudpickle_main.pkl": "by value", "torch/custom_state.pt": "nets.WithState",
    "torch/main_class.pt": "__main__.MainNet", "torch/module_class.pt": "nets.Net",
    "torch/scripted.ts": "TorchScript", "torch/sequence_net.pt": "__main__.Sequencer",
    "torch/tied_module.pt": "nets.Tied", "torch/torch1_12_1_main_class.pt": "__main__.Residual",
    "torch/torch1_4_0_main_class.pt": "__main__.Residual",
    **{f"values/python_py311_p{protocol}.pkl": "things.Point" for protocol in (0, 1, 2, 4, 5)},
    **{f"values/recursion_py311_p{protocol}.pkl": "things.Node" for protocol in (2, 4)},
}  # fmt: skip
FILES = sorted(
    path
    for folder in ("torch", "values")
    for path in (CORPUS / folder).iterdir()
    if path.suffix not in (".json", ".md", ".py")
)


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_files_of_stock_libraries_are_data_and_classes_of_users_are_named(path: Path) -> None:
    report = scan(path)
    reason = UNKNOWN.get(f"{path.parent.name}/{path.name}")
    if reason is None:
        assert report.verdict == "data", [finding.to_dict() for finding in report.findings][:3]
    else:
        assert report.verdict == "unknown"
        assert any(reason in f"{finding.name} {finding.reason}" for finding in report.findings)


@pytest.mark.parametrize("name", ["coo", "quantised", "csr"])
def test_one_verdict_in_every_form__O6(name: str, oracle: Oracle) -> None:
    oracle.scan(saved(TENSORS[name]))
