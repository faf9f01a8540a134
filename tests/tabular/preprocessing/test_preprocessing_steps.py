"""Steps by themselves: what they compute, in numbers worked out by hand, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelcrate.errors import FormatError, UsageError
from modelcrate.format import schema, values
from modelcrate.format.document import Fields
from modelcrate.format.values import Missing
from modelcrate.tabular.preprocessing import (
    Block,
    Branch,
    Branches,
    Chain,
    Channels,
    Expected,
    Impute,
    Keep,
    OneHot,
    Ordinal,
    Rescale,
    Standardise,
    Step,
    read,
)

NAN = float("nan")


def block(*columns: list[Any], names: str = "abcdef", first_row: int = 0) -> Block:
    arrays = []
    for column in columns:
        kinds = {type(cell) for cell in column}
        array = np.empty(len(column), dtype=object)
        array[:] = column
        arrays.append(np.array(column) if kinds <= {int, float} else array)
    return Block.of_columns(arrays, list(names[: len(columns)]), rows=len(columns[0]), first_row=first_row)


def run(step: Step, *columns: list[Any]) -> list[list[Any]]:
    return step.transform(block(*columns)).stacked().tolist()


def test_standardise():
    assert run(Standardise.of([1, 10], [2, 5]), [3.0, 1.0], [0, 20]) == [[1.0, -2.0], [0.0, 2.0]]
    assert run(Standardise.of(mean=1), [3.0]) == [[2.0]]
    assert run(Standardise.of(std=2), [3.0]) == [[1.5]]


def test_rescale_by_least_and_greatest_value():
    assert run(Rescale.of([0, 5], [10, 5]), [5, 20], [5, 6]) == [[0.5, 0.0], [2.0, 1.0]]
    assert run(Rescale.of(0, 10, to=(-1, 1), clip=True), [0, 10, 99, -99]) == [[-1.0], [1.0], [1.0], [-1.0]]


def test_inverse_of_a_chain_runs_backwards():
    chain = Chain.of(Standardise.of(10, 2), Rescale.of(-1, 1))
    given = chain.transform(block([8.0, 12.0]))
    assert given.stacked().tolist() == [[0.0], [1.0]]
    assert chain.inverse(given).stacked().tolist() == [[8.0], [12.0]]


def test_one_hot():
    step = OneHot.of(["red", "green"], [1, 2, 3], unknown="zeros")
    assert run(step, ["green", "pink"], [3, 1]) == [[0, 1, 0, 0, 1], [0, 0, 1, 0, 0]]


def test_ordinal_and_back():
    step = Ordinal.of(["low", "high"], unknown=-1)
    given = step.transform(block(["high", "low", "other"]))
    assert given.stacked().tolist() == [[1.0], [0.0], [-1.0]]
    assert step.inverse(given.take(0, 2)).stacked().tolist() == [["high"], ["low"]]
    with pytest.raises(UsageError, match=r"column 'a', row 2: -1\.0 stands for no category"):
        step.inverse(given)


@pytest.mark.parametrize("cell", [1, 1.0, True])
def test_numbers_are_one_category_whatever_their_type(cell):
    assert run(OneHot.of([1, 2]), [cell]) == run(OneHot.of([1, "x"]), [cell]) == [[1, 0]]


def test_NaN_and_None_are_two_categories():
    step = OneHot.of(["x", None, NAN])
    assert run(step, ["x", None, NAN]) == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(UsageError, match="unknown category None"):
        run(OneHot.of(["x", NAN]), [None])


def test_an_unknown_category_is_named_with_its_column_its_row_and_what_comes_near():
    step = OneHot.of(["red", "green", "blue"])
    with pytest.raises(UsageError) as caught:
        step.transform(block(["red", "gren", "gren"], names="c", first_row=100))
    assert caught.value.what == "unknown category 'gren' (and 1 more rows)"
    assert caught.value.where == "column 'c', row 101"
    assert caught.value.hint == "did you mean 'green'?"


def test_case_and_blanks_come_near_too():
    with pytest.raises(UsageError, match="did you mean 'Rouge'"):
        run(OneHot.of(["Rouge", "Vert"]), [" ROUGE "])


def test_a_huge_cell_is_neither_compared_nor_shown_whole():
    with pytest.raises(UsageError) as caught:
        run(OneHot.of(["red"]), ["r" * 1_000_000])
    assert len(str(caught.value)) < 300


def test_a_cell_that_is_a_list_is_no_category():
    with pytest.raises(UsageError, match="column 'a': a cell holds a list"):
        run(OneHot.of(["red"]), [["red"], "red"])


def test_impute_fills_whatever_pandas_counts_as_missing():
    assert run(Impute.of(7), [1.0, NAN, None]) == [[1.0], [7.0], [7.0]]
    assert run(Impute.of("?", 0), ["x", None, NAN], [1, None, 2]) == [["x", 1], ["?", 0], ["?", 2]]


def test_branches_read_their_own_columns_and_leave_others_out():
    step = Branches(
        width=3,
        branches=(
            Branch(columns=(2,), step=Standardise.of(1, 2), weight=10.0),
            Branch(columns=(0, 0), step=Keep(width=2)),
        ),
    )
    assert run(step, [1, 2], ["never", "read"], [3, 5]) == [[10.0, 1.0, 1.0], [20.0, 2.0, 2.0]]
    after = (Expected(kind="number"),) * 3
    assert [it.used for it in step.expects(after)] == [True, False, True]


def test_text_where_a_number_should_be_is_named_by_its_cell():
    with pytest.raises(UsageError, match=r"column 'a', row 1: '7' is not a number"):
        run(Standardise.of(0, 1), [1, "7"])


@pytest.mark.parametrize(
    ("step", "missing"),
    [
        (Standardise.of(0, 1), False),
        (Impute.of(0), True),
        (Chain.of(Standardise.of(0, 1), Impute.of(0)), True),
        (Chain.of(Impute.of(0), Standardise.of(0, 1)), True),
        (OneHot.of(["x"]), False),
        (OneHot.of(["x", NAN]), True),
        (OneHot.of(["x"], unknown="zeros"), True),
        (Branches(width=1, branches=(Branch(columns=(0,), step=Impute.of(0)),
                                     Branch(columns=(0,), step=Keep(width=1)))), False),
    ],
    ids=["scale", "impute", "scale, impute", "impute, scale", "one hot", "one hot with NaN", "lenient", "kept too"],
)  # fmt: skip
def test_a_missing_cell_may_be_where_every_step_that_reads_it_can_take_it(step, missing):
    (expected,) = step.expects((Expected(kind="number"),) * step.outputs)
    assert expected.missing is missing


def test_images_are_those_of_torchvision():
    """``ToTensor`` and ``Normalize``, in torch's own arithmetic."""
    import torch

    images = np.random.default_rng(3).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float().div(255)
    wanted = tensor.sub_(torch.tensor(mean).view(-1, 1, 1)).div_(torch.tensor(std).view(-1, 1, 1))
    step = Channels.of(mean, std, divisor=255, layout="last")
    given = step.transform(images)
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, wanted.numpy())
    np.testing.assert_allclose(step.inverse(given), images, atol=1e-4)
    with pytest.raises(UsageError, match=r"expected 3 channels, last, found a batch of shape \[2, 3, 5, 4\]"):
        step.transform(images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Standardise.of, "needs a mean"),
        (lambda: Standardise.of([1, 2], [1]), "2 means and 1 standard"),
        (lambda: Standardise.of(0, 0), "std: 0.0 for column 0 is not finite and greater than zero"),
        (lambda: Standardise.of("x"), "mean: expected numbers"),
        (lambda: Standardise.of([[1]]), "mean: expected one number for each column"),
        (lambda: Standardise.of(NAN), "mean: nan for column 0 is not finite"),
        (lambda: Rescale.of(2, 1), "the minimum of column 0 is above"),
        (lambda: Rescale.of(0, 1, to=(1, 1)), "expected two rising numbers"),
        (lambda: OneHot.of(["a", "a"]), "item 1 is the same category"),
        (lambda: OneHot.of([1, True]), "item 1 is the same category"),
        (lambda: OneHot.of([NAN, NAN]), "item 1 is the same category"),
        (lambda: OneHot.of([b"x"]), "which can't be a category"),
        (lambda: OneHot.of("red"), "expected a list of categories"),
        (lambda: OneHot.of([]), "needs 1 to"),
        (OneHot.of, "at least one column"),
        (lambda: Impute.of(NAN), "nan for column 0 is not finite"),
        (lambda: Impute.of("x", None), "item 1 can't replace"),
        (lambda: Chain.of(Keep(width=1), Keep(width=2)), "step 0 gives 1 columns, step 1 takes 2"),
        (lambda: Channels.of([0.5], [1e-60]), "std: 0.0 for column 0 is not finite and greater"),
        (lambda: Channels.of([0.5], [0.5], divisor=0), "divisor: expected a finite number above zero"),
    ],
)
def test_wrong_numbers_are_refused_when_a_step_is_made(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)


def test_another_count_of_columns_is_refused():
    for step in (Standardise.of(0, 1), OneHot.of(["x"]), Ordinal.of(["x"]), Impute.of(0), Keep(width=1)):
        with pytest.raises(UsageError, match="expected 1 columns, found 2"):
            run(step, [1], [2])


# --- documents of strangers ---

F = np.array([1.0, 2.0])
SCALE = {"type": "standardise", "width": 2, "centre": F, "scale": F, "rounded": False}
RANGE = {"type": "rescale", "factor": F, "offset": F, "clip": None}
HOT = {"categories": ["a", "b"], "codes": np.array([0, 1]), "width": 2, "unknown": None}
ORDER = {"categories": ["a", "b"], "values": F, "unknown": None}
FILL = {"type": "impute", "width": 2, "missing": NAN, "kept": [0, 1], "fills": F, "floats": True, "flagged": []}


def hot(**changes: Any) -> dict[str, Any]:
    return {"type": "one_hot", "columns": [{**HOT, **changes}], "dtype": "float64"}


def order(**changes: Any) -> dict[str, Any]:
    return {"type": "ordinal", "columns": [{**ORDER, **changes}]}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "keep", "width": 1}
    for _ in range(depth):
        inner = {"type": "chain", "steps": [inner]}
    return inner


def branches(columns: list[int], step: dict[str, Any], weight: Any = 1.0) -> dict[str, Any]:
    return {"type": "branches", "width": 2, "branches": [{"columns": columns, "step": step, "weight": weight}]}


VALID = {
    "scale": SCALE,
    "range": RANGE,
    "one hot": hot(),
    "ordinal": order(),
    "impute": FILL,
    "nested": nested(7),
    "branches": branches([1, 0], SCALE),
    "numbers": hot(categories=np.array([1.0, NAN])),
    "impute text": {**FILL, "fills": ["a", 2], "floats": False, "missing": Missing.NA},
    "shared code": hot(codes=np.array([0, 0]), width=1),
    "dropped": hot(codes=np.array([-1, 0]), width=1, unknown=0),
}

INVALID: dict[str, Any] = {
    "no type": {},
    "unknown type": {"type": "lambda"},
    "type is no text": {"type": 1},
    "image inside": {"type": "chain", "steps": [{"type": "channels"}]},
    "extra key": {**SCALE, "copy": True},
    "missing key": {"type": "rescale", "factor": F, "offset": F},
    "scale zero": {**SCALE, "scale": np.array([1.0, 0.0])},
    "scale negative": {**SCALE, "scale": -F},
    "scale NaN": {**SCALE, "scale": np.array([1.0, NAN])},
    "centre infinite": {**SCALE, "centre": F * np.inf},
    "centre of another length": {**SCALE, "centre": np.array([1.0])},
    "centre is a list": {**SCALE, "centre": [1.0]},
    "centre of integers": {**SCALE, "centre": np.array([1, 2])},
    "centre is a matrix": {**SCALE, "centre": F[None]},
    "width zero": {**SCALE, "width": 0, "centre": None, "scale": None},
    "width huge": {**SCALE, "width": 2**40, "centre": None, "scale": None},
    "width a boolean": {"type": "keep", "width": True},
    "no columns": {**RANGE, "factor": F[:0], "offset": F[:0]},
    "offset of another length": {**RANGE, "offset": F[:1]},
    "factor zero": {**RANGE, "factor": F * 0},
    "clip reversed": {**RANGE, "clip": {"low": 1.0, "high": 0.0}},
    "clip NaN": {**RANGE, "clip": {"low": NAN, "high": 1.0}},
    "code beyond": hot(codes=np.array([0, 2])),
    "code below": hot(codes=np.array([0, -2]), width=1),
    "code unused": hot(codes=np.array([0, 0])),
    "codes too few": hot(codes=np.array([0]), width=1),
    "codes of floats": hot(codes=F),
    "width a billion": hot(width=10**9),
    "unknown beyond": hot(unknown=2),
    "unknown below": hot(unknown=-2),
    "category twice": hot(categories=["a", "a"]),
    "category a map": hot(categories=["a", {}]),
    "category bytes": hot(categories=["a", b"b"]),
    "category infinite": hot(categories=["a", float("inf")]),
    "no categories": hot(categories=[], codes=np.array([], int)),
    "numbers that fall": hot(categories=np.array([2.0, 1.0])),
    "NaN first": hot(categories=np.array([NAN, 1.0])),
    "NaN twice": hot(categories=np.array([NAN, NAN])),
    "dates": hot(categories=np.array(["2020"], "M8[D]")),
    "no columns at all": {"type": "one_hot", "columns": [], "dtype": "float64"},
    "output of objects": {**hot(), "dtype": "object"},
    "values too few": order(values=F[:1]),
    "value infinite": order(values=np.array([0.0, np.inf])),
    "values of booleans": order(values=np.array([True, False])),
    "unknown of another dtype": order(unknown=np.float32(1)),
    "unknown a text": order(unknown="x"),
    "unknown infinite": order(unknown=np.float64("inf")),
    "columns of other dtypes": {"type": "ordinal", "columns": [ORDER, {**ORDER, "values": F.astype("float32")}]},
    "kept twice": {**FILL, "kept": [0, 0]},
    "kept beyond": {**FILL, "kept": [0, 2]},
    "kept falls": {**FILL, "kept": [1, 0]},
    "flagged below": {**FILL, "flagged": [-1]},
    "fills too few": {**FILL, "fills": F[:1]},
    "fill NaN": {**FILL, "fills": np.array([1.0, NAN])},
    "fill a text in floats": {**FILL, "fills": ["a", "b"]},
    "fill None": {**FILL, "fills": ["a", None], "floats": False},
    "missing a list": {**FILL, "missing": []},
    "missing infinite": {**FILL, "missing": float("inf")},
    "missing NaT": {**FILL, "missing": Missing.NAT},
    "nothing kept": {**FILL, "kept": [], "fills": F[:0]},
    "steps that do not meet": {"type": "chain", "steps": [SCALE, {"type": "keep", "width": 1}]},
    "no steps": {"type": "chain", "steps": []},
    "steps a map": {"type": "chain", "steps": {}},
    "too deep": nested(8),
    "column beyond": branches([0, 2], SCALE),
    "columns too few": branches([0], SCALE),
    "weight NaN": branches([0, 1], SCALE, NAN),
    "weight an integer": branches([0, 1], SCALE, 1),
    "no branches": {"type": "branches", "width": 2, "branches": []},
}


@pytest.mark.parametrize("name", VALID)
def test_a_document_that_holds_together_is_read_and_written_back(name):
    schema.validate_state(VALID[name], "tabular.preprocessing/1", "state")
    back = read(Fields(VALID[name], "state")).to_document()
    assert values.encode(back) == values.encode(VALID[name])


@pytest.mark.parametrize("name", INVALID)
def test_a_document_that_does_not_hold_together_is_refused(name):
    with pytest.raises(FormatError) as caught:
        read(Fields(INVALID[name], "state"))
    assert caught.value.where is not None
    assert caught.value.where.startswith("state")


@pytest.mark.parametrize(
    "changes",
    [
        {"std": F[:1]},
        {"std": np.zeros(2, "float32")},
        {"mean": np.array([NAN, 1], "float32")},
        {"mean": F},
        {"layout": "x"},
        {"divisor": 0.0},
        {"divisor": NAN},
        {"divisor": 255},
        {"extra": 1},
    ],
)
def test_channels_that_do_not_hold_together_are_refused(changes):
    document = Channels.of([0.5, 0.5], [0.2, 0.2], divisor=255.0).to_document()
    schema.validate_state(document, "tabular.preprocessing/1", "state")
    with pytest.raises(FormatError):
        Channels.from_document(_after_type({**document, **changes}))
    assert Channels.from_document(_after_type(document)).divisor == 255.0


def _after_type(document: dict[str, Any]) -> Fields:
    fields = Fields(document, "state")
    fields.text("type")
    return fields
