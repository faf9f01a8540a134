"""A stored random state: where the generators of a model stood when it was saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields

if TYPE_CHECKING:
    import torch

TORCH_STATE_BYTES = 5056
"""The state of PyTorch's CPU generator."""
WORDS = 624
"""Words of a Mersenne Twister."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomState:
    """The state of a component of type ``tabular.random_state/1``.

    ``key``: uint32 of shape (624,); ``torch_state``: uint8 of shape (5056,).
    """

    type_tag: ClassVar[str] = "tabular.random_state/1"
    key: np.ndarray
    position: int
    has_normal: bool
    normal: float
    torch_state: np.ndarray

    @classmethod
    def from_document(cls, document: object, where: str) -> RandomState:
        """Read the state. Raises :class:`FormatError`."""
        fields = Fields(document, where)
        twister = fields.fields("numpy")
        found = cls(
            key=twister.array("key", dtype="uint32"),
            position=twister.integer("position", minimum=0, maximum=WORDS),
            has_normal=twister.boolean("has_normal"),
            normal=twister.number("normal"),
            torch_state=fields.array("torch", dtype="uint8"),
        )
        twister.finish()
        fields.finish()
        if len(found.key) != WORDS:
            raise FormatError(f"needs {WORDS} words", where=twister.path("key"))
        if len(found.torch_state) != TORCH_STATE_BYTES:
            raise FormatError(f"needs {TORCH_STATE_BYTES} bytes", where=fields.path("torch"))
        try:
            found.generator()
        except RuntimeError:
            raise FormatError("this is no state of a generator", where=fields.path("torch")) from None
        return found

    def to_document(self) -> dict[str, Any]:
        """The state in format values."""
        twister = {
            "key": self.key,
            "position": self.position,
            "has_normal": self.has_normal,
            "normal": self.normal,
        }
        return {"numpy": twister, "torch": self.torch_state}

    def twister(self) -> np.random.RandomState:
        """A NumPy generator that goes on from here."""
        state = np.random.RandomState()
        state.set_state(("MT19937", self.key, self.position, int(self.has_normal), self.normal))
        return state

    def generator(self) -> torch.Generator:
        """A PyTorch CPU generator that goes on from here."""
        import torch

        generator = torch.Generator()
        generator.set_state(torch.from_numpy(self.torch_state.copy()))
        return generator
