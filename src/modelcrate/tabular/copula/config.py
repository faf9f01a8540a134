"""The settings of a Gaussian copula: the config of a model of type ``tabular.copula/1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from modelcrate.format.document import Fields
from modelcrate.tabular.config import ReplayRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CopulaConfig:
    """``replay`` None: the draws of the original depend on training data, which a crate does not hold.

    ``early_rotations``: a replay decomposes the correlations as NumPy's wheels up to 1.23 did (see :mod:`.factor`).
    """

    conditioning: ClassVar[str] = "joint"
    """Known cells are conditioned on in the joint distribution itself."""
    force_conditioning: ClassVar[bool] = False
    replay: ReplayRules | None
    early_rotations: bool = False

    @classmethod
    def from_document(cls, document: object, where: str) -> CopulaConfig:
        """Read the config. Raises :class:`FormatError`."""
        fields = Fields(document, where)
        found = cls(
            replay=fields.nullable("replay", lambda name: ReplayRules.from_document(fields.fields(name))),
            early_rotations=fields.optional("early_rotations", fields.boolean, False),
        )
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The config as plain JSON."""
        unusual = {"early_rotations": True} if self.early_rotations else {}
        return {"replay": None if self.replay is None else self.replay.to_document(), **unusual}
