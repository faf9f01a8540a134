"""Optimizer state as data: exact, by structure and not by class, and refused where it does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim

from modelcrate import errors
from modelcrate.format import values
from modelcrate.format.document import Fields
from modelcrate.format.schema import validate_state
from modelcrate.nn.optimizer import OPTIMIZER_TYPE, OptimizerState

WHERE = "optimizers.model"


def named(module: nn.Module) -> dict[int, str]:
    return {id(parameter): f"model.{name}" for name, parameter in module.named_parameters()}


def trained(make: Any, *, dtype: torch.dtype = torch.float32, steps: int = 3) -> tuple[nn.Module, optim.Optimizer]:
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2)).to(dtype)
    optimizer = make(module.parameters())
    train(module, optimizer, steps)
    return module, optimizer


def train(module: nn.Module, optimizer: optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        for parameter in module.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()


def through_bytes(module: nn.Module, optimizer: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What a crate would hold: the document decoded from its bytes, and copies of the tensors."""
    document, tensors = OptimizerState.capture(optimizer, named(module), where=WHERE).to_document(where=WHERE)
    validate_state(document, OPTIMIZER_TYPE, WHERE)
    decoded = values.decode(values.encode(document), where=WHERE)
    return decoded, {name: tensor.clone() for name, tensor in tensors.items()}


def read(document: dict[str, Any], tensors: dict[str, torch.Tensor]) -> OptimizerState:
    return OptimizerState.from_document(Fields(document, WHERE), tensors)


def restore(state: OptimizerState, module: nn.Module, optimizer: Any, **options: Any) -> None:
    state.prepare(optimizer, named(module), where=WHERE, **options)()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.contiguous().reshape(-1).view(torch.uint8).equal(other.contiguous().reshape(-1).view(torch.uint8))
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(
    "make", [optim.Adam, optim.NAdam, optim.ASGD, optim.Rprop, optim.Adafactor], ids=lambda kind: kind.__name__
)
def test_state_comes_back_bit_for_bit_in_its_own_dtype(make: Any, dtype: torch.dtype) -> None:
    """``Optimizer.load_state_dict`` alone casts NAdam's float32 products to bfloat16."""
    module, optimizer = trained(make, dtype=dtype)
    fresh_module, fresh = trained(make, dtype=dtype, steps=0)
    restore(read(*through_bytes(module, optimizer)), fresh_module, fresh)
    assert same(fresh.state_dict(), optimizer.state_dict())


def test_restored_state_shares_no_memory_with_what_it_was_read_from() -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    first, second = trained(optim.Adam, steps=0), trained(optim.Adam, steps=0)
    restore(state, *first)
    train(*first, 2)
    restore(state, *second)
    assert same(second[1].state_dict(), optimizer.state_dict())


def test_numbers_of_many_parameters_are_one_tensor() -> None:
    module = nn.ParameterList([nn.Parameter(torch.randn(2)) for _ in range(50)])
    optimizer = optim.AdamW(module.parameters())
    train(module, optimizer, 1)
    _, tensors = through_bytes(module, optimizer)
    assert sorted(name for name in tensors if name.startswith("step")) == ["step.all"]
    assert tensors["step.all"].tolist() == [1.0] * 50
    assert len(tensors) == 1 + 2 * 50


class Unheard(optim.Optimizer):
    """An optimizer that nobody has registered anywhere, with state of every kind that data has."""

    def __init__(self, params: Any, lr: float = 0.1, mode: str = "slow") -> None:
        super().__init__(params, {"lr": lr, "mode": mode, "window": (1, 2), "dtype": torch.float64})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state.setdefault("count", 0)
                state["count"] += 1
                state["history"] = [*state.get("history", []), parameter.grad.double().sum()]
                state["strange key!"] = {3: (torch.ones(2), None), "@x": 1.5j, "text": "café"}
                state["table"] = np.arange(3)
                state["mask"] = parameter.detach() > 0
        self.state["everywhere"] = {"total": 7}  # type: ignore[index]


def test_any_optimizer_whose_state_is_data_works() -> None:
    module, optimizer = trained(Unheard)
    document, tensors = through_bytes(module, optimizer)
    fresh_module, fresh = trained(lambda p: Unheard(p, lr=0.5, mode="fast"), steps=0)
    restore(read(document, tensors), fresh_module, fresh)
    found, wanted = fresh.state_dict(), optimizer.state_dict()
    for index in range(4):
        one, other = found["state"][index], wanted["state"][index]
        assert (one.pop("table") == other.pop("table")).all()
        assert same(one, other)
    assert found["state"]["everywhere"] == {"total": 7}
    assert found["param_groups"] == wanted["param_groups"]


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda o, p: o.state[p].update(hook=lambda: 0), r"optimizers\.model\.state\[0\]\.hook"),
        (lambda o, p: o.state[p].update(deep=[{"a": (1, object())}]), r"state\[0\]\.deep\[0\]\.a\[1\]"),
        (lambda o, p: o.param_groups[0].update(callback=print), r"groups\[0\]\.callback"),
        (lambda o, p: o.state[p].update(exp_avg=torch.ones(2, 2).to_sparse()), r"state\[0\]\.exp_avg"),
        (lambda o, p: o.state[p].update(exp_avg=torch.zeros(3, dtype=torch.complex128)), r"state\[0\]\.exp_avg"),
        (lambda o, p: o.state[p].update({5: 1}), r"state\[0\]"),
    ],
    ids=["function", "object in a tuple", "function as option", "sparse", "complex128", "key that is no name"],
)
def test_what_is_no_data_is_refused_by_its_path(spoil: Any, path: str) -> None:
    module, optimizer = trained(optim.Adam)
    spoil(optimizer, next(module.parameters()))
    with pytest.raises((errors.UsageError, errors.UnsupportedError), match=path):
        through_bytes(module, optimizer)


def test_a_list_that_holds_itself_is_refused() -> None:
    module, optimizer = trained(optim.Adam)
    endless: list[Any] = []
    endless.append(endless)
    optimizer.state[next(module.parameters())]["endless"] = endless
    with pytest.raises(errors.UsageError, match="contains itself"):
        through_bytes(module, optimizer)


def test_an_object_that_is_no_optimizer_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="state_dict"):
        OptimizerState.capture(nn.Linear(1, 1), {}, where=WHERE)


def test_parameters_are_paired_by_name_where_both_sides_know_them() -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    torch.manual_seed(3)
    other = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
    backwards = optim.Adam(list(other.parameters())[::-1])
    restore(state, other, backwards)
    for name, parameter in other.named_parameters():
        wanted = optimizer.state[dict(module.named_parameters())[name]]["exp_avg"]
        assert torch.equal(backwards.state[parameter]["exp_avg"], wanted)


def test_parameters_are_paired_in_order_where_names_are_unknown() -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    other, fresh = trained(optim.Adam, steps=0)
    state.prepare(fresh, {}, where=WHERE)()
    assert same(fresh.state_dict(), optimizer.state_dict())
    assert other is not module


def test_names_given_to_the_optimizer_itself_pair_too() -> None:
    torch.manual_seed(3)
    module = nn.Linear(3, 3)
    optimizer = optim.Adam(module.named_parameters())
    train(module, optimizer, 1)
    state = OptimizerState.capture(optimizer, {}, where=WHERE)
    assert [parameter.name for parameter in state.parameters] == ["weight", "bias"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: optim.SGD(m.parameters(), lr=0.1), "saved by Adam, restored into SGD"),
        (lambda m: optim.Adam([{"params": [p]} for p in m.parameters()]), "1 parameter groups, there are 4"),
        (lambda m: optim.Adam(list(m.parameters())[:3]), "4 parameters, there are 3"),
        (lambda m: optim.Adam(nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 2)).parameters()), r"shape \[5, 4\]"),
        (lambda m: optim.Adam(m.double().parameters()), "saved for F32, here it is F64"),
    ],
    ids=["class", "groups", "count", "shape", "dtype"],
)
def test_what_does_not_fit_is_a_clear_mismatch_and_changes_nothing(make: Any, message: str) -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    other, _ = trained(optim.Adam, steps=0)
    fresh = make(other)
    before = fresh.state_dict()
    with pytest.raises(errors.MismatchError, match=message):
        state.prepare(fresh, named(other), where=WHERE)
    assert same(fresh.state_dict(), before)


def test_other_parameter_names_are_a_mismatch_that_names_them() -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    other, fresh = trained(optim.Adam, steps=0)
    names = {key: name.replace("model.0", "model.first") for key, name in named(other).items()}
    with pytest.raises(errors.MismatchError, match=r"model\.first\.bias.*model\.0\.bias"):
        state.prepare(fresh, names, where=WHERE)


def test_a_run_may_go_on_in_another_dtype_if_it_asks_for_it() -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    other, fresh = trained(optim.Adam, dtype=torch.bfloat16, steps=0)
    restore(state, other, fresh, strict=False)
    held = fresh.state[next(other.parameters())]
    assert held["exp_avg"].dtype == torch.bfloat16
    assert held["step"].dtype == torch.float32


def test_options_that_the_saving_torch_did_not_have_stay_as_they_are() -> None:
    module, optimizer = trained(optim.Adam)
    document, tensors = through_bytes(module, optimizer)
    del document["groups"][0]["options"]["decoupled_weight_decay"]
    other, fresh = trained(lambda p: optim.Adam(p, lr=0.5), steps=0)
    restore(read(document, tensors), other, fresh)
    assert fresh.param_groups[0]["decoupled_weight_decay"] is False
    assert fresh.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def put(path: str, value: Any) -> Any:
    """A change to a document at a dotted path; list positions are numbers."""

    def change(document: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        *steps, last = path.split(".")
        here: Any = document
        for step in steps:
            here = here[int(step)] if isinstance(here, list) else here[step]
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value

    return change


def column(key: str) -> Any:
    """Adam's columns are sorted by key: exp_avg, exp_avg_sq, step."""
    return {"exp_avg": "columns.0", "exp_avg_sq": "columns.1", "step": "columns.2"}[key]


HOSTILE: dict[str, Any] = {
    "class is a number": put("class", 3),
    "unknown field": put("extra", 1),
    "names are not a list": put("parameters.names", "abcd"),
    "a name is a number": put("parameters.names.0", 5),
    "fewer names": put("parameters.names", ["a"]),
    "unknown dtype": put("parameters.dtypes", ["os.system"]),
    "dtype index beyond the table": put("parameters.dtype", np.array([0, 0, 0, 7])),
    "negative rank": put("parameters.ranks", np.array([2, 1, 2, -1])),
    "huge rank": put("parameters.ranks", np.array([2, 1, 2, 2**40])),
    "huge size": put("parameters.sizes", np.array([5, 4, 5, 2, 5, 2**62])),
    "sizes are floats": put("parameters.sizes", np.array([5.0, 4, 5, 2, 5, 2])),
    "sizes too few": put("parameters.sizes", np.array([5, 4, 5])),
    "a parameter in two groups": put("groups.0.parameters", np.array([0, 0, 1, 2])),
    "a parameter in no group": put("groups.0.parameters", np.array([0, 1, 2])),
    "index out of range": put("groups.0.parameters", np.array([0, 1, 2, 99])),
    "options are a list": put("groups.0.options", []),
    "an option called params": put("groups.0.options.params", [1]),
    "rate is text": put("groups.0.options.lr", "fast"),
    "rate is a list": put("groups.0.options.lr", [0.1]),
    "betas are one": put("groups.0.options.betas", {"@tuple": [0.9]}),
    "foreach is a map": put("groups.0.options.foreach", {"a": 1}),
    "unknown tag": put("groups.0.options.lr", {"@object": "os.system"}),
    "tag with company": put("groups.0.options.lr", {"@tensor": "exp_avg.0", "b": 1}),
    "column twice": put("columns.1.key", "exp_avg"),
    "column of a number": put("columns.0.key", 0),
    "tensor that is not there": put("columns.0.tensors", np.array([0, 1, 2, 3, 4])),
    "tensor that nobody names": put("columns.0.tensors", np.array([0, 1, 2])),
    "indices descend": put("columns.0.tensors", np.array([3, 2, 1, 0])),
    "indices as floats": put("columns.0.tensors", np.array([0.0, 1.0, 2.0, 3.0])),
    "indices as a list": put("columns.0.tensors", [0, 1, 2, 3]),
    "both tensor and plain": put("columns.0.plain", [[0, 5]]),
    "plain index is NaN": put("columns.0.plain", [[float("nan"), 5]]),
    "plain index is true": put("columns.0.plain", [[True, 5]]),
    "plain is a map": put("columns.0.plain", {}),
    "steps for fewer": put("columns.2.scalars", np.array([0, 1])),
    "on_host is a number": put("columns.2.on_host", 1),
    "shared is a list": put("shared", []),
    "shared has a pair of three": put("shared", {"@pairs": [[1, 2, 3]]}),
    "shared has a list as key": put("shared", {"@pairs": [[[1], 2]]}),
    "shared has a key twice": put("shared", {"@pairs": [[1, 2], [1, 3]]}),
    "moments of another shape": lambda document, tensors: tensors.update({"exp_avg.0": torch.zeros(1)}),
    "step is NaN": lambda document, tensors: tensors["step.all"].fill_(float("nan")),
    "step is negative": lambda document, tensors: tensors["step.all"].fill_(-1),
    "step is infinite": lambda document, tensors: tensors["step.all"].fill_(float("inf")),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_document_that_lies_is_refused_with_an_error_of_the_library(change: Any) -> None:
    module, optimizer = trained(optim.Adam)
    document, tensors = through_bytes(module, optimizer)
    change(document, tensors)
    other, fresh = trained(optim.Adam, steps=0)
    before = fresh.state_dict()
    with pytest.raises((errors.FormatError, errors.MismatchError)):
        read(document, tensors).prepare(fresh, named(other), where=WHERE)
    assert same(fresh.state_dict(), before)


def test_a_hook_of_the_optimizer_that_fails_is_a_mismatch() -> None:
    module, optimizer = trained(optim.Adam)
    state = read(*through_bytes(module, optimizer))
    other, fresh = trained(optim.Adam, steps=0)

    def refuse(*_: Any) -> None:
        raise ValueError("not today")

    fresh.register_load_state_dict_pre_hook(refuse)
    with pytest.raises(errors.MismatchError, match="not today"):
        restore(state, other, fresh)
