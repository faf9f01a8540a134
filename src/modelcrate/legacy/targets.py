"""What a batch looks at: the files that some paths stand for, folders walked without following a link out of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One file to look at, or (``problem``) one that can't be or must not be opened, with the reason."""

    path: str
    problem: str | None = None


def find_targets(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Target]:
    """The files behind ``paths`` in order, each folder's content sorted by name, subfolders in their place.

    A path that the caller names is followed if it is a link. Inside a folder no link to another folder is followed, and
    a link to a file only if the file lies in the same folder tree; nothing but regular files is ever opened.
    """
    for path in paths:
        text = os.fsdecode(path)
        try:
            mode = os.stat(text).st_mode
        except (OSError, ValueError) as error:
            yield Target(path=text, problem=_reason(error))
            continue
        if stat.S_ISDIR(mode):
            yield from _walk(text)
        else:
            yield Target(path=text, problem=_kind_problem(mode))


def _walk(root: str) -> Iterator[Target]:
    real_root = os.path.realpath(root)
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield Target(path=folder, problem=_reason(error))
            continue
        folders: list[str] = []
        for entry in entries:
            if entry.is_symlink():
                yield from _link(entry.path, real_root)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield _file(entry)
        pending.extend(reversed(folders))


def _file(entry: os.DirEntry[str]) -> Target:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError as error:
        return Target(path=entry.path, problem=_reason(error))
    return Target(path=entry.path, problem=_kind_problem(mode))


def _link(path: str, root: str) -> Iterator[Target]:
    """A link inside a folder: its target is looked at under this name too, unless it leads out or to a folder."""
    goal = os.path.realpath(path)
    if goal != root and not goal.startswith(root.rstrip(os.sep) + os.sep):
        yield Target(path=path, problem="a link that leads out of the folder; it was not followed")
        return
    try:
        mode = os.stat(goal).st_mode
    except OSError:
        yield Target(path=path, problem="a link that leads nowhere")
        return
    if not stat.S_ISDIR(mode):  # a folder inside the tree is walked where it really is
        yield Target(path=path, problem=_kind_problem(mode))


def _kind_problem(mode: int) -> str | None:
    return None if stat.S_ISREG(mode) else "not a regular file"


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"can't be read: {error.strerror}"
    return "can't be read: not a valid path"
