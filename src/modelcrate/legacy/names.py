"""One spelling for each name that pickles write in several: a constant table, no import and no guessing.

Tables of converters and of the scanner are keyed by what :func:`canonical` returns.
"""

from __future__ import annotations

from modelcrate.legacy.graph import Call, Global, Node, PersistentId

_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "cPickle": "pickle",
    "_pickle": "pickle",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
    "numpy._core._multiarray_umath": "numpy.core._multiarray_umath",
    "numpy._core._internal": "numpy.core._internal",
    "numpy._core.umath": "numpy.core.umath",
    "numpy.ma.core": "numpy.ma",
    "cloudpickle.cloudpickle_fast": "cloudpickle.cloudpickle",
    "pandas.indexes.base": "pandas.core.indexes.base",
    "pandas.indexes.range": "pandas.core.indexes.range",
    "pandas.indexes.numeric": "pandas.core.indexes.numeric",
    "joblib.numpy_pickle_utils": "joblib.numpy_pickle",
    "sklearn.externals.joblib.numpy_pickle": "joblib.numpy_pickle",
    "pathlib._local": "pathlib",
    "exceptions": "builtins",
    "pandas.tseries.offsets": "pandas._libs.tslibs.offsets",
}
_PANDAS_3 = {
    "core.frame": "DataFrame",
    "core.series": "Series",
    "core.indexes.base": "Index",
    "core.indexes.range": "RangeIndex",
    "core.indexes.multi": "MultiIndex",
    "core.indexes.category": "CategoricalIndex",
    "core.indexes.datetimes": "DatetimeIndex",
    "core.indexes.timedeltas": "TimedeltaIndex",
    "core.indexes.period": "PeriodIndex",
    "core.indexes.interval": "IntervalIndex",
    "core.arrays.categorical": "Categorical",
    "core.arrays.boolean": "BooleanDtype",
    "core.arrays.string_": "StringDtype",
    "core.arrays.integer": "Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype",
    "core.arrays.floating": "Float32Dtype Float64Dtype",
    "core.dtypes.dtypes": "CategoricalDtype DatetimeTZDtype PeriodDtype IntervalDtype SparseDtype ArrowDtype",
    "_libs.tslibs.timestamps": "Timestamp",
    "_libs.tslibs.timedeltas": "Timedelta",
    "_libs.tslibs.offsets": "DateOffset",
    "_libs.interval": "Interval",
    "_libs.tslibs.period": "Period",
    "_libs.missing": "NA",
}
_PANDAS_3_ARRAYS = {
    "core.arrays.datetimes": "DatetimeArray",
    "core.arrays.timedeltas": "TimedeltaArray",
    "core.arrays.period": "PeriodArray",
    "core.arrays.interval": "IntervalArray",
    "core.arrays.boolean": "BooleanArray",
    "core.arrays.integer": "IntegerArray",
    "core.arrays.floating": "FloatingArray",
    "core.arrays.string_": "StringArray",
    "core.arrays.string_arrow": "ArrowStringArray",
    "core.arrays.sparse.array": "SparseArray",
    "core.arrays.arrow.array": "ArrowExtensionArray",
    "core.arrays.numpy_": "NumpyExtensionArray",
}
_NAMES = {
    "builtins.unicode": "builtins.str",
    "builtins.long": "builtins.int",
    "builtins.xrange": "builtins.range",
    "builtins.unichr": "builtins.chr",
    "UserDict.IterableUserDict": "collections.UserDict",
    "UserDict.UserDict": "collections.UserDict",
    "UserList.UserList": "collections.UserList",
    "UserString.UserString": "collections.UserString",
    "pandas._libs.tslibs.nattype._nat_unpickle": "pandas._libs.tslibs.nattype.__nat_unpickle",
    "numpy.rec.recarray": "numpy.recarray",
    "numpy.rec.record": "numpy.record",
    "pandas.core.arrays.sparse.dtype.SparseDtype": "pandas.core.dtypes.dtypes.SparseDtype",
    **{f"pandas.{name}": f"pandas.{home}.{name}" for home, names in _PANDAS_3.items() for name in names.split()},
    **{f"pandas.arrays.{name}": f"pandas.{home}.{name}" for home, name in _PANDAS_3_ARRAYS.items()},
}
"""pandas 3 pickles its classes under their public names; the tables know them by the modules of pandas 1 and 2."""


def canonical(module: str, name: str) -> str:
    """The table key of a global: ``module.name`` in its newest spelling.

    A name that itself holds a dot (``os.system`` of module ``pathlib``) gets a colon instead, ``pathlib:os.system``, so
    that it can never equal an entry of a table.
    """
    if "." in name or not name:
        return f"{module}:{name}"
    dotted = f"{_MODULES.get(module, module)}.{name}"
    return _NAMES.get(dotted, dotted)


def name_of(node: Node) -> str | None:
    """The canonical name if the node is a global, or the one attribute of a class that data are made by; else None."""
    if isinstance(node, Global):
        if node.known is None:
            node.known = canonical(node.module, node.name)
        return node.known
    return _attribute_name(node) if isinstance(node, Call) else None


def _attribute_name(node: Call) -> str | None:
    """``getattr(ZoneInfo, "_unpickle")``, by which every zone is pickled; protocol 4 would write it as one name."""
    if len(node.args) != 2 or node.args[1] != "_unpickle" or not isinstance(node.callee, Global):
        return None
    owner = node.args[0]
    if not isinstance(owner, Global) or (owner.module, owner.name) != ("zoneinfo", "ZoneInfo"):
        return None
    return ZONE if canonical(node.callee.module, node.callee.name) == "builtins.getattr" else None


ZONE = "zoneinfo:ZoneInfo._unpickle"


def torch_name(node: Node) -> str | None:
    """The class behind ``("module", class, file, source)``, as files before PyTorch 1.6 name classes of modules."""
    if isinstance(node, PersistentId):
        value = node.value
        if type(value) is tuple and len(value) == 4 and value[0] == "module":
            return name_of(value[1])
    return None


def callee_of(node: Node) -> str | None:
    """The canonical name of what a call calls, if that is a plain global."""
    return name_of(node.callee) if isinstance(node, Call) else None


def restored(node: Node) -> Node:
    """``_reconstructor(cls, object, None)`` of protocols 0 and 1 as the ``cls()`` of later ones; else the node."""
    if not isinstance(node, Call) or len(node.args) != 3 or callee_of(node) != "copyreg._reconstructor":
        return node
    owner, base, content = node.args
    if content is not None or name_of(base) != "builtins.object" or not isinstance(owner, Global):
        return node
    made = Call(owner, (), node.kwargs, offset=node.offset, opcode=node.opcode)
    made.states, made.appended, made.assigned = node.states, node.appended, node.assigned
    return made
