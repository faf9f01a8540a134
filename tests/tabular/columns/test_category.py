"""Categories on their way back."""

from __future__ import annotations

import numpy as np
import pytest

from modelcrate.format.document import Fields
from modelcrate.format.values import decode, encode
from modelcrate.tabular.columns import read_table_encoding
from modelcrate.tabular.draws import LegacyDraws, Reversal

SHARES = {
    "type": "frequency", "dtype": "object", "categories": ["a", None, "b"], "noise": False,
    "starts": np.array([0.0, 0.5, 0.75]), "ends": np.array([0.5, 0.75, 1.0]),
    "means": np.array([0.25, 0.625, 0.875]), "deviations": np.full(3, 0.01),
}  # fmt: skip


@pytest.mark.parametrize(
    ("shadowed", "replayed", "rows", "last"),
    [(True, True, 4, None), (True, True, 3, "b"), (True, False, 4, "b"), (False, True, 4, "b")],
)
def test_a_missing_category_stands_for_all_after_it_only_in_replays_of_originals_that_let_it(
    shadowed: bool, replayed: bool, rows: int, last: str | None
) -> None:
    document = {**SHARES, "shadowed": True} if shadowed else SHARES
    column = read_table_encoding(Fields(decode(encode(document), where="state"), "encoding"))
    how = Reversal(draws=LegacyDraws(np.random.RandomState(0)), overflows=replayed)
    found = column.reverse([np.array([0.1, 0.6, 0.9, 0.2])[:rows]], how)
    assert found[0] == "a"
    assert found[1] is None or np.isnan(found[1])
    assert found[2] == last if last else found[2] is None or np.isnan(found[2])
