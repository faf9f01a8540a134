"""Outputs that appear whole or not at all.

Everything is written under a temporary name in the folder of the target, made durable (fsync of files and folders),
and only then renamed. What is guaranteed, whenever the process or the machine stops:

- **a file**: the target name holds the complete old content or the complete new one, never a mixture, never nothing
  where something was. A process that is killed outright can leave its temporary ``.modelcrate-*.tmp`` beside the
  target; any error that Python sees, an interrupt included, removes it.
- **a folder that is new**: the name appears with all files in it, or not at all.
- **a folder that is replaced**: POSIX has no portable exchange of two folders, so the old one is first renamed to
  ``<name>.<token>.old``, then the new one takes the name, then the old one is removed. Killed between the two renames,
  the name is absent for that moment and *both* complete folders stand beside it, the old one as ``<name>.<token>.old``
  and the new one as ``.modelcrate-<token>.tmp``; renaming either of them to ``<name>`` finishes or undoes the save.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from modelcrate.errors import StorageError, UsageError
from modelcrate.storage.output import Output
from modelcrate.storage.regions import storage_error

_WRITE = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@contextlib.contextmanager
def replacing_file(path: str, *, overwrite: bool) -> Iterator[Output]:
    """A file to write to; when the block ends well, its content is durable and has the name ``path``.

    Raises StorageError if ``path`` exists and ``overwrite`` is false, if it is anything but a regular file, and for
    whatever the file system refuses; an error inside the block leaves no trace. The mode follows the umask.
    """
    folder, _ = _split(path)
    _check_target(path, stat.S_ISREG, "a regular file", overwrite=overwrite)
    temporary = os.path.join(folder, f".modelcrate-{os.urandom(8).hex()}.tmp")
    try:
        descriptor = os.open(temporary, _WRITE, 0o666)
    except OSError as error:
        raise storage_error(error, "can't be written", where=path) from error
    try:
        with _output(descriptor) as output:
            yield output
        if overwrite:
            os.replace(temporary, path)
        else:
            _name_once(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(error, "can't be written", where=path) from error
        raise
    _sync_folder(folder)


@contextlib.contextmanager
def replacing_folder(path: str, *, overwrite: bool) -> Iterator[str]:
    """A temporary folder to fill; when the block ends well, it is durable and has the name ``path``.

    The files inside are the caller's to fsync (:func:`create_file` does). ``overwrite`` replaces only a folder that
    holds a ``manifest.json``, so that a slip of the pen can't remove a home directory. Raises like
    :func:`replacing_file`.
    """
    import shutil

    parent, name = _split(path)
    replaces = _check_target(path, stat.S_ISDIR, "a folder", overwrite=overwrite)
    if replaces and not os.path.isfile(os.path.join(path, "manifest.json")):
        raise StorageError("the folder is not a crate, so it is not replaced", where=path)
    token = os.urandom(8).hex()
    temporary = os.path.join(parent, f".modelcrate-{token}.tmp")
    aside = os.path.join(parent, f"{name[:200]}.{token}.old")
    try:
        os.mkdir(temporary)
        try:
            yield temporary
            _sync_tree(temporary)
            if replaces:
                os.rename(path, aside)
            try:
                os.rename(temporary, path)
            except BaseException:
                if replaces:
                    os.rename(aside, path)
                raise
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise storage_error(error, "can't be written", where=path) from error
    _sync_folder(parent)
    if replaces:
        try:
            shutil.rmtree(aside)
        except OSError as error:
            raise storage_error(error, "saved, but the replaced version can't be removed", where=aside) from error


@contextlib.contextmanager
def create_file(path: str) -> Iterator[Output]:
    """A new file to write to, durable when the block ends; raises OSError."""
    with _output(os.open(path, _WRITE, 0o666)) as output:
        yield output


@contextlib.contextmanager
def _output(descriptor: int) -> Iterator[Output]:
    output = Output(descriptor)
    try:
        yield output
        output.finish()
    finally:
        output.close()


def _split(path: str) -> tuple[str, str]:
    try:
        possible = bool(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UsageError("no file can have such a path", where=path)
    trimmed = path.rstrip(os.sep) or path
    return os.path.dirname(trimmed) or os.curdir, os.path.basename(trimmed)


def _check_target(path: str, expected: Callable[[int], bool], kind: str, *, overwrite: bool) -> bool:
    """Whether something is there that may be replaced."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(error, "can't be written", where=path) from error
    if not overwrite:
        raise StorageError("the output exists already", where=path, hint="ask for overwrite to replace it")
    if not expected(mode):
        raise StorageError(f"the output exists and is not {kind}, so it is not replaced", where=path)
    return True


def _name_once(temporary: str, path: str) -> None:
    """Give the file its name only if nothing has that name, also if another process just took it."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(temporary, path)
        return
    os.unlink(temporary)


def _sync_tree(folder: str) -> None:
    for parent, _, _ in os.walk(folder):
        _sync_folder(parent)


def _sync_folder(folder: str) -> None:
    """Make the names in a folder durable, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that may be written but not read, and systems that can't open one
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that need no such call refuse it
            raise storage_error(error, "saved, but can't be made durable", where=folder) from error
    finally:
        os.close(descriptor)
