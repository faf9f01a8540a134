"""Scheduler state as data: onto a live scheduler, without ever replacing what is code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler as lrs

from modelcrate import errors
from modelcrate.format import values
from modelcrate.format.document import Fields
from modelcrate.nn.nested import TensorSink
from modelcrate.nn.scheduler import SchedulerState

WHERE = "schedulers.model"


def optimizer(groups: int = 1) -> optim.Optimizer:
    return optim.SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(groups)], lr=0.1)


def document_of(scheduler: Any) -> dict[str, Any]:
    document = SchedulerState.capture(scheduler, where=WHERE).to_document(where=WHERE, sink=TensorSink())
    decoded: dict[str, Any] = values.decode(values.encode(document), where=WHERE)
    return decoded


def restore(document: dict[str, Any], scheduler: Any, **options: Any) -> list[str]:
    state = SchedulerState.from_document(Fields(document, WHERE), {}, set())
    return state.prepare(scheduler, where=WHERE, **options)()


def stepped(make: Any, steps: int = 4) -> Any:
    scheduler = make(optimizer())
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
    return scheduler


def test_milestones_stay_a_counter() -> None:
    saved = stepped(lambda o: lrs.MultiStepLR(o, [2, 2, 9]))
    fresh = lrs.MultiStepLR(optimizer(), [1])
    restore(document_of(saved), fresh)
    assert fresh.milestones == {2: 2, 9: 1}
    assert type(fresh.milestones) is type(saved.milestones)


def test_functions_stay_the_users_own_and_that_is_said() -> None:
    saved = stepped(lambda o: lrs.LambdaLR(o, lambda n: 0.5**n))
    own = lambda n: 0.25**n  # noqa: E731  (the object itself is what is compared)
    fresh = lrs.LambdaLR(optimizer(), own)
    notes = restore(document_of(saved), fresh)
    assert fresh.last_epoch == 4
    assert fresh.lr_lambdas == [own]
    assert any("functions are no data" in note for note in notes)


class Ramp:
    def __init__(self, slope: float) -> None:
        self.slope = slope

    def __call__(self, epoch: int) -> float:
        return self.slope * epoch


def test_attributes_of_callable_objects_are_restored() -> None:
    saved = stepped(lambda o: lrs.LambdaLR(o, Ramp(0.5)))
    fresh = lrs.LambdaLR(optimizer(), Ramp(0.1))
    restore(document_of(saved), fresh)
    assert fresh.lr_lambdas[0].slope == 0.5


def test_an_object_saved_and_a_function_here_do_not_fit() -> None:
    saved = stepped(lambda o: lrs.LambdaLR(o, Ramp(0.5)))
    with pytest.raises(errors.MismatchError, match="lr_lambdas"):
        restore(document_of(saved), lrs.LambdaLR(optimizer(), lambda n: 1.0))


def test_a_scheduler_that_keeps_a_function_as_state_is_refused_by_its_path() -> None:
    class Own(lrs.StepLR):
        pass

    scheduler = Own(optimizer(), 2)
    scheduler.callback = print  # type: ignore[attr-defined]
    with pytest.raises(errors.UsageError, match=r"schedulers\.model\.callback"):
        document_of(scheduler)


def test_state_that_appears_while_a_scheduler_runs_is_restored() -> None:
    class Own(lrs.StepLR):
        def step(self, epoch: Any = None) -> None:
            super().step()
            self.seen = [*getattr(self, "seen", []), self.last_epoch]

    saved = stepped(lambda o: Own(o, 2))
    fresh = Own(optimizer(), 2)
    del fresh.seen
    restore(document_of(saved), fresh)
    assert fresh.seen == saved.seen


def test_another_class_is_a_mismatch_unless_it_is_asked_for() -> None:
    document = document_of(stepped(lambda o: lrs.StepLR(o, 2)))
    with pytest.raises(errors.MismatchError, match="saved by StepLR, restored into ExponentialLR"):
        restore(document, lrs.ExponentialLR(optimizer(), 0.9))


def test_another_number_of_groups_is_a_mismatch() -> None:
    document = document_of(stepped(lambda o: lrs.StepLR(o, 2)))
    with pytest.raises(errors.MismatchError, match="1 parameter groups, there are 2"):
        restore(document, lrs.StepLR(optimizer(2), 2))


def test_another_number_of_children_is_a_mismatch() -> None:
    saved = stepped(lambda o: lrs.ChainedScheduler([lrs.StepLR(o, 2), lrs.ExponentialLR(o, 0.9)]))
    with pytest.raises(errors.MismatchError, match="2 schedulers, there are 1"):
        restore(document_of(saved), lrs.ChainedScheduler([lrs.StepLR(optimizer(), 2)]))


HOSTILE: dict[str, tuple[str, Any]] = {
    "a method": ("step", 3),
    "another method": ("load_state_dict", {}),
    "a private method": ("_initial_step", 1),
    "the optimizer": ("optimizer", {}),
    "a dunder": ("__class__", "x"),
    "the dict itself": ("__dict__", {}),
    "no identifier": ("a b", 1),
    "epoch is text": ("last_epoch", "4"),
    "epoch is a list": ("last_epoch", [4]),
    "epoch is true": ("last_epoch", True),
    "rates are a map": ("base_lrs", {"a": 1}),
    "rates are too many": ("base_lrs", [0.1, 0.1]),
    "gamma is a tuple": ("gamma", {"@tuple": [1, 2]}),
}


@pytest.mark.parametrize(("key", "value"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_document_can_replace_state_and_nothing_else(key: str, value: Any) -> None:
    document = document_of(stepped(lambda o: lrs.StepLR(o, 2)))
    document["state"][key] = value
    fresh = lrs.StepLR(optimizer(), 2)
    before = dict(fresh.__dict__)
    with pytest.raises((errors.FormatError, errors.MismatchError)):
        restore(document, fresh)
    assert fresh.__dict__ == before


@pytest.mark.parametrize("children", [None, 3, [1], [{}], {"a": 1}, [{"step": 1}]])
def test_children_are_held_to_the_same(children: Any) -> None:
    document = document_of(stepped(lambda o: lrs.ChainedScheduler([lrs.StepLR(o, 2)])))
    document["state"]["_schedulers"] = children
    with pytest.raises((errors.FormatError, errors.MismatchError)):
        restore(document, lrs.ChainedScheduler([lrs.StepLR(optimizer(), 2)]))


@pytest.mark.parametrize(
    "lambdas", [None, [], [3], [{"__call__": 1}], [{"slope": "steep"}], [{"slope": 1.0, "new": 1}]]
)
def test_callable_objects_are_held_to_the_attributes_they_have(lambdas: Any) -> None:
    document = document_of(stepped(lambda o: lrs.LambdaLR(o, Ramp(0.5))))
    document["state"]["lr_lambdas"] = lambdas
    with pytest.raises((errors.FormatError, errors.MismatchError)):
        restore(document, lrs.LambdaLR(optimizer(), Ramp(0.5)))
