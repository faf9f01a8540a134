"""Known cells that no row can have, told before any row is made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelcrate.errors import UsageError
from modelcrate.tabular.cells import Categories
from modelcrate.tabular.nearest import did_you_mean
from modelcrate.tabular.table import Table


def refuse_impossible(table: Table, cells: Mapping[str, object]) -> None:
    """Raise UsageError for a category that a column does not have, or for decimals in a whole number."""
    for field in table.fields:
        value = cells.get(field.name)
        if field.dtype.kind in "iu" and isinstance(value, (float, np.floating)) and not float(value).is_integer():
            what = f"{value!r} is no whole number, as {field.dtype} has to be"
            raise UsageError(what, where=f"conditions[{field.name!r}]")
    for column in table.columns:
        categories = getattr(column.encoding, "categories", None)
        if not isinstance(categories, Categories) or column.name not in cells or column.name in table.constrained:
            continue
        if not column.encoding.knows(cells[column.name]):
            raise unseen(column.name, cells[column.name], categories)


def unseen(name: str, value: object, categories: object) -> UsageError:
    """The error for a category that never occurred."""
    known = categories.values if isinstance(categories, Categories) else ()
    what = f"{value!r} does not occur in the training data"
    return UsageError(what, where=f"conditions[{name!r}]", hint=did_you_mean(value, known))
