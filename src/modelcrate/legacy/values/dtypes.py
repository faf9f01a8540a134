"""pandas' own dtypes out of the graph: nullable numbers, texts, categories, moments with a zone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelcrate.errors import FormatError
from modelcrate.legacy.graph import Call, Node, describe
from modelcrate.legacy.names import callee_of, name_of

if TYPE_CHECKING:
    from modelcrate.legacy.context import Context

_ARRAYS = "pandas.core.arrays."
_DTYPES = "pandas.core.dtypes.dtypes."
NULLABLE = {
    **{f"{_ARRAYS}integer.{sign}Int{bits}Dtype": f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"{_ARRAYS}floating.Float{bits}Dtype": f"Float{bits}" for bits in (32, 64)},
    f"{_ARRAYS}boolean.BooleanDtype": "boolean",
}
STRING = f"{_ARRAYS}string_.StringDtype"
CATEGORY = f"{_DTYPES}CategoricalDtype"
ZONED = f"{_DTYPES}DatetimeTZDtype"
CALLEES = frozenset({*NULLABLE, STRING, CATEGORY, ZONED})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DtypeData:
    """One dtype of pandas: its name as pandas writes it, and for ``category`` the categories.

    ``str`` is the text dtype whose missing cells are NaN, ``string`` the one whose missing cells are NA.
    """

    name: str
    categories: list[object] | None = None
    ordered: bool = False


def dtype_of(node: Node, context: Context, where: str) -> DtypeData:
    """A dtype of pandas. Raises :class:`FormatError` for what no release writes."""
    name = _made(node)
    if not isinstance(node, Call) or name is None:
        raise FormatError(f"expected a dtype of pandas, found {describe(node)}", where=where)
    if name in NULLABLE:
        return DtypeData(name=NULLABLE[name])
    if name == STRING:
        missing = any(type(arg) is float and math.isnan(arg) for arg in node.args)
        return DtypeData(name="str" if missing else "string")
    from modelcrate.legacy.values.frames import index_of, named_pairs

    parts = named_pairs(node.states[0], where) if len(node.states) == 1 else {}
    if name == ZONED:
        from modelcrate.legacy.values.extension import zone_name

        unit = parts.get("unit")
        if type(unit) is not str or unit not in ("s", "ms", "us", "ns"):
            raise FormatError("a moment of unknown unit", where=where)
        return DtypeData(name=f"datetime64[{unit}, {zone_name(parts.get('tz'), where)}]")
    categories = parts.get("categories")
    labels = [] if categories is None else index_of(categories, context, where).labels()
    return DtypeData(name="category", categories=list(labels), ordered=parts.get("ordered") is True)


def _made(node: Node) -> str | None:
    """The dtype's class, made by NEWOBJ, REDUCE, or a copy constructor of object."""
    name = callee_of(node)
    if isinstance(node, Call) and name == "copyreg._reconstructor" and node.args:
        name = name_of(node.args[0])
    return name if name in CALLEES else None
