"""Batches held against the input schema: whatever does not fit is named by its column, and by its row."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from modelcrate.errors import UsageError
from modelcrate.inference import Column, TableInput, TensorInput

NAN = float("nan")


def objects(*cells: Any) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


TABLE = TableInput(columns=(Column(name="age", dtype="int64"), Column(name="city", dtype="text")))
FRAME = pd.DataFrame({"age": [1, 2, 3], "city": ["Oslo", "Bergen", "Oslo"]})


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.drop(columns="city"), "batch: column 'city' is missing"),
        (FRAME.rename(columns={"city": "City "}), "batch: column 'city' is missing (there is 'City '); column 'City '"),
        (FRAME.rename(columns={"age": "agee"}), "batch: column 'age' is missing (there is 'agee'); column 'agee' is"),
        (FRAME.assign(extra=1), "batch: column 'extra' is unexpected"),
        (pd.concat([FRAME, FRAME[["age"]]], axis=1), "batch: column 'age' occurs twice"),
        (FRAME.assign(age=1.5), "column 'age': holds floats, expected int64"),
        (FRAME.assign(age=[1, None, 3]), "column 'age', row 1: the cell is missing"),
        (FRAME.assign(age=["1", "2", "3"]), "column 'age': holds '1' in row 0, expected int64"),
        (FRAME.assign(age=True), "column 'age': holds bool, expected int64"),
        (FRAME.assign(age=pd.Timestamp("2020-01-01")), "column 'age': holds dates, expected int64"),
        (FRAME.assign(age=objects(1, 2**70, 3)), "column 'age': holds a number that does not fit, expected int64"),
        (FRAME.assign(city=[1, 2, 3]), "column 'city': holds integers, expected text"),
        (FRAME.assign(city=objects("Oslo", 7, "Oslo")), "column 'city': holds a int in row 1, expected text"),
        (FRAME.assign(city=["Oslo", None, "Oslo"]), "column 'city', row 1: the cell is missing"),
        (FRAME.assign(city=objects("Oslo", pd.NA, "Oslo")), "column 'city', row 1: the cell is missing"),
    ],
)  # fmt: skip
def test_a_frame_that_does_not_fit_is_refused_by_column(frame, message):
    with pytest.raises(UsageError) as caught:
        TABLE.block(frame)
    assert str(caught.value).startswith(message)


def test_many_problems_are_told_at_once_and_counted():
    table = TableInput(columns=tuple(Column(name=f"c{index}") for index in range(20)))
    with pytest.raises(UsageError) as caught:
        table.block(pd.DataFrame({"x": [1]}))
    assert "column 'c0' is missing" in str(caught.value)
    assert str(caught.value).endswith("and 13 more")


@pytest.mark.parametrize(
    ("dtype", "cells"),
    [
        ("int64", np.array([1, 2], np.int8)),
        ("int8", np.array([1, 2], np.int64)),
        ("uint8", np.array([1, 2])),
        ("float64", np.array([1, 2])),
        ("float32", np.array([1.0, 2.0])),
        ("float64", objects(1, 2.0)),
        ("bool", np.array([True, False])),
        ("bool", objects(True, np.bool_(False))),
    ],
)
def test_numbers_come_out_in_the_declared_dtype(dtype, cells):
    given = Column(name="a", dtype=dtype).check(cells)
    assert given.dtype == dtype
    assert given.tolist() == cells.tolist()


@pytest.mark.parametrize(
    ("dtype", "cells", "message"),
    [
        ("int8", np.array([1, 300]), "column 'a': holds 300 in row 1, expected int8"),
        ("uint8", np.array([1, -1]), "holds -1 in row 1"),
        ("float16", np.array([1.0, 1e6]), "holds a number that does not fit, expected float16"),
        ("float64", np.array([True, False]), "holds bool, expected float64"),
        ("bool", np.array([0, 1]), "holds integers, expected bool"),
        ("float64", np.array([1.0, np.inf]), "column 'a', row 1: the number is infinite"),
        ("number", np.array([1.0, -np.inf]), "column 'a', row 1: the number is infinite"),
        ("number", objects(1, "2"), "holds '2' in row 1, expected numbers"),
        ("number", np.array(["1", "2"]), "holds '1' in row 0, expected numbers"),
        ("number", np.array([1j, 2]), "holds complex128, expected numbers"),
        ("any", np.array(["2020"], "M8[D]"), "holds dates, expected numbers or text"),
        ("text", np.array([1.5, 2.5]), "holds floats, expected text"),
        ("text", objects("a", datetime.date(2020, 1, 1)), "holds a date in row 1, expected text"),
    ],
)
def test_cells_of_another_kind_are_refused(dtype, cells, message):
    with pytest.raises(UsageError) as caught:
        Column(name="a", dtype=dtype).check(cells)
    assert message in str(caught.value)


def test_integers_with_missing_cells_come_as_floats():
    column = Column(name="a", dtype="int64", missing=True)
    np.testing.assert_array_equal(column.check(np.array([1.0, NAN])), [1.0, NAN])
    np.testing.assert_array_equal(column.check(objects(1, None)), [1.0, NAN])
    with pytest.raises(UsageError, match=r"holds 1\.5 in row 0"):
        column.check(np.array([1.5, NAN]))


def test_an_array_of_floats_may_hold_the_integers_of_a_column():
    table = TableInput(columns=(Column(name="a", dtype="int64"), Column(name="b", dtype="float64")))
    a, b = table.block(np.array([[1.0, 0.5], [2.0, 1.5]])).columns
    assert (a.dtype, a.tolist(), b.tolist()) == (np.int64, [1, 2], [0.5, 1.5])
    with pytest.raises(UsageError, match=r"column 'a': holds 1\.5 in row 0, expected int64"):
        table.block(np.array([[1.5, 0.5]]))


def test_NaN_in_an_array_is_a_missing_cell():
    table = TableInput(columns=(Column(name="a"), Column(name="b")))
    with pytest.raises(UsageError, match="column 'b', row 1: the cell is missing"):
        table.block(torch.tensor([[1.0, 2.0], [3.0, NAN]]))


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 2, 2), ()])
def test_an_array_of_another_shape_is_refused(shape):
    with pytest.raises(UsageError, match=r"expected shape \(n, 2\), found"):
        TABLE.block(np.zeros(shape))


@pytest.mark.parametrize("batch", [[[1, "Oslo"]], {"age": [1]}, None, "age", 7])
def test_only_frames_arrays_and_tensors_are_batches(batch):
    with pytest.raises(UsageError, match="expected a DataFrame, an array or a tensor, not a"):
        TABLE.block(batch)


def test_a_column_that_nothing_reads_may_hold_anything_or_be_absent():
    table = TableInput(columns=(Column(name="a"), Column(name="id", required=False)))
    for frame in (pd.DataFrame({"a": [1]}), pd.DataFrame({"id": [object()], "a": [1]})):
        assert table.block(frame).columns[0].tolist() == [1]


def test_without_names_a_frame_counts_by_position():
    table = TableInput(columns=(Column(name="x0"), Column(name="x1")), named=False)
    first, second = table.block(pd.DataFrame({"p": [1], "q": [2]})).columns
    assert (first.tolist(), second.tolist()) == ([1], [2])
    with pytest.raises(UsageError, match="expected 2 columns, found 1"):
        table.block(pd.DataFrame({"x0": [1]}))


@pytest.mark.parametrize(
    ("shape", "dtype", "batch", "message"),
    [
        ((3,), "float32", torch.zeros(2, 4), "expected shape (n, 3), found [2, 4]"),
        ((3, None), "float32", torch.zeros(2, 3), "expected shape (n, 3, any), found [2, 3]"),
        ((3,), "float32", torch.zeros(2, 3, dtype=torch.int64), "expected float32, found int64"),
        ((3,), "int64", torch.zeros(2, 3), "expected int64, found float32"),
        ((3,), "float32", torch.zeros(2, 3, dtype=torch.bool), "expected float32, found bool"),
        ((3,), "float32", torch.zeros(2, 3, dtype=torch.complex64), "expected float32, found complex64"),
        ((3,), "int8", torch.full((2, 3), 200), "a number does not fit into int8"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(shape, dtype, batch, message):
    with pytest.raises(UsageError) as caught:
        TensorInput(shape=shape, dtype=dtype).check(batch)
    assert message in str(caught.value)


def test_a_tensor_comes_out_in_the_declared_dtype():
    schema = TensorInput(shape=(None, 2), dtype="float32")
    assert schema.check(torch.zeros(4, 7, 2, dtype=torch.float64)).dtype == torch.float32
    assert TensorInput(shape=(), dtype="uint8").check(torch.arange(4)).dtype == torch.uint8


@pytest.mark.parametrize(
    "make",
    [
        lambda: TableInput(columns=()),
        lambda: TableInput(columns=(Column(name="a"), Column(name="a"))),
        lambda: Column(name="a", dtype="object"),
        lambda: Column(name=1),  # type: ignore[arg-type]
        lambda: Column(name="a" * 5000),
        lambda: TensorInput(shape=(-1,)),
        lambda: TensorInput(shape=(1,) * 8),
        lambda: TensorInput(shape=(True,)),
        lambda: TensorInput(shape=(1,), dtype="complex64"),
    ],
)
def test_a_schema_that_says_nothing_sensible_is_refused(make):
    with pytest.raises(UsageError):
        make()
