"""Every layer that torch.nn exports is described, built again, and computes the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from stock_samples import NO_FORWARD, NOT_KEPT, SAMPLES, TRAINS_ON_CUDA_ONLY
from torch import nn

from modelcrate.errors import UnsupportedError
from modelcrate.nn.restore import restore
from modelcrate.nn.state import Facts, capture
from modelcrate.nn.stock import BY_CLASS, LAYERS, build, describe

EXPORTED = list(nn.modules.__all__)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


def rebuilt(module: nn.Module) -> nn.Module:
    """The module as it comes out of its description and its state."""
    tree = describe(module)
    captured = capture(module, build(tree))
    assert captured.omitted == ()
    again = build(tree)
    found = {name: (data.dtype, data.shape) for name, data in captured.data().items()}
    facts = Facts.from_document(captured.facts.to_document(), where="facts")
    restore(again, found, lambda name: captured.tensors[name].clone(), facts, where="module")
    return again


def plain_attributes(module: nn.Module) -> dict[str, Any]:
    return {
        f"{path}.{name}": value
        for path, part in module.named_modules()
        for name, value in part.__dict__.items()
        if isinstance(value, (bool, int, float, str, tuple, type(None)))
    }


def outputs(module: nn.Module, inputs: tuple[Any, ...]) -> list[torch.Tensor]:
    torch.manual_seed(3)
    given = module(*copy.deepcopy(inputs))
    flat: list[Any] = [given]
    while any(isinstance(item, tuple) for item in flat):
        flat = [one for item in flat for one in (item if isinstance(item, tuple) else (item,))]
    return [item for item in flat if isinstance(item, torch.Tensor)]


def test_every_exported_name_has_a_sample_or_a_reason() -> None:
    assert set(EXPORTED) <= {*SAMPLES, *NOT_KEPT}
    assert not SAMPLES.keys() & NOT_KEPT.keys()


def test_the_table_holds_every_exported_layer_but_those_with_a_reason() -> None:
    exported = {getattr(nn, name) for name in EXPORTED if name not in NOT_KEPT}
    assert exported <= set(BY_CLASS)
    assert len(LAYERS) == len(BY_CLASS)


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() & set(EXPORTED)))
def test_a_layer_is_the_same_after_a_round_trip(name: str) -> None:
    for make, make_inputs in SAMPLES[name]:
        torch.manual_seed(1)
        module = make()
        with torch.no_grad():
            for tensor in [*module.parameters(), *module.buffers()]:
                if tensor.is_floating_point():
                    tensor.uniform_(0.1, 1.0)  # an initial 0 or 1 would hide a tensor that was made anew
        again = rebuilt(module)
        assert type(again) is type(module)
        assert describe(again) == describe(module)
        assert repr(again) == repr(module)
        assert plain_attributes(again) == plain_attributes(module)
        assert list(again.state_dict()) == list(module.state_dict())
        for key, value in module.state_dict().items():
            assert torch.equal(again.state_dict()[key], value), key
            assert again.state_dict()[key].dtype == value.dtype
        if name in NO_FORWARD:
            continue
        inputs = make_inputs()
        for training in (True, False):
            if training and name in TRAINS_ON_CUDA_ONLY:
                continue
            expected, actual = outputs(module.train(training), inputs), outputs(again.train(training), inputs)
            assert len(expected) > 0
            for ours, theirs in zip(expected, actual, strict=True):
                assert torch.equal(ours, theirs), (name, training)


@pytest.mark.parametrize("name", sorted(set(NOT_KEPT) - {"LinearCrossEntropyOptions"}))
def test_a_lazy_layer_without_weights_is_refused_by_name(name: str) -> None:
    arguments = () if "Norm" in name else (4,) if name == "LazyLinear" else (4, 1)
    with pytest.raises(UnsupportedError, match=rf"{name} has no weights yet.*forward pass"):
        describe(nn.Sequential(getattr(nn, name)(*arguments)))


def test_a_lazy_layer_that_has_run_is_kept() -> None:
    module = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    module(torch.randn(3, 5))
    assert [place["layer"] for place in describe(module)["modules"]] == ["sequential", "linear", "batch_norm1d"]
    assert torch.equal(rebuilt(module)[0].weight, module[0].weight)
