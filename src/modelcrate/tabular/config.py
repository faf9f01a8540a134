"""The config of a synthesizer: what it needs to know beside its parts in order to sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields

BATCH_LIMIT = 1 << 20
"""Rows of a training batch."""
SEED_LIMIT = 2**32
"""NumPy's legacy seeds are below this."""
CONDITIONING = ("single_discrete", "requested_discrete", "anyway")
STATISTICS = ("running", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRules:
    """In what the release that trained the model differs from others while it samples.

    ``spare_batch``: one more batch is made whenever the rows fill the last one. ``repairs``: the calls in which rdt's
    rounding of unlearned decimals is repaired: ``sample``, ``conditions``, ``known``. ``goes_on``: draws start at the
    stored random state, where there is one. ``misplaced``: a requested category is asked for as if its column were the
    first discrete one. ``unconditioned``: whether rows without a request can be replayed; they can't where the category
    of each comes from a random training row. ``model_seed``: the model's generators start from this seed, whatever the
    process was seeded with. ``signed``: known negative numbers are compared as the original does, which matches none.
    """

    spare_batch: bool
    repairs: tuple[str, ...]
    goes_on: bool = False
    misplaced: bool = False
    unconditioned: bool = True
    model_seed: int | None = None
    signed: bool = True

    @classmethod
    def from_document(cls, fields: Fields) -> ReplayRules:
        """Read them. Raises :class:`FormatError`."""
        repairs = fields.texts("repairs", max_items=3)
        if len(set(repairs)) != len(repairs) or not set(repairs) <= {"sample", "conditions", "known"}:
            raise FormatError("unknown or repeated calls", where=fields.path("repairs"))
        found = cls(
            spare_batch=fields.boolean("spare_batch"),
            repairs=repairs,
            goes_on=fields.optional("goes_on", fields.boolean, False),
            misplaced=fields.optional("misplaced", fields.boolean, False),
            unconditioned=fields.optional("unconditioned", fields.boolean, True),
            model_seed=fields.optional("model_seed", lambda name: fields.integer(name, maximum=SEED_LIMIT - 1), None),
            signed=fields.optional("signed", fields.boolean, True),
        )
        fields.finish()
        if found.model_seed is not None and found.model_seed < 0:
            raise FormatError("a seed is not negative", where=fields.path("model_seed"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The rules as plain JSON."""
        unusual = {
            name: value
            for name, value, usual in (
                ("goes_on", self.goes_on, False),
                ("misplaced", self.misplaced, False),
                ("unconditioned", self.unconditioned, True),
                ("model_seed", self.model_seed, None),
                ("signed", self.signed, True),
            )
            if value != usual
        }
        return {"spare_batch": self.spare_batch, "repairs": list(self.repairs), **unusual}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The config of a model of type ``tabular.synthesizer/1``.

    ``noise_dim``: width of the noise. ``batch_size``: rows of a training batch, which a replay repeats.
    ``conditioning``: what stands beside the noise: one category, drawn by frequency (``single_discrete``) or, where one
    is known, that one (``requested_discrete``), or a whole row (``anyway``).
    ``statistics``: whether batch norm uses running or batch statistics while sampling. ``replay`` None: the draws of
    the original depend on training data, which a crate does not hold.
    """

    noise_dim: int
    batch_size: int
    conditioning: str
    force_conditioning: bool
    statistics: str
    replay: ReplayRules | None

    @classmethod
    def from_document(cls, document: object, where: str) -> Config:
        """Read the config. Raises :class:`FormatError`."""
        fields = Fields(document, where)
        found = cls(
            noise_dim=fields.integer("noise_dim", minimum=1, maximum=1 << 20),
            batch_size=fields.integer("batch_size", minimum=1, maximum=BATCH_LIMIT),
            conditioning=fields.text("conditioning", choices=CONDITIONING),
            force_conditioning=fields.boolean("force_conditioning"),
            statistics=fields.text("statistics", choices=STATISTICS),
            replay=fields.nullable("replay", lambda name: ReplayRules.from_document(fields.fields(name))),
        )
        fields.finish()
        if found.statistics == "batch" and found.batch_size < 2:
            raise FormatError("one row has no statistics", where=fields.path("batch_size"))
        return found

    def to_document(self) -> dict[str, Any]:
        """The config as plain JSON."""
        return {
            "noise_dim": self.noise_dim,
            "batch_size": self.batch_size,
            "conditioning": self.conditioning,
            "force_conditioning": self.force_conditioning,
            "statistics": self.statistics,
            "replay": None if self.replay is None else self.replay.to_document(),
        }
