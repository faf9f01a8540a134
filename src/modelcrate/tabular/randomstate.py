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
SEED_BOUND = 2**32
"""NumPy's legacy seeds are below this."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Twister:
    """Where one of NumPy's legacy generators stands: fresh from ``seed``, or in the midst of its numbers.

    ``key``: uint32 of shape (624,), None for a fresh one.
    """

    seed: int
    key: np.ndarray | None = None
    position: int = WORDS
    has_normal: bool = False
    normal: float = 0.0

    @classmethod
    def from_document(cls, value: object, where: str) -> Twister:
        """Read a seed, or ``{"key", "position", "has_normal", "normal"}``. Raises :class:`FormatError`."""
        if type(value) is int:
            if not 0 <= value < SEED_BOUND:
                raise FormatError(f"a seed is between 0 and {SEED_BOUND - 1}", where=where)
            return cls(seed=value)
        fields = Fields(value, where)
        found = cls(
            seed=0,
            key=fields.array("key", dtype="uint32"),
            position=fields.integer("position", minimum=0, maximum=WORDS),
            has_normal=fields.boolean("has_normal"),
            normal=fields.number("normal"),
        )
        fields.finish()
        if found.key is None or len(found.key) != WORDS:
            raise FormatError(f"needs {WORDS} words", where=fields.path("key"))
        return found

    def to_document(self) -> int | dict[str, Any]:
        """The seed, or the state in format values."""
        if self.key is None:
            return self.seed
        return {"key": self.key, "position": self.position, "has_normal": self.has_normal, "normal": self.normal}

    def start(self) -> np.random.RandomState:
        """A NumPy generator that goes on from here."""
        state = np.random.RandomState(self.seed)
        if self.key is not None:
            state.set_state(("MT19937", self.key, self.position, int(self.has_normal), self.normal))
        return state


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
