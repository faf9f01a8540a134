"""Numbers to a common scale: by mean and deviation (or median and quantile range), by least and greatest value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing.base import Expected, Step, given_vector, read_vector
from modelcrate.tabular.preprocessing.block import Array, Block


class _Scale(Step):
    """Column by column, as many out as in; a missing number stays missing."""

    __slots__ = ()

    @property
    def outputs(self) -> int:
        return self.inputs

    def expects(self, after: tuple[Expected, ...]) -> tuple[Expected, ...]:
        return tuple(Expected(kind="number", missing=it.missing) for it in after)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standardise(_Scale):
    """``(x - centre) / scale``; either may be None and is left out then.

    ``rounded`` says that both are rounded to the dtype of the data first, which shows in the last digit of float32.
    """

    tag: ClassVar[str] = "standardise"
    width: int
    centre: Array | None
    scale: Array | None
    rounded: bool = False

    @classmethod
    def of(cls, mean: object = None, std: object = None) -> Standardise:
        """From a mean and a standard deviation for each column. Raises UsageError unless finite, and ``std`` > 0."""
        centre = None if mean is None else given_vector(mean, "mean")
        scale = None if std is None else given_vector(std, "std", positive=True)
        if centre is None and scale is None:
            raise UsageError("needs a mean, a standard deviation, or both")
        width = len(centre if centre is not None else scale if scale is not None else ())
        if centre is not None and scale is not None and len(centre) != len(scale):
            raise UsageError(f"{len(centre)} means and {len(scale)} standard deviations")
        return cls(width=width, centre=centre, scale=scale)

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Standardise:
        found = cls(
            width=fields.integer("width", minimum=1, maximum=1 << 20),
            centre=fields.nullable("centre", lambda name: read_vector(fields, name)),
            scale=fields.nullable("scale", lambda name: read_vector(fields, name, positive=True)),
            rounded=fields.boolean("rounded"),
        )
        fields.finish()
        for name, vector in (("centre", found.centre), ("scale", found.scale)):
            if vector is not None and len(vector) != found.width:
                raise FormatError(f"expected {found.width} numbers, found {len(vector)}", where=fields.path(name))
        return found

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.tag,
            "width": self.width,
            "centre": self.centre,
            "scale": self.scale,
            "rounded": self.rounded,
        }

    @property
    def inputs(self) -> int:
        return self.width

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        matrix = block.floats()
        with np.errstate(all="ignore"):
            if self.centre is not None:
                matrix -= self._as(self.centre, matrix)
            if self.scale is not None:
                matrix /= self._as(self.scale, matrix)
        return Block.of_matrix(matrix, block.names, first_row=block.first_row)

    def inverse(self, block: Block) -> Block:
        self.check_width(block)
        matrix = block.floats()
        with np.errstate(all="ignore"):
            if self.scale is not None:
                matrix *= self._as(self.scale, matrix)
            if self.centre is not None:
                matrix += self._as(self.centre, matrix)
        return Block.of_matrix(matrix, block.names, first_row=block.first_row)

    def _as(self, vector: Array, matrix: Array) -> Array:
        return vector.astype(matrix.dtype) if self.rounded else vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescale(_Scale):
    """``x * factor + offset``, then cut off at both ends of ``clip`` if there is one."""

    tag: ClassVar[str] = "rescale"
    factor: Array
    offset: Array
    clip: tuple[float, float] | None = None

    @classmethod
    def of(
        cls, minimum: object, maximum: object, *, to: tuple[float, float] = (0.0, 1.0), clip: bool = False
    ) -> Rescale:
        """From the least and the greatest value of each column, to the range ``to``.

        A column with one value only is shifted and not stretched. Raises UsageError for numbers that are not
        finite, and for a minimum above its maximum.
        """
        low, high = given_vector(minimum, "minimum"), given_vector(maximum, "maximum")
        if len(low) != len(high):
            raise UsageError(f"{len(low)} minima and {len(high)} maxima")
        if bool((low > high).any()):
            column = int(np.flatnonzero(low > high)[0])
            raise UsageError(f"the minimum of column {column} is above its maximum")
        start, end = float(to[0]), float(to[1])
        if not (np.isfinite(start) and np.isfinite(end) and start < end):
            raise UsageError("expected two rising numbers", where="to")
        span = np.where(high > low, high - low, 1.0)
        factor = given_vector((end - start) / span, "maximum - minimum", positive=True)
        return cls(factor=factor, offset=start - low * factor, clip=(start, end) if clip else None)

    @classmethod
    def from_document(cls, fields: Fields, depth: int) -> Rescale:
        found = cls(
            factor=read_vector(fields, "factor", positive=True),
            offset=read_vector(fields, "offset"),
            clip=fields.nullable("clip", lambda name: _read_range(fields.fields(name))),
        )
        fields.finish()
        if len(found.factor) != len(found.offset):
            raise FormatError("needs as many numbers as factor has", where=fields.path("offset"))
        return found

    def to_document(self) -> dict[str, Any]:
        clip = None if self.clip is None else {"low": self.clip[0], "high": self.clip[1]}
        return {"type": self.tag, "factor": self.factor, "offset": self.offset, "clip": clip}

    @property
    def inputs(self) -> int:
        return len(self.factor)

    def transform(self, block: Block) -> Block:
        self.check_width(block)
        matrix = block.floats()
        with np.errstate(all="ignore"):
            matrix *= self.factor
            matrix += self.offset
        if self.clip is not None:
            low, high = np.asarray(self.clip[0], dtype=matrix.dtype), np.asarray(self.clip[1], dtype=matrix.dtype)
            np.clip(matrix, low, high, out=matrix)
        return Block.of_matrix(matrix, block.names, first_row=block.first_row)

    def inverse(self, block: Block) -> Block:
        self.check_width(block)
        matrix = block.floats()
        with np.errstate(all="ignore"):
            matrix -= self.offset
            matrix /= self.factor
        return Block.of_matrix(matrix, block.names, first_row=block.first_row)


def _read_range(fields: Fields) -> tuple[float, float]:
    low, high = fields.number("low"), fields.number("high")
    fields.finish()
    if not low < high:
        raise FormatError("high must be above low", where=fields.where)
    return low, high
