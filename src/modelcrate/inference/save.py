"""Saving an inference package: the network as evaluation needs it, and the rest as data, in one crate."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from modelcrate.crate_writer import Form, write_crate
from modelcrate.errors import ModelcrateError, UnsupportedError, UsageError
from modelcrate.format.digest import DEFAULT_ALGORITHM
from modelcrate.format.document import Fields
from modelcrate.format.manifest import Manifest
from modelcrate.inference.columns import Column, cells_of, dtype_of
from modelcrate.inference.fitted import Preprocessing, columns_for, natural_input
from modelcrate.inference.interface import TENSOR_DTYPES, TableInput, TensorInput, is_frame
from modelcrate.inference.outputs import SCORES, TASKS, Scores, Task
from modelcrate.inference.package import INTERFACE, Interface, class_problem
from modelcrate.module_parts import module_component
from modelcrate.nn.dtypes import name_of
from modelcrate.parts import INFERENCE, PREPROCESSING
from modelcrate.storage.component import ComponentData
from modelcrate.tabular.preprocessing import (
    Branch,
    Branches,
    Channels,
    Expected,
    Step,
    feature_names,
    from_scikit,
    is_scikit,
    read,
)
from modelcrate.tabular.preprocessing.categories import Categories


def save_inference(
    path: str | os.PathLike[str],
    model: object,
    *,
    preprocessing: object = None,
    target: object = None,
    class_names: Sequence[object] | None = None,
    input_schema: object = None,
    task: Task | None = None,
    scores: Scores = "logits",
    input_dtype: str | None = None,
    form: Form = "file",
    digest: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
) -> Manifest:
    """Save a network with what its predictions need, and nothing else, atomically; equal arguments give equal bytes.

    - ``preprocessing`` of raw input: steps of :mod:`modelcrate.tabular.preprocessing`, a mapping from column names to
      steps, or a fitted scaler, encoder, imputer, ColumnTransformer or Pipeline of scikit-learn. ``target`` likewise,
      for the training target: its inverse is applied to the network's numbers.
    - ``input_schema``: a DataFrame (its columns and dtypes are kept, none of its rows), a mapping from column names to
      dtypes, a :class:`TableInput` or a :class:`TensorInput`; what the preprocessing says, if it is left out.
    - ``task``: ``regression``, ``classification`` (one score a class), ``binary`` (one score), ``multilabel``; without
      it, ``classification`` if there are class names. ``scores`` says what the network gives: ``logits``,
      ``probabilities`` or ``log_probabilities``.
    - ``input_dtype``: what the network is fed, if not its own floating-point dtype.

    The model is left as it is. Raises UsageError for arguments that do not fit together, UnsupportedError for what
    can't be kept as data, and as :func:`modelcrate.save`.
    """
    if not isinstance(model, torch.nn.Module):
        hint = "save one network, the one that predicts" if isinstance(model, Mapping) else None
        raise UsageError(f"expected a torch.nn.Module, got a {type(model).__name__}", where="model", hint=hint)
    prepared, names = _preprocessing(preprocessing)
    taken = _input(input_schema, prepared, names)
    chosen = _task(task, class_names)
    aim = _step(target, "target")
    if aim is not None and chosen != "regression":
        raise UsageError(f"the target of a {chosen} task is not scaled", where="target")
    if scores not in SCORES:
        raise UsageError(f"{scores!r} is none of {', '.join(SCORES)}", where="scores")
    interface = Interface(
        input=taken,
        task=chosen,
        scores=scores,
        feed=_feed(input_dtype, model, taken, prepared),
        classes=_classes(chosen, class_names),
    )
    with _evaluating(model):
        network, omitted = module_component(model, name="network", role="network")
        components = [network, _component("interface", INTERFACE, interface.to_document())]
        if prepared is not None:
            components.append(_component("preprocessing", PREPROCESSING, prepared.to_document()))
        if aim is not None:
            components.append(_component("target", PREPROCESSING, aim.to_document()))
        return write_crate(
            path,
            components=components,
            model=(INFERENCE, {"task": chosen}),
            omitted=omitted,
            digest=digest,
            form=form,
            overwrite=overwrite,
        )


def _component(role: str, tag: str, document: dict[str, Any]) -> ComponentData:
    return ComponentData(name=role, role=role, type=tag, state=document)


@contextlib.contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Every module's flag off, and as it was afterwards; ``eval()`` itself may run code of the model's own."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, training in modes:
            part.training = training


def _preprocessing(given: object) -> tuple[Step | Channels | None, tuple[str, ...] | None]:
    """The step that was given, and the names of its columns where they are known."""
    if isinstance(given, Channels):
        return given, None
    if isinstance(given, Preprocessing):
        return given.step, given.columns
    if isinstance(given, Mapping):
        return _by_column(given)
    return _step(given, "preprocessing"), feature_names(given) if is_scikit(given) else None


def _step(given: object, where: str) -> Step | None:
    if given is None:
        return None
    if isinstance(given, Preprocessing):
        given = given.step
    step = from_scikit(given, where=where) if is_scikit(given) else given
    if not isinstance(step, Step):
        hint = "give a fitted scikit-learn transformer or steps of modelcrate.tabular.preprocessing"
        raise UnsupportedError(f"a {type(given).__name__} can't be kept as data", where=where, hint=hint)
    try:
        read(Fields(step.to_document(), where))  # what a reader would refuse is better refused now
    except ModelcrateError as error:
        raise UsageError(error.what, where=error.where) from None
    return step


def _by_column(given: Mapping[Any, Any]) -> tuple[Step, tuple[str, ...]]:
    """``{"age": step, ("height", "weight"): step}`` as branches, in that order."""
    names: list[str] = []
    branches: list[Branch] = []
    for key, value in given.items():
        own = [key] if isinstance(key, str) else list(key) if isinstance(key, tuple) else []
        if not own or not all(isinstance(name, str) for name in own):
            raise UsageError("the keys are column names, or tuples of them", where="preprocessing")
        step = _step(value, f"preprocessing[{key!r}]")
        if step is None or step.inputs != len(own):
            takes = "is None" if step is None else f"takes {step.inputs} columns"
            raise UsageError(f"{takes}, and {len(own)} are named", where=f"preprocessing[{key!r}]")
        branches.append(Branch(columns=tuple(range(len(names), len(names) + len(own))), step=step))
        names += own
    if len(set(names)) != len(names):
        raise UsageError("a column is named twice", where="preprocessing")
    if not branches:
        raise UsageError("names no column", where="preprocessing")
    step = Branches(width=len(names), branches=tuple(branches))
    _step(step, "preprocessing")
    return step, tuple(names)


def _input(
    given: object, prepared: Step | Channels | None, names: tuple[str, ...] | None
) -> TableInput | TensorInput | None:
    if given is not None and isinstance(prepared, Channels) != isinstance(given, TensorInput) and prepared is not None:
        raise UsageError("images are a TensorInput, columns are not", where="input_schema")
    if isinstance(prepared, Channels):
        return given if isinstance(given, TensorInput) else None
    declared = _declared(given, fills=prepared is not None)
    if prepared is None:
        if isinstance(declared, TableInput):
            return _fitted(declared, None, (Expected(kind="number", missing=True),) * len(declared.columns))
        return declared
    expected = prepared.expects((Expected(kind="number"),) * prepared.outputs)
    if declared is None:
        return natural_input(prepared, names)
    assert isinstance(declared, TableInput)  # a TensorInput with columns is refused above
    return _fitted(declared, names, expected)


def _declared(given: object, *, fills: bool) -> TableInput | TensorInput | None:
    """What a caller gives as a schema; ``fills`` says that a preprocessing may take care of missing cells."""
    if given is None or isinstance(given, TableInput | TensorInput):
        return given
    dtypes: dict[str, str]
    if is_frame(given):
        frame: Any = given
        if not all(isinstance(name, str) for name in frame.columns) or not frame.columns.is_unique:
            raise UsageError("the columns need names, text and distinct", where="input_schema")
        dtypes = {}
        for place, name in enumerate(frame.columns):
            cells = cells_of(frame.iloc[:, place])
            dtypes[name] = "any" if cells.dtype.kind in "Mm" else dtype_of(cells, name)
    elif isinstance(given, Mapping):
        dtypes = {name: dtype if isinstance(dtype, str) else np.dtype(dtype).name for name, dtype in given.items()}
    else:
        raise UsageError(f"a {type(given).__name__} is no schema", where="input_schema")
    return TableInput(columns=tuple(Column(name=name, dtype=dtype, missing=fills) for name, dtype in dtypes.items()))


def _fitted(declared: TableInput, names: tuple[str, ...] | None, expected: Sequence[Expected]) -> TableInput:
    """Declared columns in the order of the preprocessing, which says what may be missing and what is read at all."""
    if len(declared.columns) != len(expected):
        what = f"{len(declared.columns)} columns, and the preprocessing takes {len(expected)}"
        raise UsageError(what, where="input_schema")
    order = declared.names if names is None or not declared.named else names
    held = {column.name: column for column in declared.columns}
    absent = [name for name in order if name not in held]
    if absent:
        raise UsageError(
            f"column {absent[0]!r}, on which the preprocessing was fitted, is absent", where="input_schema"
        )
    return TableInput(columns=columns_for(order, [held[name] for name in order], expected), named=declared.named)


def _task(task: Task | None, class_names: Sequence[object] | None) -> Task:
    if task is None:
        return "regression" if class_names is None else "classification"
    if task not in TASKS:
        raise UsageError(f"{task!r} is none of {', '.join(TASKS)}", where="task")
    return task


def _classes(task: Task, class_names: Sequence[object] | None) -> Categories | None:
    if class_names is None:
        return None
    try:
        classes = Categories.of(class_names)
    except UsageError as error:
        raise UsageError(error.what, where="class_names") from None
    problem = class_problem(task, classes)
    if problem is not None:
        raise UsageError(problem, where="class_names")
    return classes


def _feed(
    input_dtype: str | None,
    model: torch.nn.Module,
    taken: TableInput | TensorInput | None,
    prepared: Step | Channels | None,
) -> str | None:
    """The dtype of the network's input: what the caller says, what whole numbers have, or the network's own."""
    if input_dtype is not None:
        if input_dtype not in TENSOR_DTYPES:
            raise UsageError(f"{input_dtype!r} is none of {', '.join(TENSOR_DTYPES)}", where="input_dtype")
        return input_dtype
    if taken is None and prepared is None:
        return None
    if isinstance(taken, TensorInput) and prepared is None and "float" not in taken.dtype:
        return taken.dtype
    floating = (tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point())
    own = next((name_of(tensor.dtype) for tensor in floating), "float32")
    return own if own in TENSOR_DTYPES else "float32"
