"""Reading the folder form: the same members as files, and nothing else (FORMAT.md 4.1).

Every file is opened through the descriptor of the folder it is in, without following links and without blocking, and
is judged by its descriptor; a name that is swapped for a link after the look changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from modelcrate.errors import FormatError, LimitError, PolicyError
from modelcrate.format.names import check_member_name
from modelcrate.limits import Limits
from modelcrate.storage.regions import open_read, regular_size, storage_error


def open_members(folder: int, *, where: str, limits: Limits) -> dict[str, int]:
    """An open descriptor for each member under the open ``folder``, which stays open; the caller closes them.

    Raises FormatError for names outside the grammar and for empty folders, PolicyError for links, pipes, sockets and
    devices, LimitError for too many members, StorageError where the file system refuses.
    """
    members: dict[str, int] = {}
    pending: list[tuple[str, int]] = [("", os.dup(folder))]
    seen = 0
    try:
        while pending:
            prefix, descriptor = pending.pop()
            try:
                empty = True
                for entry in _names(descriptor, where=where):
                    empty = False
                    seen += 1
                    if seen > 2 * limits.members:
                        raise LimitError(f"more than {limits.members} members", where=where)
                    name = check_member_name(prefix + entry, where=f"{where}: {prefix}{entry}")
                    opened, is_folder = _open(entry, descriptor, where=f"{where}: {name}")
                    if is_folder:
                        pending.append((name + "/", opened))
                    else:
                        members[name] = opened
                if empty and prefix:
                    raise FormatError(f"the folder {prefix!r} is empty", where=where)
            finally:
                os.close(descriptor)
        if len(members) > limits.members:
            raise LimitError(f"more than {limits.members} members", where=where)
    except OSError as error:
        close_all(members.values())
        close_all(opened for _, opened in pending)
        raise storage_error(error, "can't be read", where=where) from error
    except BaseException:
        close_all(members.values())
        close_all(opened for _, opened in pending)
        raise
    return members


def close_all(descriptors: Iterable[int]) -> None:
    """Close every descriptor given."""
    for descriptor in descriptors:
        os.close(descriptor)


def _names(descriptor: int, *, where: str) -> Iterator[str]:
    with os.scandir(descriptor) as entries:
        for entry in entries:
            yield entry.name


def _open(name: str, folder: int, *, where: str) -> tuple[int, bool]:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise PolicyError("a symbolic link; the members of a crate are regular files", where=where)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise PolicyError("not a regular file", where=where)
    descriptor = open_read(name, follow=False, folder=folder)
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return descriptor, True
        regular_size(descriptor, where=where)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, False
