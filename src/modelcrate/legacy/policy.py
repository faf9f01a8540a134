"""What a scan thinks of a name: allowed constructors of data, known ways to do harm, and everything else.

The allow-list decides whether a file is ``data``; it is exact, by canonical name, and nothing is inferred. The tables
of harm only make a finding more precise: a name that is in neither is ``unknown``, never ``data``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from modelcrate.legacy.allowed import ALLOWED
from modelcrate.legacy.names import canonical

DATA, UNKNOWN, DANGEROUS = "data", "unknown", "dangerous"

_RUNS = "runs a command or another program"
_CODE = "runs Python code"
_IMPORTS = "imports modules by name, which runs their code"
_REACHES = "reaches other objects by name, which leads to any function of the process"
_FILES = "reads, writes or removes files"
_NETWORK = "talks to the network"
_PICKLES = "reads another serialised object, which can run code"
_NATIVE = "loads or calls native code"
_PROCESS = "starts, stops or traces processes or threads"
_STATE = "changes the interpreter or the objects in it"

_MODULES: dict[str, str] = {
    **dict.fromkeys(["os", "posix", "nt", "posixpath", "ntpath", "popen2", "commands", "pty", "subprocess",
                     "_posixsubprocess", "asyncio", "_asyncio", "pexpect", "sh", "plumbum", "fabric", "invoke",
                     "webbrowser", "antigravity", "idlelib", "pydoc", "pip", "setuptools", "distutils", "ensurepip",
                     "venv", "sysconfig", "platform", "winreg", "_winapi", "msvcrt", "crypt", "getpass", "curses",
                     "turtle", "tkinter"], _RUNS),
    **dict.fromkeys(["code", "codeop", "runpy", "timeit", "cProfile", "profile", "_lsprof", "pdb", "bdb", "trace",
                     "doctest", "unittest", "test", "lib2to3", "IPython", "ipykernel", "pytest", "_pytest", "nose",
                     "cffi", "numba", "sympy", "jinja2", "mako", "execnet", "RestrictedPython", "py_compile",
                     "compileall", "zipapp", "symtable", "ast", "dis", "inspect", "traceback", "tracemalloc",
                     "rlcompleter", "cmd", "sched", "graphlib", "faulthandler", "warnings"], _CODE),
    **dict.fromkeys(["importlib", "_frozen_importlib", "_frozen_importlib_external", "imp", "_imp", "pkgutil",
                     "zipimport", "modulefinder", "site", "pkg_resources"], _IMPORTS),
    **dict.fromkeys(["operator", "_operator", "functools", "_functools", "itertools", "gc", "weakref", "_weakref",
                     "types", "contextlib", "copy"], _REACHES),
    **dict.fromkeys(["shutil", "tempfile", "glob", "fileinput", "linecache", "io", "_io", "_pyio", "fcntl", "mmap",
                     "zipfile", "tarfile", "gzip", "bz2", "lzma", "sqlite3", "_sqlite3", "dbm", "filecmp", "netrc",
                     "configparser", "logging", "tokenize", "csv", "mailbox", "wave", "fsspec", "h5py", "openpyxl"],
                    _FILES),
    **dict.fromkeys(["socket", "_socket", "ssl", "_ssl", "socketserver", "http", "httplib", "urllib", "urllib2",
                     "ftplib", "smtplib", "poplib", "imaplib", "nntplib", "telnetlib", "xmlrpc", "xmlrpclib",
                     "requests", "urllib3", "httpx", "aiohttp", "paramiko", "select", "selectors", "smtpd", "wsgiref",
                     "cgi", "email", "boto3", "botocore", "huggingface_hub"], _NETWORK),
    **dict.fromkeys(["pickle", "_pickle", "cPickle", "pickletools", "marshal", "shelve", "dill", "jsonpickle", "yaml",
                     "ruamel", "srsly", "msgpack", "pandas.io", "kombu", "celery"], _PICKLES),
    **dict.fromkeys(["ctypes", "_ctypes", "_testcapi", "_ctypes_test", "readline", "cython"], _NATIVE),
    **dict.fromkeys(["multiprocessing", "_multiprocessing", "threading", "_thread", "thread", "concurrent", "signal",
                     "_signal", "resource", "atexit", "psutil", "ray", "dask", "distributed"], _PROCESS),
    **dict.fromkeys(["sys", "builtins", "__main__.__builtins__", "_sitebuiltins"], _STATE),
}  # fmt: skip

_HARMLESS_HERE = frozenset({
    "functools.partial", "operator.itemgetter", "operator.attrgetter", "operator.methodcaller", "inspect.Parameter",
    "inspect.Signature", "inspect._empty", "inspect._ParameterKind", "types.SimpleNamespace", "types.MappingProxyType",
    "types.NoneType", "types.EllipsisType", "types.GenericAlias", "functools.partialmethod", "weakref.ref",
    "weakref.WeakKeyDictionary", "weakref.WeakValueDictionary", "weakref.WeakSet", "copy.copy", "copy.deepcopy",
    "operator.getitem", "_operator.getitem", "itertools.izip", "itertools.zip_longest", "itertools.product",
    "itertools.combinations", "itertools.permutations",
    "operator.add", "operator.mul", "operator.sub", "operator.truediv", "operator.lt", "operator.gt", "operator.eq",
    "operator.ne", "operator.le", "operator.ge", "_operator.add", "_operator.mul", "_operator.sub", "_operator.truediv",
    "_operator.lt", "_operator.gt", "_operator.eq", "_operator.ne", "_operator.le", "_operator.ge",
    "itertools.chain", "itertools.count", "itertools.repeat",
    "itertools.cycle", "itertools.islice", "threading.Lock", "threading.RLock", "logging.Logger", "logging.getLogger",
    "multiprocessing.cpu_count", "warnings.catch_warnings", "msgpack.Timestamp", "numba.core.types.scalars.Integer",
    "http.HTTPStatus", "http.HTTPMethod", "os.stat_result", "os.terminal_size", "os.uname_result",
    "platform.uname_result", "urllib.parse.ParseResult", "urllib.parse.SplitResult", "urllib.parse.DefragResult",
    "requests.structures.CaseInsensitiveDict", "email.message.Message", "email.message.EmailMessage",
    "torch._dynamo.decorators._DimRange", "torch.distributed.tensor._api.DTensor",
    "torch.distributed.tensor._dtensor_spec.DTensorSpec", "torch.distributed.tensor._dtensor_spec.TensorMeta",
    "torch.distributed.tensor.placement_types.Shard", "torch.distributed.tensor.placement_types.Replicate",
    "torch.distributed.tensor.placement_types.Partial", "torch.distributed.device_mesh.DeviceMesh",
    "torch.distributed.fsdp.api.ShardingStrategy", "torch.distributed.fsdp.api.StateDictType",
    "io.BytesIO", "io.StringIO", "_io.BytesIO", "_io.StringIO", "asyncio.Event",
})  # fmt: skip
"""Of modules that do harm, what does none by itself; still unknown, and followed where it is called."""

_BUILTINS: dict[str, str] = {
    **dict.fromkeys(["eval", "exec", "execfile", "compile", "breakpoint", "input", "raw_input", "help"], _CODE),
    **dict.fromkeys(["__import__", "reload"], _IMPORTS),
    **dict.fromkeys(["getattr", "globals", "locals", "vars", "dir", "map", "filter", "apply", "reduce", "sorted_by",
                     "classmethod", "staticmethod", "property", "super", "type.__call__"], _REACHES),
    **dict.fromkeys(["open", "file"], _FILES),
    **dict.fromkeys(["setattr", "delattr", "exit", "quit", "credits", "license", "copyright"], _STATE),
}  # fmt: skip
_BUILTIN_VALUES = frozenset({
    "abs", "all", "any", "ascii", "bin", "bool", "bytes", "callable", "chr", "divmod", "enumerate", "float", "format",
    "hash", "hex", "id", "int", "isinstance", "issubclass", "iter", "len", "max", "memoryview", "min", "next", "oct",
    "ord", "pow", "print", "repr", "reversed", "round", "sorted", "str", "sum", "zip", "type", "object", "Ellipsis",
    "NotImplemented", "None", "True", "False", "__debug__", "basestring", "cmp", "buffer", "intern", "coerce",
})  # fmt: skip

_VERBS: dict[str, str] = {
    **dict.fromkeys(["system", "popen", "popen2", "popen3", "popen4", "Popen", "check_output", "check_call",
                     "getoutput", "getstatusoutput", "spawn", "spawnl", "spawnv", "execv", "execve", "execl",
                     "pipepager", "tempfilepager", "startfile", "posix_spawn", "fork", "forkpty", "run_command",
                     "run_subprocess", "exec_command", "runcmd", "shell", "run_shell"], _RUNS),
    **dict.fromkeys(["eval", "exec", "execfile", "exec_", "runstring", "runcode", "runsource", "runctx", "runeval",
                     "run_code", "run_path", "run_module", "run_script", "execWrapper", "safe_eval", "exec_function",
                     "exec_mod_from_file", "compile_command", "interact", "set_trace", "literal_eval_unsafe"], _CODE),
    **dict.fromkeys(["__import__", "import_module", "import_string", "import_item", "load_module", "exec_module",
                     "import_file", "import_by_name", "locate", "safeimport", "resolve_name", "_import_module",
                     "load_source", "load_dynamic", "load_compiled", "import_from_string", "import_object"], _IMPORTS),
    **dict.fromkeys(["getattr", "setattr", "delattr", "attrgetter", "methodcaller", "_dotted_getattr",
                     "_getattribute", "getattr_static", "rgetattr"], _REACHES),
    **dict.fromkeys(["loads", "load", "unpickle", "read_pickle", "Unpickler", "_Unpickler", "load_pickle",
                     "pickle_load", "loads_pickle", "safe_load", "unsafe_load", "full_load", "load_model",
                     "load_state_dict_from_url", "load_jit", "torch_load", "_legacy_load", "from_pickle",
                     "pickle_loads", "deserialize", "restore", "load_from_checkpoint", "load_learner", "_jit_import",
                     "import_ir_module"], _PICKLES),
    **dict.fromkeys(["urlopen", "urlretrieve", "request", "requests", "create_connection", "download",
                     "download_url_to_file", "urlcleanup", "snapshot_download", "hf_hub_download", "load_dataset",
                     "from_pretrained", "cached_file", "load_url"], _NETWORK),
    **dict.fromkeys(["rmtree", "unlink", "removedirs", "copyfile", "copytree", "chmod", "chown", "symlink",
                     "write_text", "write_bytes", "savetxt", "tofile", "fromfile", "memmap", "loadtxt", "genfromtxt",
                     "read_bytes", "read_text",
                     "to_csv", "to_pickle", "to_parquet", "to_json", "read_csv", "read_html", "read_sql",
                     "read_parquet", "read_excel", "open_memmap", "FileIO", "fdopen", "opener", "DataSource"], _FILES),
    **dict.fromkeys(["CDLL", "cdll", "PyDLL", "WinDLL", "load_library", "LoadLibrary", "dlopen", "ctypes_load_library",
                     "load_inline", "load_op_library", "import_custom_op"], _NATIVE),
    **dict.fromkeys(["kill", "killpg", "_exit", "abort", "Process", "Thread", "Pool", "setrecursionlimit",
                     "settrace", "setprofile", "start_new_thread"], _PROCESS),
}  # fmt: skip
_DUNDERS = frozenset({
    "__builtins__", "__globals__", "__subclasses__", "__loader__", "__spec__", "__getattribute__", "__getattr__",
    "__setattr__", "__delattr__", "__dict__", "__class__", "__bases__", "__mro__", "__base__", "__code__", "__func__",
    "__closure__", "__defaults__", "__init__", "__call__", "__reduce__", "__reduce_ex__", "__setstate__",
    "__self__", "__module__", "__import__", "__wrapped__", "__get__", "__set__", "__getitem__", "__setitem__",
    "__init_subclass__", "__class_getitem__", "__subclasshook__", "__instancecheck__", "__builtin__",
})  # fmt: skip
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("torch.hub", _NETWORK),
    ("torch.utils.cpp_extension", _NATIVE),
    ("torch.utils._cpp_extension_versioner", _NATIVE),
    ("torch.package", _IMPORTS),
    ("torch.jit", _CODE),
    ("torch.fx", _CODE),
    ("torch._dynamo", _CODE),
    ("torch._inductor", _CODE),
    ("torch.utils.bottleneck", _CODE),
    ("torch.utils.collect_env", _RUNS),
    ("torch.utils.data.datapipes", _CODE),
    ("torch.testing", _CODE),
    ("torch.distributed", _PROCESS),
    ("torch.multiprocessing", _PROCESS),
    ("torch.serialization", _PICKLES),
    ("torch.ops", _NATIVE),
    ("torch.utils._config_module", _PICKLES),
    ("joblib._store_backends", _FILES),
    ("torch.classes", _NATIVE),
    ("torch.onnx", _CODE),
    ("numpy.testing", _CODE),
    ("numpy.f2py", _CODE),
    ("numpy.distutils", _RUNS),
    ("numpy.ctypeslib", _NATIVE),
    ("numpy.lib.npyio", _FILES),
    ("numpy.lib._npyio_impl", _FILES),
    ("numpy.lib.format", _FILES),
    ("numpy.lib.utils", _REACHES),
    ("pandas.core.computation", _CODE),
    ("pandas.io", _FILES),
    ("pandas.eval", _CODE),
    ("sklearn.datasets", _FILES),
    ("sklearn.utils._testing", _CODE),
    ("joblib.externals", _PICKLES),
    ("joblib.memory", _FILES),
    ("joblib.parallel", _PROCESS),
    ("cloudpickle.cloudpickle.loads", _PICKLES),
    ("scipy.io", _FILES),
    ("keras", _CODE),
    ("tensorflow", _CODE),
    ("logging.config", _IMPORTS),
    ("ensurepip", _RUNS),
    ("encodings", _IMPORTS),
    ("nturl2path", _FILES),
    ("codecs.open", _FILES),
    ("codecs.register", _IMPORTS),
    ("codecs.lookup", _IMPORTS),
    ("uu.decode", _FILES),
    ("binhex", _FILES),
    ("cgitb", _STATE),
    ("mailcap", _FILES),
    ("triton", _CODE),
    ("hydra", _IMPORTS),
    ("django.core.management", _RUNS),
    ("win32com", _RUNS),
    ("torch._C.import_ir_module", _CODE),
    ("torch._C._jit_import", _CODE),
    ("torch._C._load_for_lite_interpreter", _CODE),
    ("torch._ops", _NATIVE),
    ("torch.utils.model_zoo", _NETWORK),
    ("transformers.dynamic_module_utils", _IMPORTS),
    ("transformers.pipeline", _NETWORK),
    ("langchain", _CODE),
    ("datasets.load", _NETWORK),
    ("pyarrow.fs", _FILES),
)
_CODE_BY_VALUE = frozenset({
    "cloudpickle.cloudpickle._make_function", "cloudpickle.cloudpickle._fill_function",
    "cloudpickle.cloudpickle._make_skel_func", "cloudpickle.cloudpickle._make_skeleton_class",
    "cloudpickle.cloudpickle._make_skeleton_enum", "cloudpickle.cloudpickle._rehydrate_skeleton_class",
    "cloudpickle.cloudpickle._class_setstate", "cloudpickle.cloudpickle._function_setstate",
    "cloudpickle.cloudpickle._builtin_type", "cloudpickle.cloudpickle._make_cell",
    "cloudpickle.cloudpickle._make_empty_cell", "cloudpickle.cloudpickle._make_typevar",
    "cloudpickle.cloudpickle.subimport", "cloudpickle.cloudpickle._make_dict_keys",
    "cloudpickle.cloudpickle.dynamic_subimport", "cloudpickle.cloudpickle.instance",
    "dill._dill._create_function", "dill._dill._create_code", "dill._dill._create_type", "dill._dill._load_type",
    "dill._dill._create_cell", "dill._dill._get_attr", "dill._dill._import_module", "types.CodeType",
    "types.FunctionType", "types.CellType", "types.MethodType", "types.BuiltinFunctionType", "types.ModuleType",
})  # fmt: skip
CODE_REASON = "carries a function or class as code, by value; this reader keeps it inert"


def classify(module: str, name: str) -> tuple[str, str]:
    """Verdict and reason for one name.

    The name is judged as written; one that only looks like a known name after normalisation imitates it.
    """
    key = canonical(module, name)
    if key in ALLOWED:
        return DATA, "a known constructor of data"
    if key in _CODE_BY_VALUE:
        return UNKNOWN, CODE_REASON
    if key in _HARMLESS_HERE:
        return UNKNOWN, "harmless by itself, but it hands on whatever it is given"
    reason = _harm(module, name)
    if reason is not None:
        return DANGEROUS, reason
    plain_module, plain_name = _plain(module), _plain(name)
    if (plain_module, plain_name) != (module, name):
        known = canonical(plain_module, plain_name)
        if known in ALLOWED or _harm(plain_module, plain_name) is not None:
            return DANGEROUS, f"imitates {known} with other characters"
        return UNKNOWN, "a name with characters that no Python name has"
    if key.startswith("__torch__."):
        return UNKNOWN, "a class of a TorchScript program"
    return UNKNOWN, "not on the list of known constructors of data"


def classify_import(module: str) -> tuple[str, str]:
    """Verdict and reason for importing a module by name, without taking anything out of it."""
    reason = _harm(module, "*")
    if reason is None or reason == _REACHES:
        return UNKNOWN, "imports a module by name"
    return DANGEROUS, f"imports a module that {reason}"


def _plain(text: str) -> str:
    """What a look-alike pretends to be: compatibility characters folded, invisible ones and blanks gone."""
    if _PRINTED.fullmatch(text):
        return text  # most names, and nothing to fold in them
    folded = unicodedata.normalize("NFKC", text)
    folded = folded.translate(_CONFUSABLE)
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "CZ" and char.isascii())


_CONFUSABLE = str.maketrans("аеорсухіјѕԁɡһԛԝոυνο", "aeopcyxijsdghqwnuvo")
"""Cyrillic, Greek and Armenian letters that look like Latin ones."""


_LONGEST = max(name.count(".") + 1 for name in _MODULES)
"""Parts of the longest entry; a module of 100,000 parts is looked up by its beginning only."""


_BEGINNINGS = tuple(prefix for prefix, _ in _PREFIXES)
_PRINTED = re.compile("[!-~]*")


def _harm(module: str, name: str) -> str | None:
    module = {"__builtin__": "builtins"}.get(module, module)
    if module == "builtins" and name in _BUILTIN_VALUES:
        return None
    if module == "builtins" and name in _BUILTINS:
        return _BUILTINS[name]
    path = f"{module}.{name}"
    if path.startswith(_BEGINNINGS):
        for prefix, reason in _PREFIXES:
            if path == prefix or path.startswith(prefix + "."):
                return reason
    if module != "builtins":
        parts = module.split(".", _LONGEST)[:_LONGEST]
        for length in range(len(parts), 0, -1):
            known = _MODULES.get(".".join(parts[:length]))
            if known is not None:
                return known
    for part in name.split("."):
        if part in _REEXPORTED:
            return _MODULES[part]
        if part in _VERBS:
            return _VERBS[part]
        if part in _DUNDERS:
            return _REACHES
        if "." in name and part in _BUILTINS:
            return _BUILTINS[part]
    return None


_REEXPORTED = frozenset({
    "os", "posix", "nt", "sys", "subprocess", "importlib", "builtins", "shutil", "socket", "ctypes", "pickle",
    "_pickle", "cPickle", "marshal", "runpy", "pty", "imp", "_imp", "io", "_io", "operator", "_operator",
    "functools", "gc",
    "inspect", "multiprocessing", "threading", "_thread", "signal", "tempfile", "webbrowser", "urllib", "requests",
    "pdb", "bdb", "timeit", "cProfile", "site", "codeop", "linecache", "posixpath", "ntpath", "commands", "pkgutil",
    "zipimport", "pip", "asyncio", "_frozen_importlib", "_frozen_importlib_external", "_posixsubprocess",
})  # fmt: skip
"""Modules that other modules import, so that ``shutil.os`` is ``os``."""

_SWEEP = re.compile(rb"[ci]([A-Za-z_][\w.]{0,80})\n([A-Za-z_][\w.]{0,80})\n")
_SWEEP_TEXT = re.compile(rb"\x8c[\x01-\xff]([A-Za-z_][\w.]{0,80})\x94?\x8c[\x01-\xff]([A-Za-z_][\w.]{0,80})\x94?\x93")


_SWEPT, _TRIED = 20, 5_000


def sweep(data: bytes, accept: Callable[[int], bool] = lambda offset: True) -> list[tuple[str, str, int]]:
    """Dangerous names in bytes that no machine decodes, by their spelling alone: (module, name, offset), at most 20.

    ``accept`` is asked for each place; the same name at another place gets its chance, so that decoys hide nothing.
    """
    found: list[tuple[str, str, int]] = []
    harmless: set[tuple[bytes, ...]] = set()
    reported: set[tuple[bytes, ...]] = set()
    tried = 0
    for pattern in (_SWEEP, _SWEEP_TEXT):
        for match in pattern.finditer(data):
            names = match.groups()
            if names in harmless or names in reported:
                continue
            module, name = names[0].decode(), names[1].decode()
            if classify(module, name)[0] != DANGEROUS:
                if len(harmless) < 10_000:
                    harmless.add(names)
                continue
            tried += 1
            if tried > _TRIED or not accept(match.start()):
                continue
            reported.add(names)
            found.append((module, name, match.start()))
            if len(found) >= _SWEPT:
                return found
    return found
