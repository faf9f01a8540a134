"""From config and tensors to a module: everything is compared before anything is allocated (FORMAT.md 6.11)."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from modelcrate.errors import FormatError, MismatchError, UnsupportedError, UsageError
from modelcrate.format.tensors import TensorData, parse_header, serialize
from modelcrate.nn import registry
from modelcrate.nn.devices import resolve_device
from modelcrate.nn.materialise import materialise
from modelcrate.nn.registry import architecture
from modelcrate.nn.tensors import tensor_data

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    @architecture("test.small/1")
    class Small(torch.nn.Module):
        def __init__(self, width: int, bias: bool = True) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(width, width, bias=bias)
            self.bn = torch.nn.BatchNorm1d(width)


def buffer_of(tensors: Mapping[str, TensorData]) -> memoryview:
    return memoryview(bytearray(b"".join(bytes(chunk) for chunk in serialize(tensors))))


def packed(module: torch.nn.Module) -> dict[str, TensorData]:
    return {name: tensor_data(tensor, where=name) for name, tensor in module.state_dict().items()}


def small(width: int = 3) -> torch.nn.Module:
    module = registry.lookup("test.small/1").construct({"width": width}, where="config")
    module.bn.running_mean.uniform_()
    return module


def load(
    tensors: Mapping[str, TensorData], config: dict[str, object] | None = None, **options: object
) -> torch.nn.Module:
    buffer = buffer_of(tensors)
    header = parse_header(buffer, where="weights")
    return materialise("test.small/1", config or {"width": 3}, header, buffer, CPU, **options)  # type: ignore[arg-type]


def test_the_same_tensors_come_back_bit_for_bit() -> None:
    module = small()
    loaded = load(packed(module))
    for name, tensor in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert not loaded.training


def test_tensors_on_the_cpu_are_views_of_the_buffer() -> None:
    buffer = buffer_of(packed(small()))
    header = parse_header(buffer, where="weights")
    loaded = materialise("test.small/1", {"width": 3}, header, buffer, CPU)
    with torch.no_grad():
        loaded.fc.weight.fill_(7)
    entry = header.entries["fc.weight"]
    start = header.data_start + entry.start
    assert bytes(buffer[start : start + 4]) == np.float32(7).tobytes()


def test_parameters_can_be_trained() -> None:
    loaded = load(packed(small())).train()
    loaded.bn(loaded.fc(torch.randn(4, 3))).sum().backward()
    torch.optim.SGD(loaded.parameters(), lr=0.1).step()
    assert loaded.fc.weight.grad is not None


def test_e14_e15_every_difference_is_named_in_one_error() -> None:
    tensors = packed(small())
    del tensors["fc.bias"]
    tensors["fc.other"] = TensorData("F32", (1,), bytes(4))
    tensors["fc.weight"] = TensorData("F32", (9,), bytes(36))
    tensors["bn.weight"] = TensorData("F64", (3,), bytes(24))
    with pytest.raises(MismatchError) as caught:
        load(tensors)
    for part in ("fc.bias is missing", "fc.other is unexpected", "fc.weight has shape [9]", "bn.weight is F64"):
        assert part in str(caught.value)


def test_e14_names_are_compared_exactly() -> None:
    tensors = packed(small())
    tensors["FC.weight"] = tensors.pop("fc.weight")
    with pytest.raises(MismatchError):
        load(tensors)


@pytest.mark.parametrize("width", [2, 4, 10**6])
def test_f07_a_config_of_another_size_than_the_weights(width: int) -> None:
    with pytest.raises(MismatchError):
        load(packed(small()), {"width": width})


def test_e17_booleans_other_than_0_and_1_are_refused() -> None:
    @architecture("test.mask/1")
    class Mask(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.zeros(3, dtype=torch.bool))

    buffer = buffer_of({"mask": TensorData("BOOL", (3,), b"\0\1\2")})
    header = parse_header(buffer, where="weights")
    with pytest.raises(FormatError, match="boolean"):
        materialise("test.mask/1", {}, header, buffer, CPU)


def test_an_unknown_tag() -> None:
    buffer = buffer_of({})
    with pytest.raises(UnsupportedError, match=r"no architecture 'acme.x/1'"):
        materialise("acme.x/1", {}, parse_header(buffer, where="x"), buffer, CPU)


def test_a_module_that_was_converted_after_construction() -> None:
    module = small().half()
    assert load(packed(module), dtype=torch.float16).fc.weight.dtype is torch.float16
    with pytest.raises(MismatchError):
        load(packed(module))


def test_a_shared_parameter_stays_shared() -> None:
    @architecture("test.tied/1")
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(4, 3)
            self.out = torch.nn.Linear(3, 4, bias=False)
            self.out.weight = self.embed.weight

    tensors = {"embed.weight": TensorData("F32", (4, 3), np.arange(12, dtype=np.float32).tobytes())}
    buffer = buffer_of(tensors)
    loaded = materialise("test.tied/1", {}, parse_header(buffer, where="x"), buffer, CPU)
    assert loaded.out.weight is loaded.embed.weight
    assert loaded.out.weight[3, 2].item() == 11.0


def test_a_buffer_that_no_file_holds_is_an_error_that_says_what_to_do() -> None:
    @architecture("test.table/1")
    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("angles", torch.arange(4.0), persistent=False)

    buffer = buffer_of({})
    with pytest.raises(UnsupportedError, match=r"angles.*finish="):
        materialise("test.table/1", {}, parse_header(buffer, where="x"), buffer, CPU)


def test_a_tensor_that_is_a_plain_attribute_is_not_left_on_the_meta_device() -> None:
    @architecture("test.plain/1")
    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales = [torch.ones(2)]

    buffer = buffer_of({})
    with pytest.raises(UnsupportedError, match="scales"):
        materialise("test.plain/1", {}, parse_header(buffer, where="x"), buffer, CPU)


def test_finish_computes_what_no_file_holds() -> None:
    def finish(module: torch.nn.Module, device: torch.device) -> None:
        module.angles = torch.arange(4.0, device=device)

    @architecture("test.finished/1", finish=finish)
    class Finished(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("angles", torch.arange(4.0), persistent=False)

    buffer = buffer_of({})
    loaded = materialise("test.finished/1", {}, parse_header(buffer, where="x"), buffer, CPU)
    assert loaded.angles.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_f12_f13_global_state_is_as_before() -> None:
    @architecture("test.rude/1")
    class Rude(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            torch.set_default_dtype(torch.float64)
            torch.rand(3, device="cpu")

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist(), torch.get_default_dtype()
    buffer = buffer_of({})
    materialise("test.rude/1", {}, parse_header(buffer, where="x"), buffer, CPU)
    load(PACKED)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    assert torch.get_default_dtype() is before[3]


PACKED = {
    "fc.weight": TensorData("F32", (3, 3), bytes(36)),
    "fc.bias": TensorData("F32", (3,), bytes(12)),
    "bn.weight": TensorData("F32", (3,), bytes(12)),
    "bn.bias": TensorData("F32", (3,), bytes(12)),
    "bn.running_mean": TensorData("F32", (3,), bytes(12)),
    "bn.running_var": TensorData("F32", (3,), bytes(12)),
    "bn.num_batches_tracked": TensorData("I64", (), bytes(8)),
}


def test_f14_state_dict_hooks_of_a_class_do_not_run() -> None:
    @architecture("test.hooked/1")
    class Hooked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2))

        def _load_from_state_dict(self, *_: object, **__: object) -> None:
            raise AssertionError("must not be called")

        def load_state_dict(self, *_: object, **__: object) -> None:
            raise AssertionError("must not be called")

    buffer = buffer_of({"weight": TensorData("F32", (2,), bytes(8))})
    materialise("test.hooked/1", {}, parse_header(buffer, where="x"), buffer, CPU)


HUGE = """
import resource, sys
sys.path.insert(0, {source!r})
from modelcrate.format.tensors import parse_header, serialize
from modelcrate.nn.materialise import materialise
from modelcrate.errors import ModelcrateError
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
buffer = memoryview(bytearray(b"".join(serialize({{}}))))
config = {{"embedding_dim": 1 << 24, "generator_dim": [1 << 24] * 256, "data_dim": 1 << 24}}
try:
    materialise("ctgan.generator/1", config, parse_header(buffer, where="x"), buffer, torch.device("cpu"))
except ModelcrateError as error:
    print(error.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_f05_f06_a_config_of_petabytes_allocates_nothing() -> None:
    code = HUGE.format(source=str(Path(__file__).resolve().parents[2] / "src"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kind, grown = done.stdout.split()
    assert kind == "MISMATCH"
    assert int(grown) < 64 << 10  # KiB


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:99", 99, "privateuseone", True, None, 1.5])
def test_f19_devices_that_are_not_here(device: object) -> None:
    with pytest.raises(UsageError):
        resolve_device(device)  # type: ignore[arg-type]


def test_devices_that_are_here() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU
    assert resolve_device("auto").type in ("cuda", "mps", "cpu")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_tensors_go_to_a_cuda_device() -> None:
    buffer = buffer_of(packed(small()))
    header = parse_header(buffer, where="weights")
    loaded = materialise("test.small/1", {"width": 3}, header, buffer, resolve_device("cuda"))
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"cuda"}
