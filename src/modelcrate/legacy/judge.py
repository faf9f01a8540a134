"""Judging one pickle: every name, every call and every state, followed through indirection without doing any of it."""

from __future__ import annotations

from functools import partial

from modelcrate.legacy.allowed import ALLOWED, REFERENCES
from modelcrate.legacy.arguments import Check, checks_of
from modelcrate.legacy.findings import Finding, render
from modelcrate.legacy.graph import Call, Dict, Extension, Global, Node, PersistentId, describe
from modelcrate.legacy.joblib import WRAPPER
from modelcrate.legacy.machine import COMPUTED, Reading
from modelcrate.legacy.misuse import misuse
from modelcrate.legacy.names import callee_of, canonical, name_of
from modelcrate.legacy.policy import CODE_REASON, DANGEROUS, DATA, UNKNOWN, classify, classify_import
from modelcrate.legacy.shape import shape_complaints

FINDINGS = 500
"""Findings kept per pickle and verdict; a hostile file must not turn into a report of a gigabyte."""


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
        self.plans: dict[int, tuple[str, tuple[Check, ...]]] = {}
        self.verdicts: dict[tuple[str, str], tuple[str, str]] = {}

    def run(self) -> list[Finding]:
        reading = self.reading
        first_call: dict[int, Call] = {}
        handed_on: set[int] = set()
        mapped: set[int] = set()
        for call in reading.calls:
            if isinstance(call.callee, Global):
                first_call.setdefault(id(call.callee), call)
            classes = _array_classes(call)
            for place, argument in enumerate(call.args):
                if isinstance(argument, Global) and not (classes and place == 0):
                    handed_on.add(id(argument))
            mapped.update(classes)
        for node in reading.globals:
            if id(node) in mapped and id(node) not in first_call and id(node) not in handed_on:
                continue  # the class of an array that was mapped where it was made; not called, so no file is opened
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
        if call.opcode == "BUILD":
            self._add(DANGEROUS, describe(call.callee), "sets attributes of something that it did not make",
                      offset=call.offset, opcode="BUILD", call=render(call))  # fmt: skip
            return
        plan = self.plans.get(id(call.callee))
        if plan is None:
            name, checks = self._plan(call.callee)
            if name in ALLOWED:
                checks = (*checks, partial(misuse, name=name))
            plan = self.plans[id(call.callee)] = (name, checks)
        if call.states:
            self._states(call)
        name, checks = plan
        for check in checks:
            complaint = check(call)
            if complaint is not None:
                self._add(complaint[0], name, complaint[1], offset=call.offset, opcode=call.opcode, call=render(call))
                return

    def _plan(self, callee: Node) -> tuple[str, tuple[Check, ...]]:
        """What is to be done about each call of this callee: for a constructor of data, at most two quick checks."""
        name = name_of(callee)
        if name == "builtins.getattr":
            return name, (self._attribute,)
        if name is None:
            return "", (self._indirect,)
        if name in REFERENCES and name not in self.allow and name != "builtins.type":
            return name, (lambda call: (UNKNOWN, "calls a function where data would only refer to it"),)
        if name in ALLOWED and not isinstance(callee, Global):
            return name, checks_of(name)
        if isinstance(callee, Global) and self._verdict(callee.module, callee.name)[0] == DATA:
            return name, checks_of(name)
        if name in ("cloudpickle.cloudpickle.subimport", "cloudpickle.cloudpickle.dynamic_subimport"):
            return name, (self._import,)
        return name, ()

    def _import(self, call: Call) -> None:
        target = call.args[0] if call.args else None
        verdict, reason = DANGEROUS, "imports a module whose name it computed"
        if type(target) is str:
            verdict, reason = classify_import(target)
        self._add(verdict, render(target), reason, offset=call.offset, opcode=call.opcode, call=render(call))

    def _attribute(self, call: Call) -> None:
        """``getattr(object, "name")``: what it stands for, if both are known."""
        if name_of(call) in ALLOWED:
            return
        path = resolve(call) or self._method(call)
        if path is None:
            self._add(DANGEROUS, "builtins.getattr", "reaches an attribute of something it computed",
                      offset=call.offset, opcode=call.opcode, call=render(call))  # fmt: skip
            return
        module, _, name = path.partition(":")
        verdict, reason = self._verdict(module, name)
        if verdict == DATA:
            verdict, reason = UNKNOWN, "an attribute, looked up by name"
        self._add(verdict, path.replace(":", "."), reason, offset=call.offset, opcode=call.opcode, call=render(call))

    def _method(self, call: Call) -> str | None:
        """``module:Class.method`` of a bound method, as an object that keeps one is pickled; else None.

        Only of classes that nothing is known of, of PyTorch's and of scikit-learn's; a ``Path`` has methods that write.
        """
        made = call.args[0] if len(call.args) == 2 and type(call.args[1]) is str else None
        owner = made.callee if isinstance(made, Call) else None
        if isinstance(made, Call) and name_of(owner) == "copyreg._reconstructor" and made.args:
            owner = made.args[0]
        if not isinstance(owner, Global) or not str(call.args[1]).isidentifier():
            return None
        verdict = self._verdict(owner.module, owner.name)[0]
        modelled = owner.module.startswith(("torch.nn.modules.", "torch.optim.", "sklearn."))
        if verdict != UNKNOWN and not (verdict == DATA and modelled):
            return None
        return f"{owner.module}:{owner.name}.{call.args[1]}"

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


def _array_classes(call: Call) -> list[int]:
    """Identities of ``numpy.memmap`` where it only says of which class an array was: NumPy's own pickles, joblib's."""
    name = callee_of(call)
    found: list[Node] = []
    if name == "numpy.core.multiarray._reconstruct":
        found = list(call.args[:1])
    elif name == WRAPPER and len(call.states) > 0 and isinstance(call.states[0], Dict):
        found = [value for key, value in call.states[0].pairs if key == "subclass"]
    return [id(node) for node in found if name_of(node) in ("numpy.memmap", "numpy.core.memmap.memmap")]


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
