"""Ways around a list of names: indirection, look-alikes, re-exports, state, codes that mean something elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from attacks.calls import by_code
from attacks.streams import (
    COMMAND,
    PYTHON,
    SENTINEL,
    Attack,
    Code,
    call,
    evil,
    evil_pickle,
    literal,
    name,
    pickled,
    raw,
    text,
)


def attacks() -> Iterator[Attack]:
    yield from _chains()
    yield from _names()
    yield from _states()
    yield from _hidden()


def _chains() -> Iterator[Attack]:
    getattr_ = name("builtins", "getattr")
    importer = call(name("importlib", "import_module"), "os")
    chains = {
        "getattr-of-module": call(call(getattr_, name("shutil", "os"), "system"), COMMAND),
        "getattr-of-import": call(call(getattr_, importer, "system"), COMMAND),
        "getattr-of-dunder-import": call(call(getattr_, call(name("builtins", "__import__"), "os"), "system"), COMMAND),
        "getattr-twice": call(call(getattr_, call(getattr_, name("pathlib", "Path"), "__init__"), "__globals__"), "os"),
        "getattr-of-value": call(getattr_, "", "__class__"),
        "getattr-subclasses": call(
            call(getattr_, call(getattr_, name("builtins", "object"), "__subclasses__"), "__call__")
        ),
        "getattr-result-called": call(call(getattr_, name("builtins", "dict"), "fromkeys"), []),
        "getattr-default": call(getattr_, name("datetime", "sys"), "modules", None),
        "getattr-computed-name": call(getattr_, name("numpy", "ndarray"), call(name("builtins", "str"), "tofile")),
        "attrgetter": call(call(name("operator", "attrgetter"), "system"), name("shutil", "os")),
        "methodcaller": call(call(name("operator", "methodcaller"), "system", COMMAND), name("shutil", "os")),
        "itemgetter": call(call(name("operator", "itemgetter"), "os"), name("sys", "modules")),
        "itemgetter-on-list": call(call(call(name("operator", "itemgetter"), 0), [name("os", "system")]), COMMAND),
        "partial": call(call(name("functools", "partial"), name("os", "system"), COMMAND)),
        "partial-of-getattr": call(call(name("functools", "partial"), getattr_), name("os", "path"), "os"),
        "partialmethod": call(name("functools", "partialmethod"), name("os", "system"), COMMAND),
        "reduce": call(name("functools", "reduce"), name("os", "system"), [COMMAND]),
        "map-list": call(name("builtins", "list"), call(name("builtins", "map"), name("os", "system"), [COMMAND])),
        "filter-next": call(
            name("builtins", "next"), call(name("builtins", "filter"), name("os", "system"), [COMMAND])
        ),
        "sorted-key": call(name("builtins", "sorted"), [COMMAND], None, name("os", "system")),
        "max-key": call(name("builtins", "max"), [COMMAND], name("os", "system")),
        "defaultdict-factory": call(name("collections", "defaultdict"), name("os", "getcwd")),
        "defaultdict-factory-unknown": call(name("collections", "defaultdict"), name("acme.tools", "start")),
        "iter-sentinel": call(name("builtins", "list"), call(name("builtins", "iter"), name("os", "getpid"), 0)),
        "type-call": call(call(name("builtins", "type"), "X", (), {}), ()),
        "type-with-functions": call(name("builtins", "type"), "X", (), {"__init__": name("os", "system")}),
        "exec-in-code": call(name("code", "InteractiveInterpreter.runcode"), PYTHON),
        "function-by-value": call(by_code()),
        "function-from-marshal": call(call(name("types", "FunctionType"), call(name("marshal", "loads"), b"\xe3"), {})),
        "lambda-by-cloudpickle-called": call(
            call(name("cloudpickle.cloudpickle_fast", "_make_function"), b"", {}, "f")
        ),
        "builtin-type-function": call(
            call(call(name("cloudpickle.cloudpickle", "_builtin_type"), "FunctionType"), None, {})
        ),
        "subimport-os": call(
            call(name("builtins", "getattr"), call(name("cloudpickle.cloudpickle", "subimport"), "os"), "system"),
            COMMAND,
        ),
        "subimport-alone": call(name("cloudpickle.cloudpickle", "subimport"), "antigravity"),
        "dill-import": call(name("dill._dill", "_import_module"), "os.system"),
        "dill-get-attr": call(name("dill._dill", "_get_attr"), name("shutil", "os"), "system"),
        "dill-create-function": call(call(name("dill._dill", "_create_function"), b"", {})),
        "dill-load-type": call(name("dill._dill", "_load_type"), "FunctionType"),
        "torch-load-inside": call(name("torch", "load"), call(name("io", "BytesIO"), evil_pickle())),
        "pickle-loads-inside": call(name("pickle", "loads"), evil_pickle()),
        "reconstructor": call(
            name("copyreg", "_reconstructor"), name("os", "system"), name("builtins", "object"), None
        ),
        "newobj-by-copyreg": call(name("copyreg", "__newobj__"), name("subprocess", "Popen"), COMMAND),
        "newobj-ex-by-copyreg": call(
            name("copyreg", "__newobj_ex__"), name("subprocess", "Popen"), (COMMAND,), {"shell": True}
        ),
        "extension-registration": call(name("copyreg", "add_extension"), "os", "system", 240),
        "reduce-of-datetime-tz": call(
            name("datetime", "datetime"), b"\x07\xe4\x01\x01" + bytes(6), name("os", "system")
        ),
        "str-with-codec": call(name("builtins", "str"), b"x", "unicode_escape"),
        "bytes-with-codec": call(name("builtins", "bytearray"), "x", "rot13"),
        "codec-by-name": call(name("_codecs", "encode"), "x", "acme"),
        "codec-decode": call(name("_codecs", "decode"), b"x", "zlib"),
        "codec-lookup": call(name("codecs", "lookup"), "acme.evil"),
        "zone-path": call(name("pytz", "_p"), "../../../../etc/passwd"),
        "zone-path-zoneinfo": call(name("zoneinfo", "ZoneInfo"), "/etc/passwd"),
        "string-formatter": call(name("string", "Formatter.get_field"), "0.__class__", [1], {}),
        "numpy-vectorize": call(name("numpy", "vectorize"), name("os", "system")),
        "numpy-piecewise": call(name("numpy", "piecewise"), [1], [True], [name("os", "system")]),
        "numpy-apply": call(name("numpy", "apply_along_axis"), name("os", "system"), 0, [COMMAND]),
        "numpy-ufunc-called": call(name("numpy", "add"), 1, 2),
        "pandas-apply": call(name("pandas.core.series", "Series.apply"), name("os", "system")),
        "sklearn-function-transformer": call(
            name("sklearn.preprocessing._function_transformer", "FunctionTransformer"), name("os", "system")
        ),
        "torch-map": call(name("torch.utils._pytree", "tree_map"), name("os", "system"), [COMMAND]),
        "torch-from-type": call(
            name("torch._tensor", "_rebuild_from_type_v2"),
            name("os", "system"),
            name("builtins", "object"),
            (COMMAND,),
            None,
        ),
        "torch-parameter-state": call(name("torch._utils", "_set_obj_state"), name("os", "path"), {"system": 1}),
        "torch-load-from-computed-bytes": call(
            name("torch.storage", "_load_from_bytes"), call(name("base64", "b64decode"), "gASV")
        ),
        "joblib-wrapper-subclass": call(name("joblib.numpy_pickle", "NDArrayWrapper"), "x.npy", name("os", "system")),
        "ctypes-array": call(name("ctypes", "c_char_p.from_address"), 0),
        "property-fget": call(name("builtins", "property"), name("os", "system")),
        "weakref-callback": call(name("weakref", "ref"), name("collections", "OrderedDict"), name("os", "system")),
        "exit-stack": call(name("contextlib", "ExitStack.callback"), name("os", "system"), COMMAND),
        "thread-target": call(name("threading", "Thread"), None, name("os", "system")),
        "timer": call(name("threading", "Timer"), 0, name("os", "system"), [COMMAND]),
        "simple-namespace-call": call(call(name("types", "SimpleNamespace"))),
        "unknown-function": call(name("acme.models", "build"), 1),
        "unknown-class": Code(name("acme.models", "Net").opcodes + b")\x81}b"),
    }
    milder = {
        "getattr-of-value",
        "str-with-codec",
        "bytes-with-codec",
        "codec-by-name",
        "codec-decode",
        "codec-lookup",
        "defaultdict-factory-unknown",
        "subimport-alone",
        "type-call",
        "lambda-by-cloudpickle-called",
        "string-formatter",
        "extension-registration",
        "numpy-ufunc-called",
        "dill-load-type",
        "unknown-function",
        "unknown-class",
        "torch-parameter-state",
        "simple-namespace-call",
        "getattr-result-called",
        "function-by-value",
        "dill-import",
        "builtin-type-function",
        "dill-create-function",
        "dill-get-attr",
    }
    for label, code in chains.items():
        yield Attack(name=f"chain-{label}", data=pickled(code), verdict="unknown" if label in milder else "dangerous")


def _names() -> Iterator[Attack]:
    """Names that are not what they seem."""
    dotted = [
        "pathlib:os.system",
        "shutil:os.system",
        "builtins:eval.__call__",
        "collections:abc.sys.exit",
        "numpy:os.system",
        "torch:os.system",
        "logging:os.popen",
        "random:_os.system",
        "uuid:os.system",
        "tempfile:_os.system",
        "torch.serialization:os.system",
        "pickle:sys.modules",
        "numpy.matrixlib.defmatrix:sys",
        "numpy.core.numeric:sys.exit",
        "collections:OrderedDict.__init__.__globals__",
        "datetime:sys",
        "torch.storage:io.open",
        "numpy:ndarray.tofile",
        "sklearn.pipeline:__builtins__.eval",
        "pandas.core.frame:sys.modules",
        "decimal:sys",
        "inspect:builtins.eval",
    ]
    for entry in dotted:
        module, attribute = entry.split(":")
        yield Attack(
            name=f"name-dotted-{module}-{attribute}",
            data=pickled(call(name(module, attribute), COMMAND)),
            about="A9, A11",
        )
    spellings = {
        "trailing-blank": ("os ", "system"),
        "leading-blank": (" os", "system"),
        "carriage-return": ("os\r", "system\r"),
        "nul": ("os\0", "system"),
        "zero-width": ("o\u200bs", "system"),
        "full-width": ("\uff4fs", "system"),
        "cyrillic": ("\u043es", "system"),
        "combining-free": ("os", "sy\u2060stem"),
        "upper-dotted": ("builtins", "ev\u0430l"),
        "ligature": ("\u017fubprocess", "Popen"),
        "bidi": ("os\u202e", "system"),
        "tab": ("builtins\t", "exec"),
        "allowed-look-alike": ("collections", "Ordered\u200bDict"),
        "allowed-cyrillic": ("numpy", "nd\u0430rray"),
        "empty-name": ("os", ""),
        "empty-module": ("", "system"),
        "dot-only": ("os", "."),
        "double-dot": ("os", "path..system"),
        "trailing-dot": ("os", "system."),
        "leading-dot": ("os", ".system"),
        "escape": ("\x1b[2Jos", "system"),
        "surrogate": ("o\ud800s", "system"),
        "long": ("a" * 5000, "b" * 5000),
    }
    for label, (module, attribute) in spellings.items():
        yield Attack(
            name=f"name-{label}", data=pickled(call(name(module, attribute), COMMAND)), verdict="unknown", about="A12"
        )
    yield Attack(name="name-crlf-global", data=b"cos\r\nsystem\r\n(S'x'\r\ntR.", verdict="unknown", about="A12")
    yield Attack(name="name-not-utf8", data=b"cmod\n\xf8\n)R.", verdict="broken", about="A13")
    yield Attack(name="name-not-utf8-inst", data=b"(imod\n\xf8\n.", verdict="broken", about="A13")
    for module, attribute in (
        ("__builtin__", "eval"),
        ("cPickle", "loads"),
        ("commands", "getoutput"),
        ("urllib2", "urlopen"),
        ("httplib", "HTTPConnection"),
        ("thread", "start_new_thread"),
        ("popen2", "popen3"),
    ):
        yield Attack(
            name=f"name-python2-{module}", data=pickled(call(name(module, attribute, 2), COMMAND), 2), about="A14"
        )
    operands = {
        "computed-by-join": call(name("builtins", "str"), "os"),
        "computed-by-getitem": call(call(name("operator", "itemgetter"), 0), ["os"]),
        "computed-by-persistent-id": Code(text("os") + b"Q"),
    }
    for label, code in operands.items():
        data = b"\x80\x04" + code.opcodes + text("system") + b"\x93" + text(COMMAND) + b"\x85R."
        yield Attack(name=f"name-{label}", data=data, about="A5")
    for label, operand in {
        "int": b"K\x01",
        "none": b"N",
        "bytes": b"C\x02os",
        "tuple": b")",
        "list": b"]",
        "bool": b"\x88",
    }.items():
        data = b"\x80\x04" + operand + text("system") + b"\x93" + text(COMMAND) + b"\x85R."
        yield Attack(name=f"name-operand-{label}", data=data, verdict="broken", about="A6")


def _states() -> Iterator[Attack]:
    """BUILD and item opcodes used on what the stream did not make."""
    ordered = name("collections", "OrderedDict")
    made = call(ordered)
    streams = {
        "numpy-builtins": name("numpy", "size").opcodes
        + name("numpy", "__builtins__").opcodes
        + literal((None, {"shape": 1}))
        + b"b",
        "state-on-module": name("sys", "modules").opcodes + literal({"os": 1}) + b"b",
        "state-on-class": ordered.opcodes + literal({"__reduce__": 1}) + b"b",
        "state-slots-class": made.opcodes + literal((None, {"__class__": 1})) + b"b",
        "state-setstate": made.opcodes
        + literal({"__setstate__": name("os", "system")})
        + b"b"
        + literal(COMMAND)
        + b"b",
        "state-setstate-unknown": made.opcodes + literal({"__setstate__": 1}) + b"b",
        "state-items": made.opcodes + literal({"items": "pwned"}) + b"b",
        "state-del": made.opcodes + literal({"__del__": name("os", "system")}) + b"b",
        "append-to-global": name("sys", "path").opcodes + literal(SENTINEL) + b"a",
        "extend-global": name("sys", "path").opcodes + b"(" + literal(SENTINEL) + b"e",
        "setitem-on-global": name("sys", "modules").opcodes + literal("os") + b"Ns",
        "setitem-on-environ": name("os", "environ").opcodes + literal("LD_PRELOAD") + literal("x.so") + b"s",
        "additems-on-global": name("sys", "flags").opcodes + b"(Nq\x00\x90",
        "module-state": name("torch.nn.modules.linear", "Linear").opcodes
        + b")\x81"
        + literal({"forward": name("os", "system")})
        + b"b",
        "module-hook": name("torch.nn.modules.linear", "Linear").opcodes
        + b")\x81"
        + literal({"_forward_hooks": {1: name("subprocess", "run")}})
        + b"b",
        "module-class": name("torch.nn.modules.linear", "Linear").opcodes
        + b")\x81"
        + literal((None, {"__class__": name("acme", "X")}))
        + b"b",
        "estimator-attribute": name("sklearn.preprocessing._data", "StandardScaler").opcodes
        + b")\x81"
        + literal({"transform": name("os", "system")})
        + b"b",
        "frame-state": name("pandas.core.frame", "DataFrame").opcodes + b")\x81" + literal({"_mgr": evil()}) + b"b",
        "append-call": call(name("acme.io", "Writer"), SENTINEL).opcodes + literal("x") + b"a",
        "setitem-call": call(name("shelve", "open"), SENTINEL).opcodes + literal("x") + b"Ns",
        "dict-subclass": call(name("os", "_Environ"), {}, None).opcodes + literal("x") + b"Ns",
    }
    milder = {"state-items", "append-call"}
    for label, opcodes in streams.items():
        data = b"\x80\x04" + opcodes + b"."
        yield Attack(
            name=f"state-{label}",
            data=data,
            verdict="unknown" if label in milder else "dangerous",
            about="A10, A26, A46",
        )


def _hidden() -> Iterator[Attack]:
    """Meaning that lies outside of the file, and pickles inside of values."""
    for label, opcodes in {
        "ext1": b"\x82\x01",
        "ext2": b"\x83\x00\x01",
        "ext4": b"\x84\x00\x00\x01\x00",
        "ext-zero": b"\x82\x00",
        "ext-negative": b"\x84\xff\xff\xff\xff",
    }.items():
        yield Attack(
            name=f"hidden-{label}",
            data=b"\x80\x02" + opcodes + text(COMMAND) + b"\x85R.",
            verdict="unknown",
            about="A15",
        )
        yield Attack(name=f"hidden-{label}-value", data=b"\x80\x02" + opcodes + b".", verdict="unknown", about="A15")
    for label, value in {
        "text": b"Phttp://127.0.0.1/x\n",
        "int": b"K\x05Q",
        "tuple": b"K\x01K\x02\x86Q",
        "call": evil().opcodes + b"Q",
        "module": literal(("module", name("acme", "Net"), "x.py", PYTHON)) + b"Q",
        "storage-outside": literal(("storage", name("torch", "FloatStorage"), "0", "cpu", 1)) + b"Q",
    }.items():
        yield Attack(name=f"hidden-persistent-{label}", data=b"\x80\x02" + value + b".", verdict="unknown", about="A16")
    inner = evil_pickle(2)
    values = {
        "bytes": raw(inner),
        "short-bytes": b"C" + bytes([len(inner)]) + inner,
        "bytearray": b"\x96" + len(inner).to_bytes(8, "little") + inner,
        "bytes8": b"\x8e" + len(inner).to_bytes(8, "little") + inner,
        "latin1-text": call(name("_codecs", "encode"), inner.decode("latin-1"), "latin1").opcodes,
        "binstring": b"T" + len(inner).to_bytes(4, "little") + inner,
        "array-bytes": call(
            name("numpy.core.numeric", "_frombuffer"),
            inner,
            call(name("numpy", "dtype"), "u1", False, True),
            (len(inner),),
            "C",
        ).opcodes,
        "load-from-bytes": call(name("torch.storage", "_load_from_bytes"), inner).opcodes,
        "inside-inside": raw(pickled(inner)),
    }
    for label, opcodes in values.items():
        yield Attack(name=f"hidden-in-{label}", data=b"\x80\x05" + opcodes + b".", about="a pickle inside a value")
    yield Attack(name="hidden-out-of-band", data=b"\x80\x05\x97.", verdict="broken", about="A53")
    yield Attack(name="hidden-out-of-band-readonly", data=b"\x80\x05\x97\x98.", verdict="broken", about="A53")
