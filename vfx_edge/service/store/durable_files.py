"""Copying, deleting and flushing, so that a power cut leaves either the old or the new."""

import os
import re
import shutil
from pathlib import Path

_KIND = re.compile(r"(\.nii(\.gz)?|\.zip|\.dcm)$")


def holds_something(folder: Path) -> bool:
    """Whether it is a folder that is not empty."""
    return folder.is_dir() and any(folder.iterdir())


def copy(item: Path, target: Path) -> None:
    """Copy a file or folder; it is on the disk when this returns. OSError."""
    if item.is_dir():
        shutil.copytree(item, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(item, target)
    sync_all(target)


def remove(item: Path) -> None:
    """Delete a file, or a folder and everything below. OSError."""
    if item.is_dir() and not item.is_symlink():
        shutil.rmtree(item)
    else:
        item.unlink(missing_ok=True)


def sync_all(path: Path) -> None:
    """Flush a file, or a folder and everything below, to the disk. OSError."""
    if path.is_dir():
        for below in path.iterdir():
            sync_all(below)
        sync(path)
    else:
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def sync(folder: Path) -> None:
    """Flush the names in a folder to the disk. OSError."""
    if os.name == "nt":  # folders can't be opened there; renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain_name(item: Path) -> str:
    """A name with the suffix by which its kind is recognised, and no patient's name."""
    kind = _KIND.search(item.name.lower())
    return "study" + (kind.group() if kind and item.is_file() else "")
