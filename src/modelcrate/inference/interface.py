"""What a package takes: the columns of a table, or a tensor of a shape; and a caller's batch held against it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.inference.columns import Column, cells_of, refuse_names
from modelcrate.nn.dtypes import NAMED, name_of
from modelcrate.tabular.preprocessing import Block
from modelcrate.tabular.preprocessing.base import COLUMNS_LIMIT
from modelcrate.tabular.preprocessing.block import Array

if TYPE_CHECKING:
    import torch

TENSOR_DTYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "bfloat16",
                 "float32", "float64")  # fmt: skip
"""Dtypes of a batch, and of what a network is fed."""
RANK_LIMIT = 7
"""Dimensions of one item."""
LISTED = 8
"""Names in one message; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInput:
    """The columns of a table, in the order in which the network reads them.

    ``named``: a DataFrame must have columns of these names, in any order. Otherwise only positions count.
    """

    tag: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    named: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.columns) <= COLUMNS_LIMIT:
            raise UsageError(f"a table has 1 to {COLUMNS_LIMIT} columns")
        try:
            refuse_names([column.name for column in self.columns], "columns")
        except FormatError as error:
            raise UsageError(error.what) from None

    @classmethod
    def from_document(cls, fields: Fields) -> TableInput:
        """Read it, ``type`` apart; raises FormatError."""
        named = fields.boolean("named")
        columns = tuple(Column.from_document(each) for each in fields.each_fields("columns", max_items=COLUMNS_LIMIT))
        fields.finish()
        if not columns:
            raise FormatError("needs at least one column", where=fields.path("columns"))
        refuse_names([column.name for column in columns], fields.path("columns"))
        return cls(columns=columns, named=named)

    def to_document(self) -> dict[str, Any]:
        """It in format values, ``type`` included."""
        columns = [column.to_document() for column in self.columns]
        return {"type": self.tag, "named": self.named, "columns": columns}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def block(self, batch: Any) -> Block:
        """A DataFrame, or an array or tensor of shape (n, columns), as checked columns.

        Raises UsageError for columns that are missing (with what comes near), unexpected or doubled, and as
        :meth:`Column.check`.
        """
        if is_frame(batch):
            return self._frame_block(batch)
        array = as_array(batch)
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise UsageError(f"expected shape (n, {len(self.columns)}), found {list(array.shape)}", where="batch")
        if array.dtype.kind in "biuf" and self._uniform(array):
            return Block.of_matrix(array, self.names)
        cells = [column.check(array[:, place], whole=True) for place, column in enumerate(self.columns)]
        return Block.of_columns(cells, self.names, rows=len(array))

    def _frame_block(self, frame: Any) -> Block:
        if self.named:
            places = self._places([str(name) for name in frame.columns])
        elif len(frame.columns) == len(self.columns):
            places = dict(zip(self.names, range(len(self.columns)), strict=True))
        else:
            raise UsageError(f"expected {len(self.columns)} columns, found {len(frame.columns)}", where="batch")
        cells: list[Array] = []
        for column in self.columns:
            if column.required:
                cells.append(column.check(cells_of(frame.iloc[:, places[column.name]])))
            else:
                cells.append(np.zeros(len(frame)))  # nothing reads it
        return Block.of_columns(cells, self.names, rows=len(frame))

    def _places(self, given: Sequence[str]) -> dict[str, int]:
        known = set(self.names)
        missing = [column.name for column in self.columns if column.required and column.name not in set(given)]
        unexpected = [name for name in given if name not in known]
        problems = [f"column {name!r} is missing{_near(name, unexpected)}" for name in missing]
        problems += [f"column {name!r} is unexpected" for name in unexpected]
        problems += [f"column {name!r} occurs twice" for name, count in Counter(given).items() if count > 1]
        if problems:
            more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
            raise UsageError("; ".join(problems[:LISTED]) + more, where="batch")
        return {name: place for place, name in enumerate(given)}

    def _uniform(self, array: Array) -> bool:
        """Whether a matrix can be taken as it is, without a look at single columns."""
        wanted = {column.dtype for column in self.columns if column.required}
        if not wanted <= {"number", "any", array.dtype.name}:
            return False
        return array.dtype.kind != "f" or bool(np.isfinite(array).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInput:
    """A batch of shape (n, \\*shape); None in ``shape`` stands for any size. ``dtype`` is a name (``float32``)."""

    tag: ClassVar[str] = "tensor"
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if len(self.shape) > RANK_LIMIT or any(
            size is not None and (type(size) is not int or size < 0) for size in self.shape
        ):
            raise UsageError(f"a shape is at most {RANK_LIMIT} sizes, each a number or None", where="input_schema")
        if self.dtype not in TENSOR_DTYPES:
            raise UsageError(f"{self.dtype!r} is none of {', '.join(TENSOR_DTYPES)}", where="input_schema")

    @classmethod
    def from_document(cls, fields: Fields) -> TensorInput:
        """Read it, ``type`` apart; raises FormatError."""
        sizes: list[int | None] = []
        for where, size in fields.each("shape", max_items=RANK_LIMIT):
            if size is not None and (type(size) is not int or not 0 <= size <= 2**31):
                raise FormatError("expected a size or null", where=where)
            sizes.append(size)
        found = cls(shape=tuple(sizes), dtype=fields.text("dtype", choices=TENSOR_DTYPES))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """It in format values, ``type`` included."""
        return {"type": self.tag, "shape": list(self.shape), "dtype": self.dtype}

    def check(self, batch: torch.Tensor) -> torch.Tensor:
        """A batch in the declared dtype.

        Raises UsageError for another shape, a dtype of another kind (floats for integers, say), and integers that the
        declared dtype can't hold.
        """
        sizes = tuple(batch.shape[1:])
        if batch.ndim != len(self.shape) + 1 or any(
            wanted not in (None, size) for wanted, size in zip(self.shape, sizes, strict=True)
        ):
            wanted = ", ".join(["n", *("any" if size is None else str(size) for size in self.shape)])
            raise UsageError(f"expected shape ({wanted}), found {list(batch.shape)}", where="batch")
        dtype = NAMED[self.dtype]
        if _kind(batch.dtype) != _kind(dtype):
            raise UsageError(f"expected {self.dtype}, found {name_of(batch.dtype)}", where="batch")
        if batch.dtype == dtype:
            return batch
        cast = batch.to(dtype)
        if _kind(dtype) == "integer" and not bool((cast.to(batch.dtype) == batch).all()):
            raise UsageError(f"a number does not fit into {self.dtype}", where="batch")
        return cast


def read_input(fields: Fields) -> TableInput | TensorInput:
    """An input of either type; raises FormatError."""
    if fields.text("type", choices=(TableInput.tag, TensorInput.tag)) == TableInput.tag:
        return TableInput.from_document(fields)
    return TensorInput.from_document(fields)


def is_frame(batch: object) -> bool:
    """Whether a batch is a pandas DataFrame."""
    import sys

    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(batch, pandas.DataFrame)


def as_array(batch: Any) -> Array:
    """An array, or a tensor on any device, as an array; UsageError for anything else."""
    import torch

    if isinstance(batch, torch.Tensor):
        batch = batch.detach().cpu().resolve_conj().resolve_neg()
        found: Array = (batch.float() if batch.dtype == torch.bfloat16 else batch).numpy()
        return found
    if isinstance(batch, np.ndarray):
        return batch
    raise _no_batch(batch)


def as_tensor(batch: Any) -> torch.Tensor:
    """An array or a tensor as a tensor, where it is; UsageError for anything else."""
    import torch

    if isinstance(batch, torch.Tensor):
        return batch.detach()
    if not isinstance(batch, np.ndarray):
        raise _no_batch(batch)
    if batch.dtype.name not in TENSOR_DTYPES:
        raise UsageError(f"an array of dtype {batch.dtype} is no batch of numbers", where="batch")
    native = np.ascontiguousarray(batch, dtype=batch.dtype.newbyteorder("="))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _no_batch(batch: object) -> UsageError:
    return UsageError(f"expected a DataFrame, an array or a tensor, not a {type(batch).__name__}", where="batch")


def _near(name: str, candidates: Sequence[str]) -> str:
    """What a missing column may have been called instead."""
    folded = [it for it in candidates if it.strip().casefold() == name.strip().casefold()]
    close = folded or difflib.get_close_matches(name, candidates[:1_000], 1)
    return f" (there is {close[0]!r})" if close else ""


def _kind(dtype: torch.dtype) -> str:
    import torch

    if dtype == torch.bool:
        return "bool"
    return "float" if dtype.is_floating_point else "complex" if dtype.is_complex else "integer"
