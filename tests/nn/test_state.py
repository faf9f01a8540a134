"""What a module is besides its layers comes back exactly, and what can't be kept is said by name."""

from __future__ import annotations

import collections
import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import modelcrate as mc
from modelcrate.errors import FormatError, MismatchError, UnsupportedError, UsageError
from modelcrate.nn import stock
from modelcrate.nn.dtypes import NAMED
from modelcrate.nn.restore import restore
from modelcrate.nn.state import Captured, Facts, capture, place_name, stored_name

CPU = torch.device("cpu")


def kept(module: nn.Module, path: Path) -> Any:
    """The module as it comes out of a crate."""
    mc.save(module, path / "net.crate")
    return mc.load(path / "net.crate")


def captured(module: nn.Module) -> Captured:
    return capture(module, stock.build(stock.describe(module)))


def refill(module: nn.Module, facts: dict[str, Any] | None = None, **changes: Any) -> tuple[nn.Module, Any]:
    """Restore ``module``'s own state into a fresh copy, with facts or tensors changed on the way."""
    taken = captured(module)
    tensors = {**taken.tensors, **changes.pop("tensors", {})}
    for name in changes.pop("without", ()):
        del tensors[name]
    for old, new in changes.pop("renamed", {}).items():
        tensors[new] = tensors.pop(old)
    document = {**taken.facts.to_document(), **(facts or {})}
    tree = stock.describe(module)
    again = stock.build(tree)
    kinds = {name: (data.dtype, data.shape) for name, data in _data(taken, tensors).items()}
    report = restore(
        again,
        kinds,
        lambda name: tensors[name].clone(),
        Facts.from_document(document, where="facts"),
        where="module",
        fresh=lambda: stock.build(tree, "cpu"),
        **changes,
    )
    return again, report


def _data(taken: Captured, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    return Captured(tensors=tensors, facts=taken.facts, omitted=()).data()


# Tensors


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_dtype_keeps_its_bits(name: str, tmp_path: Path) -> None:
    raw = torch.randint(0, 2 if name == "bool" else 120, (5, 64), dtype=torch.uint8)
    value = raw.view(NAMED[name])
    module = nn.Module()
    module.register_buffer("held", value)
    again = kept(module, tmp_path)
    assert again.held.dtype == NAMED[name]
    assert torch.equal(again.held.view(torch.uint8), raw)


@pytest.mark.parametrize("dtype", [torch.complex128, torch.complex32], ids=str)
def test_a_dtype_that_no_crate_holds_is_refused_by_tensor_and_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].register_buffer("odd", torch.zeros(2, dtype=dtype))
    with pytest.raises(UnsupportedError, match=rf"0\.odd: .*{str(dtype).removeprefix('torch.')}"):
        kept(module, tmp_path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(1.5),
        torch.zeros(0),
        torch.zeros(3, 0, 2),
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(12.0)[::3],
        torch.arange(12.0).reshape(3, 4)[:, 1:3],
        torch.ones(1).expand(4),
        torch.tensor([1 + 2j, 3 - 4j]).conj(),
        torch.tensor([1 + 2j, 3 - 4j]).imag,
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.tensor([float("nan"), float("inf"), -0.0]),
    ],
    ids=["0-d", "empty", "zero_in_shape", "transposed", "strided", "slice", "expanded", "conj", "neg", "nhwc", "nan"],
)
def test_a_tensor_of_any_layout_keeps_its_values(tensor: torch.Tensor, tmp_path: Path) -> None:
    module = nn.Module()
    module.register_buffer("held", tensor)
    again = kept(module, tmp_path)
    assert again.held.shape == tensor.shape
    assert again.held.is_contiguous()
    assert again.held.numpy().tobytes() == tensor.resolve_conj().resolve_neg().contiguous().numpy().tobytes()


def test_sparse_quantised_nested_and_meta_tensors_are_refused_by_name(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = {
            "sparse": torch.eye(3).to_sparse(),
            "csr": torch.eye(3).to_sparse_csr(),
            "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            "meta": torch.empty(2, device="meta"),
        }
    for name, tensor in odd.items():
        module = nn.Module()
        module.register_buffer(name, tensor)
        with pytest.raises(UnsupportedError, match=rf"^{name}: .*(sparse|quantised|nested|meta|dtype)"):
            kept(nn.Sequential(collections.OrderedDict(inner=module)).inner, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_subclass_of_tensor_is_refused(tmp_path: Path) -> None:
    class Marked(torch.Tensor):
        pass

    module = nn.Module()
    module.register_buffer("held", torch.ones(2).as_subclass(Marked))
    with pytest.raises(UnsupportedError, match=r"held: .*Marked"):
        kept(module, tmp_path)


def test_names_that_no_weights_file_holds_come_back(tmp_path: Path) -> None:
    module = nn.ModuleDict({"größe a": nn.Linear(1, 1), "100%": nn.Linear(1, 1), "%20": nn.Linear(1, 1)})
    again = kept(module, tmp_path)
    assert list(again.state_dict()) == list(module.state_dict())
    assert all(place_name(stored_name(name)) == name for name in module.state_dict())


# Sharing


def test_tied_parameters_are_still_tied(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    module[1].weight = module[0].weight
    again = kept(module, tmp_path)
    assert again[1].weight is again[0].weight
    assert len(list(again.parameters())) == 1
    with mc.open(tmp_path / "net.crate") as crate:
        assert list(crate["module"].tensors) == ["0.weight"]


def test_a_parameter_that_is_also_a_buffer_elsewhere_stays_one_tensor(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Identity())
    module[1].register_buffer("copy", module[0].weight)
    again = kept(module, tmp_path)
    assert again[1].copy is again[0].weight


def test_a_module_in_two_places_stays_one_module(tmp_path: Path) -> None:
    shared = nn.Linear(3, 3)
    module = nn.Sequential(shared, nn.ReLU(), shared)
    again = kept(module, tmp_path)
    assert again[0] is again[2]


def test_parameters_in_one_storage_see_each_other(tmp_path: Path) -> None:
    base = torch.arange(12.0)
    module = nn.Module()
    module.a = nn.Parameter(base[:8])
    module.b = nn.Parameter(base[4:].reshape(2, 4).t())
    module.c = nn.Parameter(base[3:9:2])
    module.lone = nn.Parameter(torch.ones(2))
    again = kept(module, tmp_path)
    for name in "abc":
        assert torch.equal(getattr(again, name), getattr(module, name))
        assert getattr(again, name).stride() == getattr(module, name).stride()
    with torch.no_grad():
        again.a[5] = 77
    assert again.b[1, 0] == 77
    assert again.c[1] == 77
    assert again.a.untyped_storage().data_ptr() != again.lone.untyped_storage().data_ptr()


def test_two_parameters_over_the_same_data_see_each_other(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = nn.Parameter(module[0].weight.data, requires_grad=False)
    again = kept(module, tmp_path)
    assert again[1].weight is not again[0].weight
    assert again[1].weight.data_ptr() == again[0].weight.data_ptr()
    assert (again[0].weight.requires_grad, again[1].weight.requires_grad) == (True, False)


def test_slices_of_one_allocation_that_do_not_touch_are_not_held_together(tmp_path: Path) -> None:
    base = torch.arange(10.0)
    module = nn.Module()
    module.a, module.b = nn.Parameter(base[:5]), nn.Parameter(base[5:])
    assert captured(module).facts.shared == ()
    assert torch.equal(kept(module, tmp_path).b, module.b)


@pytest.mark.parametrize(
    "shared",
    [
        {"size": 10**12, "members": {"a": {"offset": 0, "stride": [1]}}},
        {"size": 5, "members": {"a": {"offset": 4, "stride": [1]}}},
        {"size": 5, "members": {"a": {"offset": 0, "stride": [1, 1]}}},
        {"size": 5, "members": {"a": {"offset": 0, "stride": [0]}}},
        {"size": 5, "members": {"nothing": {"offset": 0, "stride": [1]}}},
        {"size": 5, "members": {"a": {"offset": -1, "stride": [1]}}},
        {"size": 2**70, "members": {}},
    ],
    ids=["huge", "beyond", "rank", "overlap", "unknown", "negative", "bignum"],
)
def test_storages_that_do_not_hold_their_tensors_are_refused(shared: dict[str, Any]) -> None:
    module = nn.Module()
    module.a = nn.Parameter(torch.arange(5.0))
    with pytest.raises(FormatError):
        refill(module, facts={"shared": [shared]})


# Flags, buffers, versions


def test_flags_come_back_module_by_module(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)), nn.Linear(2, 2))
    module[1][1].eval()
    module[0].requires_grad_(False)
    module[2].bias.requires_grad_(False)
    again = kept(module, tmp_path)
    assert [part.training for part in again.modules()] == [part.training for part in module.modules()]
    assert [it.requires_grad for it in again.parameters()] == [it.requires_grad for it in module.parameters()]


def test_integer_parameters_and_learning_buffers(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    module.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    module.register_buffer("learns", torch.ones(2, requires_grad=True))
    again = kept(module, tmp_path)
    assert again.weight.dtype == torch.int8
    assert not again.weight.requires_grad
    assert again.learns.requires_grad


def test_buffers_that_are_not_persistent_hold_their_values(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module.register_buffer("mask", torch.tensor([3, 1]), persistent=False)
    module[0].register_buffer("running", torch.ones(2))
    module.register_buffer("absent", None)
    again = kept(module, tmp_path)
    assert torch.equal(again.mask, module.mask)
    assert list(again.state_dict()) == list(module.state_dict())
    assert dict(again.named_buffers()).keys() == dict(module.named_buffers()).keys()
    assert again.absent is None


def test_the_versions_of_the_state_come_back(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    again = kept(module, tmp_path)
    assert again.state_dict()._metadata == module.state_dict()._metadata
    assert captured(module).facts.versions == {"1": 2}
    with pytest.raises(UnsupportedError, match="newer"):
        refill(module, facts={"versions": {"1": 3}})


def test_a_model_in_several_dtypes_comes_back(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 3).bfloat16(), nn.BatchNorm1d(3), nn.LSTM(3, 2).double())
    module[2].bias_hh_l0 = nn.Parameter(module[2].bias_hh_l0.half())
    again = kept(module, tmp_path)
    assert {n: t.dtype for n, t in again.state_dict().items()} == {n: t.dtype for n, t in module.state_dict().items()}


def test_layers_whose_weights_were_exchanged_come_back(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(3, 4, 3))
    module[0].weight = nn.Parameter(torch.randn(3, 2))  # pruned by hand
    module[0].bias = None
    module[1].register_parameter("scale", nn.Parameter(torch.randn(1)))
    again = kept(module, tmp_path)
    assert torch.equal(again[0](torch.ones(1, 2)), module[0](torch.ones(1, 2)))
    assert torch.equal(again[1].scale, module[1].scale)


def test_long_parameter_lists_keep_their_order(tmp_path: Path) -> None:
    module = nn.ParameterList(torch.randn(index) for index in range(12))
    assert [it.numel() for it in kept(module, tmp_path).parameters()] == list(range(12))


def test_an_edited_transformer_comes_back_as_edited(tmp_path: Path) -> None:
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 3, enable_nested_tensor=False)
    module.layers = module.layers[:2]
    module.layers[1].norm1 = nn.RMSNorm(4)
    module.layers[0].dropout1 = nn.Identity()
    again = kept(module.eval(), tmp_path)
    x = torch.randn(2, 3, 4)
    assert again.num_layers == 3
    assert torch.equal(again(x), module(x))


def test_the_weights_of_a_recurrent_layer_are_used_after_loading(tmp_path: Path) -> None:
    module = nn.LSTM(2, 3, 2)
    again = kept(module, tmp_path)
    x = torch.randn(4, 2, 2)
    with torch.no_grad():
        module.weight_hh_l1.add_(1)
        again.weight_hh_l1.add_(1)
    assert torch.equal(again(x)[0], module(x)[0])
    again(x)[0].sum().backward()
    assert again.weight_hh_l1.grad is not None
    again.double()(x.double())


# Parametrisations


@pytest.mark.parametrize(
    "make",
    [
        lambda: parametrizations.weight_norm(nn.Linear(3, 4)),
        lambda: parametrizations.weight_norm(nn.Conv2d(2, 3, 2), dim=None),
        lambda: parametrizations.weight_norm(nn.Linear(3, 4, bias=False).half(), dim=1),
        lambda: parametrizations.spectral_norm(nn.Linear(3, 4), n_power_iterations=3, eps=1e-6),
        lambda: parametrizations.spectral_norm(nn.ConvTranspose2d(2, 3, 2)),
        lambda: parametrizations.spectral_norm(nn.Linear(3, 4), "bias"),
        lambda: parametrizations.weight_norm(parametrizations.spectral_norm(nn.Bilinear(2, 2, 3), "bias")),
    ],
    ids=["weight", "whole", "half", "spectral", "transposed", "vector", "both"],
)
def test_parametrised_layers_come_back(make: Any, tmp_path: Path) -> None:
    module = nn.Sequential(make())
    again = kept(module, tmp_path)
    assert list(again.state_dict()) == list(module.state_dict())
    assert [type(part).__name__ for part in again.modules()] == [type(part).__name__ for part in module.modules()]
    for training in (True, False):
        before, after = module.train(training)[0], again.train(training)[0]
        assert torch.equal(before.weight, after.weight)  # in training, each look runs the power iteration once more
        assert (before.bias is None) == (after.bias is None)
    assert again.state_dict().keys() == module.state_dict().keys()
    assert all(torch.equal(again.state_dict()[name], value) for name, value in module.state_dict().items())


def test_other_parametrisations_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"_Orthogonal.*remove_parametrizations"):
        kept(nn.Sequential(parametrizations.orthogonal(nn.Linear(3, 3))), tmp_path)
    twice = parametrizations.weight_norm(parametrizations.spectral_norm(nn.Linear(3, 3)))
    with pytest.raises(UnsupportedError, match="several"):
        kept(twice, tmp_path)


def test_the_old_hooks_that_take_a_weight_away_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(UnsupportedError, match=r"parametrizations"):
        kept(old, tmp_path)
    from torch.nn.utils import prune

    pruned = nn.Linear(2, 2)
    prune.random_unstructured(pruned, "weight", 0.5)
    with pytest.raises(UnsupportedError, match=r"prune\.remove"):
        kept(pruned, tmp_path)
    assert torch.equal(kept(prune.remove(pruned, "weight"), tmp_path).weight, pruned.weight)


# Attributes, hooks, extra state


def test_plain_attributes_come_back(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    plain = {
        "blah": 14,
        "text": "ü",
        "pair": (1, (2.5, None)),
        "table": {1: "a", ("x", 2): [True]},
        "array": np.arange(3, dtype=np.int16),
        "big": 2**90,
        "when": datetime.date(2020, 1, 2),
        "_private": {3, 1},
        "kind": torch.float16,
        "cut": torch.Size([2, 3]),
    }
    for name, value in plain.items():
        setattr(module, name, value)
    module[0].note = {"nested": {"deep": [1]}}
    module.means = torch.tensor([1.0, 2.0])
    module.pieces = [torch.ones(2), module[0].weight]
    again = kept(module, tmp_path)
    for name, value in plain.items():
        if name == "array":
            assert again.array.dtype == np.int16
            assert again.array.tolist() == [0, 1, 2]
        else:
            assert getattr(again, name) == value, name
    assert again[0].note == module[0].note
    assert torch.equal(again.means, module.means)
    assert again.pieces[1] is again[0].weight
    assert list(again.state_dict()) == list(module.state_dict())


def test_what_is_no_data_is_left_out_in_writing(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].callback = print
    module.forward = lambda x: x
    module.device = torch.device("cuda:3")
    module.register_forward_hook(lambda *_: None)
    module[0].register_full_backward_hook(lambda *_: None)
    manifest = mc.save(module, tmp_path / "net.crate")
    told = {(one.what, one.where) for one in manifest.omitted}
    assert told == {
        ("attribute callback", "module.0"),
        ("attribute forward", "module"),
        ("attribute device", "module"),
        ("1 hooks", "module"),
        ("1 hooks", "module.0"),
    }
    again = mc.load(tmp_path / "net.crate")
    assert torch.equal(again(torch.ones(1, 2)), module[0](torch.ones(1, 2)))


@pytest.mark.parametrize(
    "name", ["forward", "__class__", "_modules", "_parameters", "training", "_forward_hooks", "weight", "in_features",
             "register_buffer", "__dict__", "_version", "extra_repr", "", "x" * 300]
)  # fmt: skip
def test_f04_an_attribute_from_a_file_takes_no_place_that_is_taken(name: str) -> None:
    with pytest.raises(FormatError):
        refill(nn.Linear(2, 2), facts={"attributes": {"": {name: 14}}})


@pytest.mark.parametrize(
    "facts",
    [
        {"attributes": {"nowhere": {"a": 1}}},
        {"attributes": {"": {"a": {"@tensor": "nothing"}}}},
        {"attributes": {"": {"a": {"@object": "os.system"}}}},
        {"flipped": ["nowhere"]},
        {"ties": {"bias": "nothing"}},
        {"ties": {"bias": "weight"}},
        {"ties": {"weight": "weight"}},
        {"dtypes": {"weight": "object"}},
        {"dtypes": {"nothing": "float16"}},
        {"transient": ["weight"]},
        {"versions": {"nowhere": 1}},
        {"versions": {"": True}},
        {"extra_state": {"": 1}},
        {"training": 1},
        {"version": 2},
        {"surprise": 1},
        {"frozen": "weight"},
    ],
    ids=str,
)
def test_facts_that_do_not_fit_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises((FormatError, UnsupportedError)):
        refill(nn.Linear(2, 3), facts=facts)


class Counter(nn.Module):
    """A registered architecture with state of every kind that its constructor does not know."""

    limit = 3

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.register_buffer("mask", torch.ones(width), persistent=False)
        self.table = torch.arange(float(width))
        self.parts = [torch.zeros(width)]
        self.steps = 0
        self.best = None
        self.names: list[str] = []

    def get_extra_state(self) -> Any:
        return {"seen": (self.steps, self.table)}

    def set_extra_state(self, state: Any) -> None:
        self.seen = state["seen"]

    @property
    def double_steps(self) -> int:
        return 2 * self.steps


mc.architecture("test.counter/1")(Counter)


def test_a_registered_architecture_keeps_the_same_things(tmp_path: Path) -> None:
    module = nn.Sequential(Counter(3), nn.ReLU()).half()
    counter = module[0]
    counter.steps, counter.best, counter.names, counter.limit = 7, 0.5, ["a", "b"], 9
    counter.table, counter.parts[0][1] = counter.table + 1, 5
    counter.mask[1] = 0
    counter.inner.weight.requires_grad_(False)
    again = kept(module, tmp_path)[0]
    assert (again.steps, again.best, again.names, again.limit) == (7, 0.5, ["a", "b"], 9)
    assert torch.equal(again.table, counter.table)
    assert torch.equal(again.parts[0], counter.parts[0])
    assert torch.equal(again.mask, counter.mask)
    assert again.mask.dtype == again.inner.weight.dtype == torch.float16
    assert not again.inner.weight.requires_grad
    assert again.seen[0] == 7
    assert torch.equal(again.seen[1], counter.table)


@pytest.mark.parametrize("name", ["double_steps", "get_extra_state", "inner", "mask"])
def test_f04_an_attribute_takes_no_method_property_or_part_of_a_registered_class(name: str) -> None:
    from modelcrate.nn import attributes

    with pytest.raises(FormatError):
        attributes.restore(Counter(2), name, 14, "attributes")


def test_an_attribute_keeps_its_type() -> None:
    from modelcrate.nn import attributes

    module = Counter(2)
    with pytest.raises(FormatError, match="int"):
        attributes.restore(module, "steps", "text", "attributes")
    attributes.restore(module, "best", "text", "attributes")
    assert module.best == "text"


# Differences


def test_all_differences_are_told_together_with_the_nearest_names() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with pytest.raises(MismatchError) as told:
        refill(
            module,
            renamed={"2.weight": "2.wieght"},
            without=["1.running_mean"],
            tensors={"0.weight": torch.ones(3, 3), "0.bias": torch.ones(3).double(), "extra": torch.ones(1)},
        )
    text = str(told.value)
    assert "2.weight is missing (is it 2.wieght?)" in text
    assert "1.running_mean is missing" in text
    assert "2.wieght is unexpected" in text
    assert "extra is unexpected" in text
    assert "0.weight has shape [3, 3], the module [3, 2]" in text
    assert "0.bias has dtype F64, the module F32" in text


def test_without_strict_what_fits_is_taken_and_the_rest_reported() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    again, report = refill(
        module,
        strict=False,
        without=["1.bias"],
        tensors={"0.weight": torch.ones(9, 9), "0.bias": module[0].bias.detach().double(), "more": torch.ones(1)},
    )
    assert report.missing == ("1.bias",)
    assert report.unexpected == ("more",)
    assert report.shapes == {"0.weight": ((9, 9), (3, 2))}
    assert report.dtypes == {"0.bias": ("F64", "F32")}
    assert torch.equal(again[1].weight, module[1].weight)
    assert torch.equal(again[0].bias, module[0].bias)
    assert again[0].weight.shape == (3, 2)
    assert not any(it.is_meta for it in again.state_dict().values())
    assert again(torch.ones(1, 2)).isfinite().all()


def test_a_thousand_differences_take_no_time_and_a_short_message() -> None:
    from modelcrate.nn.mismatch import compare

    wanted = {f"layer.{n}.weight" * 8: ("F32", (1,)) for n in range(20_000)}
    found = {f"leyer.{n}.weight" * 8: ("F32", (1,)) for n in range(20_000)}
    report = compare(wanted, found)
    assert len(report.missing) == 20_000
    assert len(str(report.error("x"))) <= 500


# Wrappers


class Wrapped(nn.Module):
    pass


@pytest.mark.parametrize("wrap", ["compile", "parallel", "both", "inside"])
def test_wrappers_are_taken_off(wrap: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    wrapped: nn.Module = {
        "compile": lambda: torch.compile(module),
        "parallel": lambda: nn.DataParallel(module),
        "both": lambda: nn.DataParallel(torch.compile(module)),
        "inside": lambda: nn.Sequential(torch.compile(module[0]), module[1]),
    }[wrap]()
    assert list(wrapped.state_dict()) != list(module.state_dict())
    again = kept(wrapped, tmp_path)
    assert type(again) is nn.Sequential
    assert list(again.state_dict()) == list(module.state_dict())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_with_wrapper_prefixes_fit(prefix: str) -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    again, report = refill(module, renamed={name: prefix + name for name in module.state_dict()})
    assert not report
    assert torch.equal(again[1].weight, module[1].weight)


def test_names_with_the_prefix_on_some_of_them_fit() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    again, _ = refill(module, renamed={"0.weight": "module.0.weight", "1.bias": "1._orig_mod.bias"})
    assert torch.equal(again[0].weight, module[0].weight)


def test_a_child_that_is_called_module_is_no_wrapper(tmp_path: Path) -> None:
    module = nn.ModuleDict({"module": nn.Linear(2, 2), "a": nn.ModuleDict({"module": nn.Linear(2, 2)})})
    again = kept(module, tmp_path)
    assert list(again.state_dict()) == list(module.state_dict())


def test_two_names_that_are_one_without_prefixes_are_not_guessed_at() -> None:
    module = nn.Sequential(nn.Linear(2, 2, bias=False))
    with pytest.raises(MismatchError, match="missing"):
        refill(module, renamed={"0.weight": "module.0.weight"}, tensors={"_orig_mod.0.weight": torch.ones(2, 2)})


def test_stripping_prefixes_without_a_model() -> None:
    from modelcrate.nn.prefix import strip

    assert strip(["module.a._orig_mod.b", "module.c"]) == {"module.a._orig_mod.b": "a.b", "module.c": "c"}
    assert strip(["module.a", "b"]) == {"module.a": "module.a", "b": "b"}
    assert strip(["_orig_mod.a", "a"]) == {"_orig_mod.a": "_orig_mod.a", "a": "a"}


def test_a_registered_module_that_was_changed_is_refused(tmp_path: Path) -> None:
    module = Counter(2)
    module.inner = nn.Linear(3, 3)
    with pytest.raises(UsageError, match=r"inner\.weight"):
        kept(module, tmp_path)
