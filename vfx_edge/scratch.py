"""Private folders for what is not finished: none outlives the process that works in it.

Unfinished files hold a patient's images. Each lies in a folder that only this user may open, and on
which its process keeps a lock. Whoever ends, as it likes or by a signal, removes its own; a process
that is killed can't, but its lock is gone with it, and so the next run knows what to remove.
Where a file system has no locks (some network drives, Windows), nothing is swept.
"""

import atexit
import os
import re
import secrets
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

HIDDEN = ".vfx-edge-"
"""How the name of a folder begins that lies among results."""
SHOWN = "vfx-edge-"
"""The same in the folder for temporary files."""
_NAME = re.compile(r"\.?vfx-edge-[0-9a-f]{16}\.part")
_TRIES = 8
_POLL_S = 0.05

_changing = threading.RLock()
"""Held while a folder appears or a file gets its name. `remove_all` keeps it for good."""
_held: dict[Path, int | None] = {}
"""Every folder of this process, and the descriptor of its lock."""
_sets: list["_Set"] = []
_owner = os.getpid()


@dataclass(frozen=True, eq=False)
class _Set:
    """The files of a set that is not finished."""

    folder: Path
    files: list[Path]

    def unlink(self) -> None:
        for file in self.files:
            with suppress(OSError):
                file.unlink(missing_ok=True)


@contextmanager
def private_folder(parent: Path, beginning: str) -> Iterator[Path]:
    """An empty folder in `parent`, of mode 0700, that vanishes with the block. OSError where it
    can't be made. beginning: HIDDEN or SHOWN."""
    folder = _made(parent, beginning)
    try:
        yield folder
    finally:
        _remove(folder)


@contextmanager
def one_set(folder: Path) -> Iterator[None]:
    """Files that get their names below `folder` are removed again where the block fails or the
    process is ended by `remove_all`: they are there as a set or not at all."""
    mine = _Set(folder, [])
    _sets.append(mine)
    try:
        yield
    except BaseException:
        mine.unlink()
        raise
    finally:
        _sets.remove(mine)


def give_name(file: Path, place: Path) -> None:
    """A finished file takes its place, whatever lies there. OSError."""
    with _changing:
        for one in _sets:
            if one.folder in place.parents:
                one.files.append(place)
        os.replace(file, place)


def sweep(parent: Path) -> bool:
    """Removes what killed processes of this user have left in `parent`; whether anything was.

    Never what a living process holds, or what is anybody else's."""
    return sum(map(_swept, _candidates(parent))) > 0


def remove_all() -> None:
    """Removes every folder of this process and the files of unfinished sets, because the process
    ends now: nothing can be made or get its name after that."""
    if os.getpid() != _owner:  # a fork has the list, but not the folders
        return
    _changing.acquire()
    for unfinished in _sets:
        unfinished.unlink()
    for folder in list(_held):
        _remove(folder)


atexit.register(remove_all)


@contextmanager
def only_one(folder: Path, patience_s: float) -> Iterator[bool]:
    """One process at a time in the block, for this folder. False where another did not leave within
    `patience_s`; True also where the file system has no locks."""
    lock, free = _locked(folder.resolve(), patience_s)
    try:
        yield free
    finally:
        if lock is not None:
            os.close(lock)


def _made(parent: Path, beginning: str) -> Path:
    for _ in range(_TRIES):
        folder = parent / f"{beginning}{secrets.token_hex(8)}.part"
        with _changing:
            _held[folder] = None  # first: there is no moment in which it is there and not known
            try:
                folder.mkdir(mode=0o700)
            except OSError:
                del _held[folder]
                raise
            lock, free = _locked(folder, 0)
            _held[folder] = lock
        if free and folder.is_dir():  # else a sweep came between making and locking
            return folder
        _remove(folder)
    raise OSError(f"no folder could be made in {parent}")


def _remove(folder: Path) -> None:
    """Whoever still writes into it writes into files that have no name."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
    lock = _held.pop(folder, None)
    if lock is not None:
        os.close(lock)


def _locked(folder: Path, patience_s: float) -> tuple[int | None, bool]:
    """The descriptor that holds the lock, None without one; and whether the folder is free."""
    if sys.platform == "win32":
        return None, True
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None, True
    waited = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - waited >= patience_s:
                os.close(lock)
                return None, False
            time.sleep(_POLL_S)
        except OSError:  # no locks here
            os.close(lock)
            return None, True
        else:
            return lock, True


def _candidates(parent: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(parent) if _NAME.fullmatch(name)]
    except OSError:
        return []
    return [parent / name for name in names if _ours(parent / name)]


def _ours(path: Path) -> bool:
    """A folder, no link to one, of this user and closed to others."""
    if sys.platform == "win32":
        return False
    try:
        found = path.lstat()
    except OSError:
        return False
    closed = not found.st_mode & 0o077
    return stat.S_ISDIR(found.st_mode) and closed and found.st_uid == os.geteuid()


def _swept(path: Path) -> bool:
    lock, free = _locked(path, 0)
    if lock is None or not free:
        return False
    try:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
    return not path.exists()
