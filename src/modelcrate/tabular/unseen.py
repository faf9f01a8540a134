"""Known cells that no row can have, told before any row is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modelcrate.errors import UsageError
from modelcrate.tabular.cells import Categories
from modelcrate.tabular.constraints.combinations import FixedCombinations
from modelcrate.tabular.nearest import did_you_mean, shown
from modelcrate.tabular.table import Table


def refuse_impossible(table: Table, cells: Mapping[str, object]) -> None:
    """Raise UsageError for a category that a column does not have, or for cells that no combination of it has."""
    refuse_unknown(table, cells)
    refuse_uncombined(table, [cells])


def refuse_unknown(table: Table, cells: Mapping[str, object]) -> None:
    """Raise UsageError for a category that a column does not have."""
    for column in table.columns:
        categories = getattr(column.encoding, "categories", None)
        if not isinstance(categories, Categories) or column.name not in cells or column.name in table.constrained:
            continue
        if not column.encoding.knows(cells[column.name]):
            raise unseen(column.name, cells[column.name], categories)


def refuse_uncombined(table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Raise UsageError for cells that no combination of a constraint has; all rows know the same columns."""
    for constraint in table.constraints.constraints if rows else ():
        if not isinstance(constraint, FixedCombinations):
            continue
        names = [name for name in constraint.names if name in rows[0]]
        for some in [*([name] for name in names), *([names] if len(names) > 1 else [])]:
            allowed = constraint.allowed(some)
            for cells in rows:
                if tuple(cells[name] for name in some) not in allowed:
                    raise _uncombined(some, cells, allowed)


def _uncombined(names: Sequence[str], cells: Mapping[str, object], allowed: Iterable[tuple[object, ...]]) -> UsageError:
    if len(names) == 1:
        return unseen(names[0], cells[names[0]], Categories(tuple(cell for (cell,) in allowed)))
    together = " and ".join(f"{name}={shown(cells[name])}" for name in names)
    return UsageError(f"{together} never occur together in the training data", where="conditions")


def unseen(name: str, value: object, categories: object) -> UsageError:
    """The error for a category that never occurred."""
    known = categories.values if isinstance(categories, Categories) else ()
    what = f"{shown(value)} does not occur in the training data"
    return UsageError(what, where=f"conditions[{name!r}]", hint=did_you_mean(value, known))
