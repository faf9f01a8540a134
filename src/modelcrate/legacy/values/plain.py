"""Plain values out of the graph: what a list of categories, a setting or a bound can be.

:func:`value_of` is the one place that decides what a node means as a value; it knows an exact table of callees and
refuses everything else by name. Iteration replaces recursion up to ``limits.legacy_depth``, so depth is an error, not
an overflow.
"""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import ipaddress
import pathlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelcrate.errors import FormatError, UnsupportedError
from modelcrate.legacy.graph import ByteArray, Call, Dict, Global, Node, Set, describe
from modelcrate.legacy.names import ZONE, callee_of, name_of, restored
from modelcrate.legacy.values import arrays, special

if TYPE_CHECKING:
    from modelcrate.legacy.context import Context


@dataclass(frozen=True, slots=True, eq=False)
class SetData:
    """A set's items in stream order, duplicates and all."""

    items: list[object]
    frozen: bool


@dataclass(frozen=True, slots=True, eq=False)
class MappingData:
    """A mapping whose keys are not all text: pairs in stream order, later ones winning. ``kind`` is its class."""

    pairs: list[tuple[object, object]]
    kind: str = "dict"


@dataclass(frozen=True, slots=True, eq=False)
class NameData:
    """A global used as a value, a class or a function: its canonical name, nothing more."""

    name: str


class NamedZone(datetime.tzinfo):
    """A time zone by its name alone: the wall time is kept, and no database is asked what it means."""

    def __init__(self, key: str) -> None:
        self.key = key

    def utcoffset(self, when: datetime.datetime | None) -> None:
        """None: a moment in this zone compares like one without a zone."""

    def dst(self, when: datetime.datetime | None) -> None:
        """None, as for :meth:`utcoffset`."""

    def tzname(self, when: datetime.datetime | None) -> str:
        """The name."""
        return self.key

    def __str__(self) -> str:
        return self.key

    def __repr__(self) -> str:
        return f"NamedZone({self.key!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedZone) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)


def value_of(node: Node, context: Context, where: str) -> object:
    """A plain value: Python's own types, NumPy arrays and scalars, dates, decimals, and pandas' missing values.

    Tuples stay tuples; a dict with text keys becomes a ``dict``, any other :class:`MappingData`; sets become
    :class:`SetData`; classes and functions become :class:`NameData`; pandas objects those of :mod:`.frames`.

    :raises UnsupportedError: a callee that is not in the table.
    :raises FormatError: arguments that do not fit their callee, or a value that contains itself.
    """
    return _Converter(context).value(node, where, 0)


class _Converter:
    """One conversion: the containers being converted, to refuse cycles, and those that were, to keep what is shared.

    A node that is met again gives the same object again, as unpickling would: 64 nested pairs of one list each stay 64.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open: set[int] = set()
        self.made: dict[int, object] = {}

    def value(self, node: Node, where: str, depth: int) -> object:
        kind = type(node)
        if node is None or kind is bool or kind is int or kind is float or kind is str or kind is bytes:
            return node
        self.context.charge_items(1, where)
        self.context.check_depth(depth, where)
        if isinstance(node, ByteArray):
            return bytearray(node.data)
        if isinstance(node, Global):
            return named_value(node, where)
        key = id(node)
        if key in self.made:
            return self.made[key]
        if key in self.open:
            raise FormatError("a value that contains itself", where=where)
        self.open.add(key)
        made = self.made[key] = self._container(node, where, depth + 1)
        self.open.discard(key)
        return made

    def _container(self, node: Node, where: str, depth: int) -> object:
        if isinstance(node, list):
            return [self.value(item, f"{where}[{index}]", depth) for index, item in enumerate(node)]
        if isinstance(node, tuple):
            return tuple(self.value(item, f"{where}[{index}]", depth) for index, item in enumerate(node))
        if isinstance(node, Set):
            return SetData([self.value(item, f"{where}{{}}", depth) for item in node.items], node.frozen)
        if isinstance(node, Dict):
            return self._mapping(node.pairs, "dict", where, depth)
        if isinstance(node, Call):
            return self._called(node, where, depth)
        raise UnsupportedError(f"{describe(node)} is no plain value", where=where)

    def _mapping(self, pairs: list[tuple[Node, Node]], kind: str, where: str, depth: int) -> object:
        made = [
            (
                self.value(key, f"{where} key", depth),
                self.value(value, f"{where}[{str(key)[:40]!r}]" if type(key) is str else f"{where}[...]", depth),
            )
            for key, value in pairs
        ]
        if all(type(key) is str for key, _ in made):
            return {str(key): value for key, value in made}
        return MappingData(made, kind)

    def _called(self, node: Call, where: str, depth: int) -> object:
        name = callee_of(node)
        if name == "copyreg._reconstructor":
            plainly = restored(node)
            if plainly is not node and isinstance(plainly, Call):
                node, name = plainly, callee_of(plainly)
        if name is None:
            raise UnsupportedError(f"{describe(node)} is no plain value", where=where)
        context = self.context
        if arrays.is_array(node):
            return arrays.array_of(node, context, where)
        if name in arrays.CALLEES:
            if arrays.is_scalar(node):
                return arrays.scalar_of(node, context, where)
            return arrays.dtype_of(node, context, where)
        if arrays.is_bytes(node):
            data = bytes(arrays.raw_bytes(node, where))
            return bytearray(data) if name == "builtins.bytearray" else data
        if name in ("collections.OrderedDict", "collections.defaultdict", "collections.Counter"):
            return self._mapping(mapping_pairs(node, where), name, where, depth)
        if name in ("builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple", "collections.deque"):
            items = [self.value(item, f"{where}[]", depth) for item in sequence_items(node, where)]
            if name in ("builtins.set", "builtins.frozenset"):
                return SetData(items, name == "builtins.frozenset")
            return tuple(items) if name == "builtins.tuple" else items
        simple = SIMPLE.get(name)
        if simple is not None:
            if node.states or node.appended or node.assigned or node.kwargs is not None:
                raise FormatError(f"a {name} with extra state", where=where)
            args = [self.value(arg, where, depth) for arg in node.args]
            return simple_value(name, simple, args, where)
        if name in ZONES:
            from modelcrate.legacy.values.extension import zone_name

            return NamedZone(zone_name(node, where))
        if name in special.CALLEES:
            return special.special_value(node, name, context, where)
        if name.startswith("torch."):
            return _torch_value(node, name, context, where)
        if name == "uuid.UUID":
            return uuid_of(node, where)
        if name.startswith("pathlib.Pure") or name in ("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath"):
            return _path(node, name, where)
        if name.startswith("pandas."):
            from modelcrate.legacy.values import frames

            return frames.pandas_value(node, name, context, where)
        raise UnsupportedError(f"a value made by {name}", where=where)


def _torch_value(node: Call, name: str, context: Context, where: str) -> object:
    """A tensor; sizes as a tuple; devices by their name."""
    if name.startswith("torch._utils._rebuild"):
        from modelcrate.legacy.storages import tensor_of

        return tensor_of(node, context, where)
    if name == "torch.Size" and len(node.args) == 1 and type(node.args[0]) is tuple:
        return value_of(node.args[0], context, where)
    if name == "torch.device" and node.args and all(type(arg) in (str, int) for arg in node.args):
        return NameData("torch.device:" + ":".join(str(arg) for arg in node.args))
    raise UnsupportedError(f"a value made by {name}", where=where)


def _path(node: Call, name: str, where: str) -> pathlib.PurePath:
    """A path as a pure path, of the system that its class is for; nothing is looked up."""
    if not all(type(part) is str for part in node.args) or node.states:
        raise FormatError(f"arguments that do not make a {name}", where=where)
    kind = pathlib.PureWindowsPath if "Windows" in name else pathlib.PurePosixPath
    return kind(*(str(part) for part in node.args))


def simple_value(name: str, make: Callable[..., object], args: list[object], where: str) -> object:
    """A value of the standard library, its constructor's complaints as errors of ours."""
    try:
        return make(*args)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise FormatError(f"arguments that do not make a {name} ({error})", where=where) from None


def named_value(node: Global, where: str) -> object:
    """A global in the place of a value: the singletons, or its name."""
    name = name_of(node)
    if name in ("builtins.Ellipsis", "builtins.NotImplemented"):
        return NameData(name)
    if name == "pandas._libs.missing.NA":
        from modelcrate.format.values import Missing

        return Missing.NA
    return NameData(name or "?")


def mapping_pairs(node: Call, where: str) -> list[tuple[Node, Node]]:
    """The pairs of an OrderedDict, defaultdict or Counter, in order; a state other than ``_metadata`` is refused."""
    pairs: list[tuple[Node, Node]] = []
    args = node.args
    if callee_of(node) == "collections.defaultdict" and args:
        args = args[1:]
    for argument in args:
        if isinstance(argument, Dict):
            pairs.extend(argument.pairs)
            continue
        if type(argument) is not list:
            raise FormatError(f"a mapping made from {describe(argument)}", where=where)
        for item in argument:
            if type(item) not in (list, tuple) or len(item) != 2:
                raise FormatError("a mapping made from something else than pairs", where=where)
            pairs.append((item[0], item[1]))
    for state in node.states:
        known = isinstance(state, Dict) and all(key == "_metadata" for key, _ in state.pairs)
        if not known:
            raise FormatError("a mapping with attributes of its own", where=where)
    if node.appended or node.kwargs is not None:
        raise FormatError("a mapping with appended items", where=where)
    return pairs + list(node.assigned)


def sequence_items(node: Call, where: str) -> list[Node]:
    """The items of ``list(...)``, ``tuple(...)``, ``set(...)``, ``frozenset(...)`` or ``deque(...)`` as called."""
    name, args = callee_of(node), node.args
    if name == "collections.deque" and len(args) == 2:
        args = args[:1]
    if len(args) > 1 or node.states or node.assigned or node.kwargs is not None:
        raise FormatError(f"a {name} that is made in an unknown way", where=where)
    items: list[Node] = []
    if args:
        source = args[0]
        if isinstance(source, Set):
            items = list(source.items)
        elif isinstance(source, (list, tuple)):
            items = list(source)
        else:
            raise FormatError(f"a {name} made from {describe(source)}", where=where)
    return items + list(node.appended)


def _packed(data: object, length: int) -> bytes:
    """The bytes inside a pickled date, which protocols 0 to 2 and Python 2 write as text."""
    if type(data) is str:
        data = data.encode("latin-1")
    if type(data) is not bytes or len(data) != length:
        raise ValueError("its packed bytes have another length")
    return data


def _datetime(data: object, zone: object = None) -> datetime.datetime:
    packed = _packed(data, 10)
    month, fold = packed[2] & 0x7F, packed[2] >> 7
    year = packed[0] << 8 | packed[1]
    micro = packed[7] << 16 | packed[8] << 8 | packed[9]
    return datetime.datetime(
        year, month, packed[3], packed[4], packed[5], packed[6], micro, tzinfo=_zone(zone), fold=fold
    )


def _date(data: object) -> datetime.date:
    packed = _packed(data, 4)
    return datetime.date(packed[0] << 8 | packed[1], packed[2], packed[3])


def _time(data: object, zone: object = None) -> datetime.time:
    packed = _packed(data, 6)
    micro = packed[3] << 16 | packed[4] << 8 | packed[5]
    hour, fold = packed[0] & 0x7F, packed[0] >> 7
    return datetime.time(hour, packed[1], packed[2], micro, tzinfo=_zone(zone), fold=fold)


def _zone(zone: object) -> datetime.tzinfo | None:
    if zone is None or isinstance(zone, datetime.timezone | NamedZone):
        return zone
    raise ValueError("a time zone that is no fixed offset and has no name")


def _timezone(offset: object, name: object = None) -> datetime.timezone:
    if not isinstance(offset, datetime.timedelta) or not (name is None or (type(name) is str and len(name) < 200)):
        raise ValueError("not an offset")
    return datetime.timezone(offset) if name is None else datetime.timezone(offset, str(name))


def _timedelta(days: object = 0, seconds: object = 0, micro: object = 0) -> datetime.timedelta:
    return datetime.timedelta(_whole(days), _whole(seconds), _whole(micro))


def _whole(number: object) -> int:
    if type(number) is not int:
        raise TypeError("not an integer")
    return number


_DECIMAL = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,6})?|s?NaN[0-9]*|Infinity)")


def _decimal(text: object) -> decimal.Decimal:
    if type(text) is not str or len(text) > 1100 or _DECIMAL.fullmatch(text) is None:
        raise ValueError("not a decimal as Python writes it")
    return decimal.Decimal(text)


def _fraction(numerator: object, denominator: object = 1) -> fractions.Fraction:
    if type(numerator) is str:
        if len(numerator) > 2000 or re.fullmatch(r"-?[0-9]+(?:/[0-9]+)?", numerator) is None:
            raise ValueError("not a fraction as Python writes it")
        return fractions.Fraction(numerator)
    return fractions.Fraction(_whole(numerator), _whole(denominator))


def _complex(real: object = 0.0, imaginary: object = 0.0) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise TypeError("not two floats")
    return complex(real, imaginary)


def _range(*bounds: object) -> range:
    return range(*(_whole(bound) for bound in bounds))


def _slice(start: object, stop: object = None, step: object = None) -> slice:
    for bound in (start, stop, step):
        if bound is not None and type(bound) is not int:
            raise TypeError("a slice of something else than integers")
    return slice(start, stop, step)


def _text(*parts: object) -> str:
    if len(parts) != 1 or type(parts[0]) is not str:
        raise TypeError("not text")
    return parts[0]


_MACHINE_FORMATS = (
    "u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8",
    "<f4", ">f4", "<f8", ">f8",
)  # fmt: skip
"""``array``'s codes for the formats of machines, as NumPy names them; texts (18 to 21) aside."""


def _array(kind: object, code: object = None, form: object = None, data: object = None) -> array.array[Any]:
    """``array(code, list)`` of protocols 0 to 2, ``_array_reconstructor(class, code, format, bytes)`` of later ones."""
    if isinstance(kind, NameData):
        if type(form) is not int or not 0 <= form <= 21 or type(data) is not bytes or type(code) is not str:
            raise ValueError("not an array as Python writes it")
        if form >= 18:
            return array.array("u", data.decode(("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")[form - 18]))
        import numpy as np

        kind, code = code, np.frombuffer(data, dtype=_MACHINE_FORMATS[form]).tolist()
    if type(kind) is not str or len(kind) != 1 or kind not in "bBuhHiIlLqQfd" or type(code) not in (list, str, bytes):
        raise ValueError("not an array as Python writes it")
    made: array.array[Any] = array.array(kind, code)  # type: ignore[call-overload]  # one of its letters, as checked
    return made


def _address(kind: Callable[..., object]) -> Callable[..., object]:
    def made(address: object) -> object:
        whole = type(address) is int and 0 <= address < 2**128
        if not whole and not (type(address) is str and len(address) <= 64):
            raise ValueError("not an address as Python writes it")
        return kind(address)

    return made


ZONES = frozenset({ZONE, "zoneinfo.ZoneInfo", "pytz._p", "pytz._UTC"})
"""Callees that make a time zone by its name."""

SIMPLE: dict[str, Callable[..., object]] = {
    "datetime.datetime": _datetime,
    "datetime.date": _date,
    "datetime.time": _time,
    "datetime.timedelta": _timedelta,
    "datetime.timezone": _timezone,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "builtins.complex": _complex,
    "builtins.range": _range,
    "builtins.slice": _slice,
    "builtins.str": _text,
    "array.array": _array,
    "array._array_reconstructor": _array,
    "ipaddress.IPv4Address": _address(ipaddress.IPv4Address),
    "ipaddress.IPv6Address": _address(ipaddress.IPv6Address),
    "ipaddress.IPv4Interface": _address(ipaddress.IPv4Interface),
    "ipaddress.IPv6Interface": _address(ipaddress.IPv6Interface),
}
"""Callee to our own constructor, which checks what it is given; the file's callee is never called."""


def uuid_of(node: Node, where: str) -> uuid.UUID:
    """A ``uuid.UUID``, which is pickled as an instance with an ``int`` in its state."""
    if isinstance(node, Call) and node.states and isinstance(node.states[0], Dict):
        for key, value in node.states[0].pairs:
            if key == "int" and type(value) is int and 0 <= value < 2**128:
                return uuid.UUID(int=value)
    raise FormatError(f"expected a UUID, found {describe(node)}", where=where)
