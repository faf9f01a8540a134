"""PyTorch files of every container and release against the tensors that the original wrote out."""

from __future__ import annotations

import contextlib
import json
import struct

import numpy as np
import pytest
from tagged import CORPUS

from modelcrate.errors import ModelcrateError, UnsupportedError
from modelcrate.legacy.graph import Call, Dict, Node
from modelcrate.legacy.names import callee_of
from modelcrate.legacy.reader import LegacyFile, read_for_conversion
from modelcrate.legacy.storages import Tensor, tensor_of

FOLDER = CORPUS / "torch"
UNREADABLE = {"int34", "quantized", "scripted", "sparse"}
NAMES = sorted(path.name.removesuffix(".expected.json") for path in FOLDER.glob("*.expected.json"))


def source(name: str) -> str:
    found = [path for path in FOLDER.glob(f"{name}.*") if not path.name.startswith(f"{name}.expected")]
    assert len(found) == 1, found
    return str(found[0])


def tensors_of(file: LegacyFile) -> list[Tensor]:
    """Every tensor in the graph, parameters as such."""
    found: list[Tensor] = []
    seen: set[int] = set()
    todo: list[Node] = [file.root.node]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Call) and (callee_of(node) or "").startswith("torch._utils._rebuild"):
            with contextlib.suppress(UnsupportedError):
                found.append(tensor_of(node, file.root.context, "tensor"))
        elif isinstance(node, (list, tuple)):
            todo.extend(node)
        elif isinstance(node, Dict):
            todo.extend(part for pair in node.pairs for part in pair)
        elif isinstance(node, Call):
            todo.extend([*node.args, *node.states, *node.appended])
            todo.extend(part for pair in node.assigned for part in pair)
    return found


def wanted_tensors(name: str) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The tensors of a safetensors file, without the library that writes them."""
    data = (FOLDER / f"{name}.expected.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    made = {}
    for key, entry in header.items():
        if key != "__metadata__":
            start, stop = entry["data_offsets"]
            made[key] = (entry["dtype"], tuple(entry["shape"]), data[8 + length + start : 8 + length + stop])
    return made


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNREADABLE])
def test_every_tensor_is_found_with_its_bytes(name: str) -> None:
    file = read_for_conversion(source(name))
    found = {(tensor.dtype, tensor.shape, bytes(tensor.values(file.root.context, name))) for tensor in tensors_of(file)}
    missing = []
    for key, (stored, sizes, data) in wanted_tensors(name).items():
        dtype, shape = stored, sizes
        if key.startswith(("forward", "input", "output", "inputs", "outputs")) or ".state" in key[-6:]:
            continue  # what a forward pass gives, or the state of a random generator
        if "(as real pairs)" in key:
            dtype, shape = {"F32": "C64", "F64": "C128"}[dtype], shape[:-1]
        if (dtype, shape, data) not in found:
            missing.append(key)
    assert not missing


@pytest.mark.parametrize("name", ["quantized", "sparse"])
def test_other_layouts_are_unsupported_by_name__A24(name: str) -> None:
    file = read_for_conversion(source(name))
    refusals = []
    for _, value in file.root.pairs():
        try:
            value.tensor()
        except ModelcrateError as error:
            refusals.append(str(error))
    assert any("_rebuild" in refusal for refusal in refusals)


def test_torchscript_is_refused_because_it_is_code__A59() -> None:
    with pytest.raises(UnsupportedError, match="code"):
        read_for_conversion(source("scripted"))


def test_views_of_one_storage_share_it__A22() -> None:
    file = read_for_conversion(source("shapes"))
    storages = [id(tensor.storage) for tensor in tensors_of(file)]
    assert len(set(storages)) < len(storages)


def _read_all(data: bytes) -> None:
    for tensor in read_for_conversion(data).root.mapping().values():
        tensor.tensor()


@pytest.mark.parametrize("name", ["state_dict", "state_dict_legacy"])
def test_a_file_cut_anywhere_is_a_library_error__A19(name: str) -> None:
    with open(source(name), "rb") as stream:
        data = stream.read()
    for stop in [*range(0, len(data), 37), len(data) - 1]:
        with pytest.raises(ModelcrateError):
            _read_all(data[:stop])


@pytest.mark.parametrize("name", ["state_dict", "state_dict_legacy", "torch1_4_0_state_dict"])
def test_flipped_bytes_never_escape_as_foreign_errors(name: str) -> None:
    with open(source(name), "rb") as stream:
        data = bytearray(stream.read())
    for place in range(0, len(data), 11):
        data[place] ^= 0x41
        try:
            file = read_for_conversion(bytes(data))
            for _, value in file.root.pairs():
                value.tensor().values(value.context, "tensor")
        except ModelcrateError:
            pass
        data[place] ^= 0x41


def test_the_values_of_a_transposed_tensor_are_in_c_order() -> None:
    from modelcrate.legacy.context import Context
    from modelcrate.legacy.storages import Storage

    numbers = np.arange(6, dtype="<f4")
    storage = Storage(key="0", dtype="F32", data=numbers.tobytes())
    tensor = Tensor(storage=storage, dtype="F32", shape=(3, 2), stride=(1, 3), offset=0, requires_grad=False)
    assert bytes(tensor.values(Context(), "t")) == numbers.reshape(2, 3).T.copy().tobytes()
