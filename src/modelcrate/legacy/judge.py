"""Judging one pickle: every name, every call and every state, followed through indirection without doing any of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from modelcrate.legacy.allowed import REFERENCES
from modelcrate.legacy.extents import extent_complaint
from modelcrate.legacy.findings import Finding, render
from modelcrate.legacy.graph import ByteArray, Call, Dict, Extension, Global, Node, PersistentId, describe
from modelcrate.legacy.machine import COMPUTED, Reading
from modelcrate.legacy.names import callee_of, canonical, name_of
from modelcrate.legacy.policy import CODE_REASON, DANGEROUS, DATA, UNKNOWN, classify, classify_import
from modelcrate.legacy.shape import shape_complaints

FINDINGS = 500
"""Findings kept per pickle and verdict; a hostile file must not turn into a report of a gigabyte."""
_ENCODINGS = frozenset({"latin1", "latin-1", "ascii", "utf-8", "utf8", "iso-8859-1"})
_FRACTION = re.compile(r"-?[0-9]{1,2000}(?:/[0-9]{1,2000})?")
_DECIMAL_TEXT = re.compile(r"[-+]?(?:[0-9.]{1,2000}(?:[eE][-+]?[0-9]{1,9})?|s?NaN[0-9]*|Inf(?:inity)?)")
_ZONE = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+){0,3}")
_ALLOCATION = 1 << 24


def judge(
    reading: Reading, *, allow: frozenset[str] = frozenset(), member: str = "", torch: bool = False
) -> list[Finding]:
    """All findings of one pickle.

    ``allow`` are names that the caller trusts; ``torch`` says that the container judges persistent ids.
    """
    return _Judge(reading, allow, member, torch).run()


class _Judge:
    def __init__(self, reading: Reading, allow: frozenset[str], member: str, torch: bool) -> None:
        self.reading = reading
        self.allow = allow
        self.member = member
        self.torch = torch
        self.findings: list[Finding] = []
        self.seen: set[tuple[str, str]] = set()
        self.counts: dict[str, int] = {}
        self.verdicts: dict[tuple[str, str], tuple[str, str]] = {}

    def run(self) -> list[Finding]:
        reading = self.reading
        first_call: dict[int, Call] = {}
        handed_on: set[int] = set()
        for call in reading.calls:
            if isinstance(call.callee, Global):
                first_call.setdefault(id(call.callee), call)
            for argument in call.args:
                if isinstance(argument, Global):
                    handed_on.add(id(argument))
        for node in reading.globals:
            self._name(node, first_call.get(id(node)), id(node) in handed_on)
        for call in reading.calls:
            self._call(call)
        if not self.torch:
            for pid in reading.persistent:
                text = render(pid.value)
                self._add(UNKNOWN, "persistent id", "its meaning is decided by the program that loads it",
                          offset=pid.offset, opcode="PERSID", call=text)  # fmt: skip
        for extension in reading.extensions:
            self._add(UNKNOWN, f"extension {extension.code}", "names any object that the loading process registered",
                      offset=extension.offset, opcode="EXT")  # fmt: skip
        for fault in reading.faults:
            self._add("broken", "", fault.what, offset=fault.offset, opcode=fault.opcode)
        for what in shape_complaints(reading):
            self._add("broken", "", what, offset=reading.start)
        return self.findings

    def _add(
        self, verdict: str, name: str, reason: str, *, offset: int | None = None, opcode: str = "", call: str = ""
    ) -> None:
        key = (name or reason, call or reason)
        if key in self.seen or self.counts.get(verdict, 0) >= FINDINGS:
            return
        self.seen.add(key)
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        self.findings.append(Finding(
            verdict=verdict, name=name, reason=reason, offset=offset, opcode=opcode, call=call, member=self.member,
        ))  # fmt: skip

    def _verdict(self, module: str, name: str) -> tuple[str, str]:
        key = (module, name)
        known = self.verdicts.get(key)
        if known is None:
            if canonical(module, name) in self.allow or f"{module}.{name}" in self.allow:
                known = (DATA, "allowed by the caller")
            elif COMPUTED in key:
                known = (DANGEROUS, "computes the name of what it asks for, which no pickler does")
            else:
                known = classify(module, name)
            self.verdicts[key] = known
        return known

    def _name(self, node: Global, call: Call | None, handed_on: bool) -> None:
        verdict, reason = self._verdict(node.module, node.name)
        if verdict == DATA:
            return
        if name_of(node) == "builtins.getattr" and call is not None and not handed_on:
            return  # judged by what it resolves to, at each call
        self._add(verdict, node.dotted, reason, offset=node.offset, opcode=node.opcode,
                  call="" if call is None else render(call))  # fmt: skip

    def _call(self, call: Call) -> None:
        name = name_of(call.callee)
        if call.opcode == "BUILD":
            self._add(DANGEROUS, describe(call.callee), "sets attributes of something that it did not make",
                      offset=call.offset, opcode="BUILD", call=render(call))  # fmt: skip
            return
        self._states(call)
        if name == "builtins.getattr":
            self._attribute(call)
        elif name is None:
            self._indirect(call)
        elif name in REFERENCES and name not in self.allow:
            self._add(UNKNOWN, name, "calls a function where data would only refer to it",
                      offset=call.offset, opcode=call.opcode, call=render(call))  # fmt: skip
        elif self._is_data(call.callee):
            complaint = check_arguments(name, call)
            if complaint is None:
                extent = extent_complaint(name, call)
                complaint = None if extent is None else ("broken", extent)
            if complaint is not None:
                self._add(complaint[0], name, complaint[1], offset=call.offset, opcode=call.opcode, call=render(call))
        elif name in ("cloudpickle.cloudpickle.subimport", "cloudpickle.cloudpickle.dynamic_subimport"):
            self._import(call)

    def _is_data(self, node: Node) -> bool:
        return isinstance(node, Global) and self._verdict(node.module, node.name)[0] == DATA

    def _import(self, call: Call) -> None:
        target = call.args[0] if call.args else None
        verdict, reason = DANGEROUS, "imports a module whose name it computed"
        if type(target) is str:
            verdict, reason = classify_import(target)
        self._add(verdict, render(target), reason, offset=call.offset, opcode=call.opcode, call=render(call))

    def _attribute(self, call: Call) -> None:
        """``getattr(object, "name")``: what it stands for, if both are known."""
        path = resolve(call)
        if path is None:
            self._add(DANGEROUS, "builtins.getattr", "reaches an attribute of something it computed",
                      offset=call.offset, opcode=call.opcode, call=render(call))  # fmt: skip
            return
        module, _, name = path.partition(":")
        verdict, reason = self._verdict(module, name)
        if verdict == DATA:
            verdict, reason = UNKNOWN, "an attribute, looked up by name"
        self._add(verdict, path.replace(":", "."), reason, offset=call.offset, opcode=call.opcode, call=render(call))

    def _indirect(self, call: Call) -> None:
        """A call of something that is no plain global."""
        if isinstance(call.callee, Global):
            # A dotted name was judged as a name already.
            return
        path = resolve(call.callee)
        if isinstance(call.callee, Extension):
            verdict, reason, name = UNKNOWN, "calls what an extension code stands for", f"extension {call.callee.code}"
        elif path is None and call.opcode.startswith("NEWOBJ") and callee_of(call.callee) in _SKELETONS:
            verdict, name = UNKNOWN, "class by value"
            reason = "makes an instance of a class that the file carries as code"
        elif path is None:
            verdict, reason, name = DANGEROUS, "calls something that it computed", describe(call.callee)
        elif path in _CODE_TYPES:
            verdict, reason, name = UNKNOWN, CODE_REASON, path.replace(":", ".")
        elif isinstance(call.callee, PersistentId):
            return
        else:
            module, _, name = path.partition(":")
            verdict, reason = self._verdict(module, name)
            name = path.replace(":", ".")
            if verdict == DATA:
                verdict, reason = UNKNOWN, "calls a known constructor by a detour"
        self._add(verdict, name, reason, offset=call.offset, opcode=call.opcode, call=render(call))

    def _states(self, call: Call) -> None:
        for state in call.states:
            parts = state if type(state) is tuple and len(state) == 2 else (state,)
            for part in parts:
                if not isinstance(part, Dict):
                    continue
                for key, _ in part.pairs:
                    if type(key) is str and key in _SPECIAL:
                        self._add(DANGEROUS, describe(call), f"sets the special attribute {key}", offset=call.offset,
                                  opcode="BUILD", call=render(part))  # fmt: skip


_SKELETONS = frozenset({
    "cloudpickle.cloudpickle._make_skeleton_class", "cloudpickle.cloudpickle._make_skeleton_enum",
    "cloudpickle.cloudpickle._rehydrate_skeleton_class",
})  # fmt: skip
_CODE_TYPES = frozenset(f"types:{name}" for name in ("CodeType", "FunctionType", "CellType", "MethodType"))
_SPECIAL = frozenset({
    "__class__", "__dict__", "__reduce__", "__reduce_ex__", "__setstate__", "__getattr__", "__getattribute__",
    "__del__", "__call__", "__code__", "__globals__", "__builtins__", "__import__", "__init_subclass__", "__new__",
    "__init__", "__bases__", "__mro__", "__eq__", "__hash__", "__iter__", "__getitem__",
})  # fmt: skip


def resolve(node: Node) -> str | None:
    """``module:name`` that an indirection leads to: getattr chains on a global with literal names; else None."""
    names: list[str] = []
    for _ in range(32):
        if isinstance(node, Global):
            return f"{node.module}:{'.'.join([node.name, *reversed(names)])}"
        if isinstance(node, PersistentId):
            # PyTorch before 1.6 hands out classes of whole modules so, with their source for a warning.
            module = type(node.value) is tuple and len(node.value) == 4 and node.value[0] == "module"
            if not module or type(node.value) is not tuple:
                return None
            node = node.value[1]
            continue
        if not isinstance(node, Call):
            return None
        callee = name_of(node.callee)
        if callee == "builtins.getattr" and len(node.args) in (2, 3) and type(node.args[1]) is str:
            names.append(node.args[1])
            node = node.args[0]
        elif callee == "functools.partial" and node.args:
            node = node.args[0]
        elif callee == "cloudpickle.cloudpickle._builtin_type" and len(node.args) == 1 and type(node.args[0]) is str:
            return f"types:{'.'.join([node.args[0], *reversed(names)])}"
        else:
            return None
    return None


def check_arguments(name: str, call: Call) -> tuple[str, str] | None:
    """Verdict and reason where an allowed constructor is given something that makes it do more than hold data."""
    check = _CHECKS.get(name)
    if check is not None:
        reason = check(call)
        if reason is not None:
            return reason
    if name == "torch.storage._load_from_bytes":
        literal = len(call.args) == 1 and (isinstance(call.args[0], (bytes, ByteArray)) or _is_encoded(call.args[0]))
        return None if literal else (DANGEROUS, "reads a serialised object out of bytes that it computed")
    return None


def _is_encoded(node: Node) -> bool:
    return isinstance(node, Call) and name_of(node.callee) == "_codecs.encode"


def _bytes_like(call: Call) -> tuple[str, str] | None:
    args = call.args
    if args and type(args[0]) is int and args[0] > _ALLOCATION:
        return ("broken", f"allocates {args[0]} bytes out of nothing")
    if len(args) > 1 and args[1] not in _ENCODINGS:
        return (UNKNOWN, "uses a codec that is looked up by name")
    return _literal(call)


def _literal(call: Call) -> tuple[str, str] | None:
    """Containers made from literal containers only; ``list(range(10**10))`` is no data."""
    for argument in call.args:
        if isinstance(argument, Call) and not _is_encoded(argument) and name_of(argument.callee) not in _LITERALS:
            return (UNKNOWN, "iterates over something that is no literal")
        if isinstance(argument, (PersistentId, Extension)):
            return (UNKNOWN, "iterates over something that is no literal")
    return None


_LITERALS = frozenset({
    "builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.dict", "builtins.bytes",
    "builtins.bytearray", "collections.OrderedDict", "collections.deque", "builtins.str",
    "numpy.core.multiarray._reconstruct", "numpy.core.numeric._frombuffer",
})  # fmt: skip


def _codec(call: Call) -> tuple[str, str] | None:
    if len(call.args) != 2 or type(call.args[0]) is not str or call.args[1] not in _ENCODINGS:
        return (UNKNOWN, "uses a codec that is looked up by name")
    return None


def _fraction(call: Call) -> tuple[str, str] | None:
    for argument in call.args:
        if type(argument) is not int and not (type(argument) is str and _FRACTION.fullmatch(argument)):
            return ("broken", "a fraction whose text would be computed, not read")
    return None


def _decimal(call: Call) -> tuple[str, str] | None:
    for argument in call.args[:1]:
        if not (type(argument) is str and _DECIMAL_TEXT.fullmatch(argument)):
            return (UNKNOWN, "a decimal that is not made from text")
    return None


def _zone(call: Call) -> tuple[str, str] | None:
    name = call.args[0] if call.args else None
    if type(name) is not str or len(name) > 80 or _ZONE.fullmatch(name) is None:
        return (DANGEROUS, "a time zone whose name is a path to a file")
    return None


def _array_class(call: Call) -> tuple[str, str] | None:
    if not call.args or name_of(call.args[0]) not in ("numpy.ndarray", "numpy.recarray", "numpy.matrix"):
        return (UNKNOWN, "makes an array of another class than NumPy's")
    return None


def _shape_argument(call: Call) -> tuple[str, str] | None:
    """``numpy.ndarray(shape)``, ``numpy.void(size)`` and the like allocate what their arguments say."""
    total = 1
    todo = list(call.args)
    while todo:
        argument = todo.pop()
        if isinstance(argument, (tuple, list)) and len(argument) <= 64:
            todo.extend(argument)
        elif type(argument) is int:
            total *= max(1, abs(argument))
    return ("broken", "allocates an array out of nothing") if total > _ALLOCATION else None


def _pool(call: Call) -> tuple[str, str] | None:
    named = [] if call.kwargs is None else [value for _, value in call.kwargs.pairs]
    counts = call.args if callee_of(call) == "numpy.random.bit_generator.SeedSequence" else ()
    for argument in [*counts, *named]:
        if type(argument) is int and 10**6 < argument < 2**31:
            return ("broken", "a pool of absurd size")
    for state in [*call.states, *call.args[2:3]]:
        items = [value for _, value in state.pairs] if isinstance(state, Dict) else state
        if isinstance(items, (tuple, list)) and any(type(item) is int and 10**6 < item < 2**31 for item in items[2:4]):
            return ("broken", "a pool of absurd size")
    return None


def _mapping(call: Call) -> tuple[str, str] | None:
    for state in call.states:
        if not isinstance(state, Dict) or any(key != "_metadata" for key, _ in state.pairs):
            return (UNKNOWN, "a mapping with attributes of its own")
    for argument in call.args[:1]:
        factory = name_of(call.callee) == "collections.defaultdict"
        if factory and not (argument is None or name_of(argument) in _FACTORIES):
            return (UNKNOWN, "a defaultdict whose factory is no plain type")
    return _literal(call)


_FACTORIES = frozenset({
    "builtins.list", "builtins.dict", "builtins.set", "builtins.int", "builtins.float", "builtins.str",
    "builtins.tuple", "builtins.bool", "collections.OrderedDict", "collections.Counter",
})  # fmt: skip


def _reconstructor(call: Call) -> tuple[str, str] | None:
    if len(call.args) == 3 and call.args[2] is not None and name_of(call.args[1]) != "builtins.object":
        base = name_of(call.args[1])
        if base not in _LITERALS and base not in ("builtins.int", "builtins.float", "builtins.complex"):
            return (UNKNOWN, "makes an object with another base than a plain type")
    return None


_CHECKS: dict[str, Callable[[Call], tuple[str, str] | None]] = {
    "builtins.bytes": _bytes_like,
    "builtins.bytearray": _bytes_like,
    "builtins.str": _bytes_like,
    "builtins.list": _literal,
    "builtins.tuple": _literal,
    "builtins.set": _literal,
    "builtins.frozenset": _literal,
    "builtins.dict": _literal,
    "collections.deque": _literal,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "collections.Counter": _mapping,
    "_codecs.encode": _codec,
    "fractions.Fraction": _fraction,
    "decimal.Decimal": _decimal,
    "pytz._p": _zone,
    "zoneinfo.ZoneInfo": _zone,
    "zoneinfo:ZoneInfo._unpickle": _zone,
    "numpy.core.multiarray._reconstruct": _array_class,
    "numpy.ma._mareconstruct": lambda call: None,
    "numpy.ndarray": _shape_argument,
    "numpy.recarray": _shape_argument,
    "numpy.void": _shape_argument,
    "numpy.matrix": _shape_argument,
    "array.array": _shape_argument,
    "numpy.random.bit_generator.SeedSequence": _pool,
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": _pool,
    "copyreg._reconstructor": _reconstructor,
}
