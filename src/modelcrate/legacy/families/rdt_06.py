"""The mixtures of rdt 0.6, which ctgan 0.5.1 alone keeps; 0.5.2 went on to rdt 1.2 and its cluster-based normaliser."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from modelcrate.errors import UnsupportedError
from modelcrate.legacy.families import rdt
from modelcrate.legacy.families.ctgan_parts import bare_number
from modelcrate.legacy.families.known import refuse_unknown, trained_dtype
from modelcrate.legacy.view import View

Document: TypeAlias = "dict[str, Any]"

MODES: Final = "rdt.transformers.numerical.BayesGMMTransformer"
_NAMES: Final = (
    "nan", "null_column", "dtype", "rounding", "min_value", "max_value", "_max_clusters", "_weight_threshold",
    "columns", "column_prefix", "output_columns", "_dtype", "_min_value", "_max_value", "_rounding_digits",
    "null_transformer", "_bgm_transformer", "valid_component_indicator",
)  # fmt: skip


def modes(view: View) -> Document:
    """A mixture as mode-specific normalisation; a flag for missing cells, which no model learned, is left out.

    Raises FormatError, and UnsupportedError for settings that are not ctgan's.
    """
    view = view.attributes(MODES)
    refuse_unknown(view, _NAMES)
    for name in ("rounding", "min_value", "max_value", "_rounding_digits", "_min_value", "_max_value"):
        given = view.get(name)
        if given is not None and not given.is_none():
            raise UnsupportedError("a normalised column with bounds or decimals of its own", where=given.path)
    number = bare_number(trained_dtype(view["_dtype"]))
    return rdt.mixture_modes(view["_bgm_transformer"], view["valid_component_indicator"], number)
