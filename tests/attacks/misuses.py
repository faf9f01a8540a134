"""Known constructors of data put to another use: no name in these files is forbidden by itself."""

from __future__ import annotations

from collections.abc import Iterator

from attacks.containers import MAGIC
from attacks.streams import COMMAND, Attack, Code, call, literal, name, pickled
from attacks.values import build

NAMES = """
torch.package PackageImporter, torch.package.package_importer PackageImporter, torch.serialization _load,
torch.jit._serialization load, torch.ops load_library, torch._ops _OpNamespace, torch.classes load_library,
torch.utils.cpp_extension load_inline, torch.utils.cpp_extension _import_module_from_library,
torch.utils.model_zoo load_url, torch.export load, torch._C import_ir_module, torch._C _jit_import,
torch._C _load_for_lite_interpreter, torch.multiprocessing spawn, torch.distributed.run main,
torch.fx.graph_module _deserialize_graph_module, numpy.lib.format read_array, numpy.ctypeslib load_library,
numpy genfromtxt, numpy.distutils.core setup, ctypes.util find_library, _ctypes dlopen, cffi FFI,
multiprocessing.util spawnv_passfds, multiprocessing.popen_fork Popen, multiprocessing.managers BaseManager,
multiprocessing.connection Client, concurrent.futures.process ProcessPoolExecutor, threading Timer,
_thread start_new_thread, distutils.util execute, pydoc importfile, pydoc safeimport, venv EnvBuilder, site addpackage,
site addsitedir, sysconfig _generate_posix_vars, logging.config listen, logging.config dictConfig,
logging FileHandler, logging.handlers SocketHandler, tensorflow py_function, tensorflow.saved_model load,
tensorflow.python.framework.load_library load_op_library, keras.layers Lambda, keras.saving load_model,
keras.src.layers.core.lambda_layer Lambda, keras.src.utils.python_utils func_load, keras.utils.generic_utils func_load,
keras.utils get_file, triton.runtime.build _build, triton.compiler compile, transformers pipeline,
transformers AutoModel.from_pretrained, transformers.dynamic_module_utils get_class_from_dynamic_module,
transformers.utils.hub cached_file, huggingface_hub snapshot_download, datasets load_dataset, joblib.numpy_pickle load,
joblib.memory Memory, joblib.externals.loky get_reusable_executor, dill._dill _eval_repr, dill load_session,
shelve open, dbm open, ruamel.yaml YAML, jsonpickle.unpickler decode, pandas.compat.pickle_compat load,
pandas.io.common get_handle, pandas.core.frame DataFrame.to_pickle, pandas read_html, pandas read_csv,
pyarrow.fs LocalFileSystem, xgboost.core Booster.load_model, mlflow.pyfunc load_model, spacy load, nltk data.load,
paddle.framework.io load, mxnet load, fastai.learner load_learner, skops.io load, hydra.utils instantiate,
pytorch_lightning LightningModule.load_from_checkpoint, hydra._internal.utils _locate, omegaconf OmegaConf.load,
diffusers DiffusionPipeline.from_pretrained, detectron2.config LazyConfig.load, langchain.llms x,
django.core.management execute_from_command_line, win32com.client Dispatch, _winapi CreateProcess,
asyncio.unix_events _UnixSubprocessTransport, signal signal, atexit register, sys addaudithook, sys settrace,
inspect getmodule, importlib._bootstrap _load, importlib.machinery SourceFileLoader, pkg_resources EntryPoint,
zipimport zipimporter, linecache getlines, codecs open, codecs register, uu decode, binhex x, cgitb enable,
mailcap findmatch, mmap mmap, fcntl ioctl, rlcompleter Completer, tkinter Tk, wsgiref.simple_server demo_app,
symtable symtable, py_compile compile, compileall compile_dir, modulefinder ModuleFinder, unittest.mock patch
"""
"""Functions that reach code, files, processes, the network or another deserialiser, ``module name``."""
ENDLESS = 10**10
PATHS = {
    "absolute": "/etc/passwd",
    "dateutil": "dateutil//etc/passwd",
    "dateutil-up": "dateutil/../../etc/passwd",
    "up": "../../etc/passwd",
    "home": "~/x",
    "drive": "C:\\x",
    "local": "tzlocal()",
    "long": "x" * 10_000,
}
ZONED = [
    ("pandas._libs.tslibs.timestamps", "Timestamp", (0,)),
    ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp", (0, None)),
    ("pandas.core.dtypes.dtypes", "DatetimeTZDtype", ("ns",)),
    ("pytz.tzinfo", "_p", ()),
    ("pyarrow.lib", "timestamp", ("s",)),
    ("zoneinfo", "ZoneInfo", ()),
    ("pytz", "_p", ()),
]
ITERATES = [
    ("collections", "UserList"), ("collections", "deque"), ("collections", "Counter"), ("collections", "OrderedDict"),
    ("builtins", "list"), ("builtins", "tuple"), ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "bytes"),
    ("builtins", "bytearray"), ("builtins", "dict"), ("torch", "Size"), ("time", "struct_time"), ("numpy", "matrix"),
    ("numpy.ma", "MaskedArray"), ("numpy", "poly1d"), ("numpy", "recarray"), ("numpy.random", "SeedSequence"),
    ("numpy.random", "MT19937"), ("numpy.random", "RandomState"), ("pandas.core.indexes.frozen", "FrozenList"),
    ("numpy.polynomial.polynomial", "Polynomial"), ("pandas._libs.sparse", "IntIndex"), ("random", "Random"),
    ("pyarrow.lib", "chunked_array"), ("sklearn.utils._bunch", "Bunch"),
]  # fmt: skip


def _two_faced() -> str:
    """A text that is harmless byte for byte, and runs a command once each of its characters takes three bytes."""
    evil = f"0cos\nsystem\n(S'{COMMAND}'\ntR0"
    if len(evil) % 2:
        evil = evil.replace(COMMAND, COMMAND + " ")
    count = next(k for k in range(len(evil) // 2, 4096) if 3 * k % 256 < 128)
    evil += "N0" * (count - len(evil) // 2)
    length = chr(3 * count % 256) + chr(3 * count // 256) + "\0\0"
    return (
        "X"
        + length
        + "€" * count
        + evil
        + "0"
        + (MAGIC[2:] + b"\x80\x02M\xe9\x03." + b"\x80\x02}." * 2).decode("latin-1")
    )


TWO_FACED = _two_faced()


def attacks() -> Iterator[Attack]:
    yield from _names()
    yield from _zones()
    yield from _ranges()
    yield from _detours()
    yield from _methods()
    yield from _items()
    yield from _objects()
    yield from _codecs()


def _names() -> Iterator[Attack]:
    for entry in NAMES.replace("\n", " ").split(","):
        module, attribute = entry.split()
        code = call(name(module, attribute), COMMAND)
        yield Attack(name=f"misuse-name-{module}.{attribute}", data=pickled(code), about="A2")


def _zones() -> Iterator[Attack]:
    for module, attribute, before in ZONED:
        for label, path in PATHS.items():
            code = call(name(module, attribute), *before, path)
            yield Attack(name=f"misuse-zone-{module}.{attribute}-{label}", data=pickled(code), about="A33")


def _ranges() -> Iterator[Attack]:
    for module, attribute in ITERATES:
        code = call(name(module, attribute), call(name("builtins", "range"), ENDLESS))
        yield Attack(name=f"misuse-range-{module}.{attribute}", data=pickled(code), verdict="broken", about="A2")


def _detours() -> Iterator[Attack]:
    """Constructors behind ``copyreg``, whose arguments count as much as those of a direct call."""
    endless = call(name("builtins", "range"), ENDLESS)
    ways = {
        "reconstructor-size": call(name("copyreg", "_reconstructor"), name("builtins", "bytearray"),
                                   name("builtins", "bytearray"), ENDLESS),
        "reconstructor-range": call(name("copyreg", "_reconstructor"), name("torch.nn.modules.linear", "Identity"),
                                    name("builtins", "tuple"), endless),
        "newobj-shape": call(name("copyreg", "__newobj__"), name("numpy", "ndarray"), (ENDLESS,)),
        "newobj-range": call(name("copyreg", "__newobj__"), name("builtins", "tuple"), endless),
        "newobj-ex-shape": call(name("copyreg", "__newobj_ex__"), name("numpy", "ndarray"), ((ENDLESS,),), {}),
        "newobj-zone": call(name("copyreg", "__newobj__"), name("zoneinfo", "ZoneInfo"), "../../etc/passwd"),
        "record-size": call(name("numpy", "record"), ENDLESS),
    }  # fmt: skip
    for label, code in ways.items():
        yield Attack(name=f"misuse-detour-{label}", data=pickled(code), verdict="broken", about="A2, A5")


def _mapping(kind: str, key: str, value: object) -> Code:
    """A dict of one item that the stream makes by a call, an assignment or both."""
    if kind == "assigned":
        return Code(call(name("collections", "OrderedDict")).opcodes + literal(key) + literal(value) + b"s")
    if kind == "pairs":
        return call(name("builtins", "dict"), [(key, value)])
    return call(name("collections", "OrderedDict"), [[key, value]])


def _methods() -> Iterator[Attack]:
    """A harmless function becomes an object's own ``__setstate__``, which the next state would be given to."""
    plain, function = call(name("types", "SimpleNamespace")), name("builtins", "print")
    for key in ("__setstate__", "__class__", "__dict__", "__reduce_ex__"):
        for kind in ("assigned", "pairs", "listed"):
            for place in ("state", "slots"):
                made = _mapping(kind, key, function)
                state = made if place == "state" else (None, made)
                code = build(build(plain, state), "hello")
                yield Attack(name=f"misuse-method-{key}-{kind}-{place}", data=pickled(code), about="A46, A27")
    for owner in (("types", "SimpleNamespace"), ("argparse", "Namespace")):
        code = build(call(name(*owner), {"__setstate__": function}), "hello")
        yield Attack(name=f"misuse-method-argument-{owner[1]}", data=pickled(code), about="A46")


def _items() -> Iterator[Attack]:
    """APPEND, SETITEM and ADDITEMS call methods of whatever lies on the stack."""
    owners = [
        ("pandas.core.frame", "DataFrame"), ("torch.nn.modules.container", "ModuleList"), ("numpy", "ndarray"),
        ("sklearn.pipeline", "Pipeline"), ("types", "SimpleNamespace"), ("pathlib", "PurePosixPath"),
    ]  # fmt: skip
    for module, attribute in owners:
        made = call(
            name("copyreg", "_reconstructor"), name(module, attribute), name("builtins", "object"), None
        ).opcodes
        ways = {
            "append": made + literal("a") + b"a",
            "appends": made + b"(" + literal("a") + b"e",
            "assign": made + literal("a") + literal("b") + b"s",
            "assigns": made + b"(" + literal("a") + literal("b") + b"u",
            "adds": made + b"(" + literal("a") + b"\x90",
        }
        for label, code in ways.items():
            yield Attack(
                name=f"misuse-items-{attribute}-{label}", data=pickled(Code(code)), verdict="unknown", about="A46"
            )


def _objects() -> Iterator[Attack]:
    """Eight bytes of the file as the address of a Python object."""
    for label, kind in {"text": "O", "wide": "|O8", "global": name("numpy", "object_")}.items():
        for owner, arguments in {
            "frombuffer": (name("numpy.core.numeric", "_frombuffer"), (bytes(8), kind, (1,), "C")),
            "ndarray": (name("numpy", "ndarray"), ((1,), kind, bytes(8))),
            "scalar": (name("numpy.core.multiarray", "scalar"), (kind, bytes(8))),
        }.items():
            code = call(arguments[0], *arguments[1])
            yield Attack(name=f"misuse-object-{owner}-{label}", data=pickled(code), verdict="broken", about="A29, A31")


def _codecs() -> Iterator[Attack]:
    for owner in ("str_", "bytes_"):
        code = call(name("numpy", owner), "a", "uu")
        yield Attack(name=f"misuse-codec-{owner}", data=pickled(code), verdict="unknown", about="A52")
    for codec in ("utf-8", "utf8", "latin1"):
        made = call(name("_codecs", "encode"), TWO_FACED, codec)
        yield Attack(
            name=f"misuse-codec-stream-{codec}",
            data=pickled(call(name("torch.storage", "_load_from_bytes"), made)),
            verdict="dangerous" if codec != "latin1" else "broken",
            about="A57, A52",
        )
