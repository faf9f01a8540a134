"""The cells of a field in the end, in its own dtype where they fit it."""

from __future__ import annotations

from random import Random

import numpy as np
import pandas as pd
import pytest

from modelcrate.errors import FormatError
from modelcrate.format.document import Fields
from modelcrate.tabular.fields import Field

INDEX = {"type": "index", "before": "p-", "first": 5, "after": "", "made": 0}


def field(dtype: str, *, source: dict[str, object] | None) -> Field:
    document = {
        "name": "id",
        "kind": "key" if source else "category",
        "whole": False,
        "dtype": "int64" if dtype == "int64" else "object",
        "identifiers": None,
        "anonymiser": None,
        "format": {"kind": "plain", "dtype": dtype},
        **({"source": source} if source else {}),
    }
    return Field.from_document(Fields(document, "field"))


@pytest.mark.filterwarnings("ignore:Could not infer format")
@pytest.mark.parametrize("dtype", ["int64", "Int64", "datetime64[ns]"])
def test_made_up_cells_that_are_none_of_the_dtype_stay_as_they_are(dtype: str) -> None:
    values = pd.Series(["p-5", np.nan, "p-6"], index=[3, 4, 5], dtype=object)
    found = field(dtype, source=INDEX).finish(values, 3, Random(0))
    assert found.dtype == object
    assert found.index.tolist() == [3, 4, 5]
    assert found[3] == "p-5"
    assert np.isnan(found[4])
    digits = field("int64", source=INDEX).finish(pd.Series(["07", "8"], dtype=object), 2, Random(0))
    assert digits.dtype == np.int64
    assert digits.tolist() == [7, 8]


def test_learnt_cells_that_are_none_of_the_dtype_are_an_error() -> None:
    with pytest.raises(FormatError, match="id"):
        field("int64", source=None).finish(pd.Series(["p-5"], dtype=object), 1, Random(0))
