"""The settings of a Gaussian copula: the config of a model of type ``tabular.copula/1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from modelcrate.format.document import Fields
from modelcrate.tabular.config import ReplayRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CopulaConfig:
    """``replay`` None: the draws of the original depend on training data, which a crate does not hold."""

    conditioning: ClassVar[str] = "joint"
    """Known cells are conditioned on in the joint distribution itself."""
    force_conditioning: ClassVar[bool] = False
    replay: ReplayRules | None

    @classmethod
    def from_document(cls, document: object, where: str) -> CopulaConfig:
        """Read the config. Raises :class:`FormatError`."""
        fields = Fields(document, where)
        found = cls(replay=fields.nullable("replay", lambda name: ReplayRules.from_document(fields.fields(name))))
        fields.finish()
        return found

    def to_document(self) -> dict[str, Any]:
        """The config as plain JSON."""
        return {"replay": None if self.replay is None else self.replay.to_document()}
