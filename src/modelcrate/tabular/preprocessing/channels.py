"""Images to what a network was trained on: a common scale for each channel, channels first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from modelcrate.errors import FormatError, UsageError
from modelcrate.format.document import Fields
from modelcrate.tabular.preprocessing.base import given_vector, read_vector
from modelcrate.tabular.preprocessing.block import Array

CHANNELS_LIMIT = 4_096
"""Channels of an image; hyperspectral cameras have some hundred."""
FIRST, LAST = "first", "last"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channels:
    """``(x / divisor - mean[c]) / std[c]`` in float32, channels first.

    ``layout`` says where the channels of the raw images are: ``first`` (n, c, height, width) or ``last``
    (n, height, width, c); any number of dimensions may follow or lie between. With ``divisor=255`` and
    ``layout="last"`` these are, bit for bit, torchvision's ``ToTensor`` and ``Normalize``.
    """

    tag: ClassVar[str] = "channels"
    mean: Array
    std: Array
    divisor: float
    layout: Literal["first", "last"]

    @classmethod
    def of(
        cls, mean: object, std: object, *, divisor: float = 1.0, layout: Literal["first", "last"] = "first"
    ) -> Channels:
        """From a mean and a standard deviation for each channel, of values that were divided by ``divisor``."""
        means, deviations = given_vector(mean, "mean"), given_vector(std, "std", positive=True)
        if len(means) != len(deviations):
            raise UsageError(f"{len(means)} means and {len(deviations)} standard deviations")
        if len(means) > CHANNELS_LIMIT:
            raise UsageError(f"more than {CHANNELS_LIMIT} channels")
        if not (isinstance(divisor, int | float) and math.isfinite(divisor) and divisor > 0):
            raise UsageError("expected a finite number above zero", where="divisor")
        if layout not in (FIRST, LAST):
            raise UsageError(f"a layout is {FIRST!r} or {LAST!r}, not {layout!r}")
        found = cls(
            mean=means.astype(np.float32), std=deviations.astype(np.float32), divisor=float(divisor), layout=layout
        )
        given_vector(found.mean, "mean")  # what is no float32 is refused here, not by a reader
        given_vector(found.std, "std", positive=True)
        return found

    @classmethod
    def from_document(cls, fields: Fields) -> Channels:
        """Read a document, ``type`` apart. Raises FormatError for lengths that differ, or deviations not above zero."""
        mean, std = read_vector(fields, "mean"), read_vector(fields, "std", positive=True)
        divisor = fields.number("divisor", minimum=5e-324)
        layout: Literal["first", "last"] = "first" if fields.text("layout", choices=(FIRST, LAST)) == FIRST else "last"
        fields.finish()
        if len(mean) != len(std) or len(mean) > CHANNELS_LIMIT:
            raise FormatError(f"needs {len(mean)} numbers, at most {CHANNELS_LIMIT}", where=fields.path("std"))
        if mean.dtype != np.float32 or std.dtype != np.float32:
            raise FormatError("expected arrays of float32", where=fields.path("mean"))
        return cls(mean=mean, std=std, divisor=divisor, layout=layout)

    def to_document(self) -> dict[str, Any]:
        """The normalisation in format values, ``type`` included."""
        return {
            "type": self.tag,
            "mean": self.mean,
            "std": self.std,
            "divisor": self.divisor,
            "layout": self.layout,
        }

    @property
    def axis(self) -> int:
        """The axis of the channels in a batch of raw images."""
        return 1 if self.layout == FIRST else -1

    def transform(self, images: Array) -> Array:
        """A batch of numbers, shape (n, ...), as float32, channels first. UsageError for another count of channels."""
        if images.ndim < 3 or images.shape[self.axis] != len(self.mean):
            found = f"a batch of shape {list(images.shape)}"
            raise UsageError(f"expected {len(self.mean)} channels, {self.layout}, found {found}")
        values = images.astype(np.float32)
        if self.layout == LAST:
            values = np.ascontiguousarray(np.moveaxis(values, -1, 1))
        shape = (1, -1) + (1,) * (values.ndim - 2)
        with np.errstate(all="ignore"):
            if self.divisor != 1.0:
                values /= np.float32(self.divisor)
            values -= self.mean.reshape(shape)
            values /= self.std.reshape(shape)
        return values

    def inverse(self, values: Array) -> Array:
        """Normalised images, channels first, back to raw float32 ones in their layout."""
        if values.ndim < 3 or values.shape[1] != len(self.mean):
            raise UsageError(f"expected {len(self.mean)} channels, found a batch of shape {list(values.shape)}")
        shape = (1, -1) + (1,) * (values.ndim - 2)
        with np.errstate(all="ignore"):
            raw = values.astype(np.float32) * self.std.reshape(shape) + self.mean.reshape(shape)
            raw *= np.float32(self.divisor)
        return np.ascontiguousarray(np.moveaxis(raw, 1, -1)) if self.layout == LAST else raw
