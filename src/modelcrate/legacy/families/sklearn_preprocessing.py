"""Fitted scikit-learn preprocessing out of a pickle's graph: the attributes, for the translation of live objects.

Nothing is executed and scikit-learn need not be installed. What a file says is read value by value where the
translation asks for it, and the step that comes out is read back as strictly as one from a crate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelcrate.errors import FormatError, LimitError, ModelcrateError, UsageError
from modelcrate.format.document import Fields
from modelcrate.legacy.graph import Dict
from modelcrate.legacy.view import View
from modelcrate.tabular.preprocessing import Step, read
from modelcrate.tabular.preprocessing.scikit import PACKAGE, Record, feature_names, from_scikit, parse_release

NESTING = 3
"""Lists in lists, as in the list of (name, transformer, columns)."""
DTYPES = frozenset({"dtype", "_fill_dtype", "_fit_dtype"})
"""Attributes that hold a dtype, or a scalar type in its place."""


def translate(view: View) -> tuple[Step, tuple[str, ...] | None]:
    """The step that a pickled scaler, encoder, imputer, ColumnTransformer or Pipeline stands for, and its column names.

    Raises UnsupportedError for another class or option, FormatError for attributes that such an object does not have.
    """
    try:
        record = _record(view)
        step = from_scikit(record, where=view.path)
        names = feature_names(record)
    except UsageError as error:
        raise FormatError(error.what, where=error.where) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"the attributes are not those of a fitted object: {type(error).__name__}: {error}"
        raise FormatError(what, where=view.path) from None
    return read(Fields(step.to_document(), view.path)), names


class _Attributes(Mapping[str, Any]):
    """The attributes of one pickled object, each turned into a value when it is asked for."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __getitem__(self, name: str) -> Any:
        if name not in self._view:
            raise KeyError(name)
        view = self._view[name]
        return view.dtype() if name in DTYPES else _value(view, 0)

    def __contains__(self, name: object) -> bool:
        return name in self._view

    def __iter__(self) -> Iterator[str]:
        return iter(self._view.names())

    def __len__(self) -> int:
        return len(self._view.names())


def _record(view: View) -> Record:
    name = view.class_name
    if name is None:
        raise FormatError(f"expected a fitted object, found {view.describe()}", where=view.path)
    attributes = view.attributes(name)
    version = attributes.get("_sklearn_version")
    return Record(
        name=name, attributes=_Attributes(attributes), release=() if version is None else parse_release(version.text())
    )


def _value(view: View, depth: int) -> Any:
    """A fitted object as a record, lists and maps of them item by item, all else as a plain value."""
    name = view.class_name
    if name is not None and name.partition(".")[0] == PACKAGE:
        return _record(view)
    if isinstance(view.node, list | tuple) and depth < NESTING:
        return [_item(item, depth + 1) for item in view.items()]
    if isinstance(view.node, Dict) and depth < NESTING:
        return {name: _item(item, depth + 1) for name, item in view.mapping().items()}
    return view.value()


def _item(view: View, depth: int) -> Any:
    """As :func:`_value`; what is no value (a selector of columns, a slice) is nothing that a translation reads."""
    try:
        return _value(view, depth)
    except LimitError:
        raise
    except ModelcrateError:
        return _NOTHING


_NOTHING = object()
