"""Where studies are received, one half of the spool: each file there is whole and on the disk."""

import os
import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vfx_edge.files import OutputDiskFull, mapped
from vfx_edge.service.store import disk
from vfx_edge.service.store.arrivals import name_of

OPTION = "--spool"
"""By which another place is named, for messages."""
URGENT, CUT = ".urgent", ".cut"
"""Marks of a study that is being received: it goes first; its last sender was cut off."""


@dataclass(frozen=True)
class Receiving:
    """A study that instances are coming in for. Times are seconds since 1970."""

    key: str
    instances: int
    last_at_s: float
    cut_off: bool = False
    """The last who brought some was cut off: there is more to come."""


class Incoming:
    """The folders `incoming` and `part` below `root`. Methods may be called from any thread."""

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        self.root = root
        self.min_free_bytes = min_free_bytes
        self._lock = threading.RLock()
        with mapped(root, OPTION):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("incoming", "part"):
                (root / name).mkdir(exist_ok=True)

    def store(self, study_uid: str, instance_uid: str, write: Callable[[BinaryIO], object]) -> Path:
        """Keep an instance: when this returns it is whole and on the disk. `write` gets a stream.

        The same instance again replaces the first. OutputError leaves: full, not writable.
        """
        folder = self.root / "incoming" / name_of(study_uid)
        part = self._part()
        self.check_room()
        try:
            with mapped(self.root, OPTION):
                with part.open("xb") as stream:
                    write(stream)
                    stream.flush()
                    os.fsync(stream.fileno())
                with self._lock:  # the study may just be completed: it then begins anew
                    if not folder.is_dir():
                        folder.mkdir()
                        disk.sync(folder.parent)
                    path = folder / f"{name_of(instance_uid)}.dcm"
                    os.replace(part, path)
                with suppress(FileNotFoundError):  # just completed, which made it safe
                    disk.sync(folder)
        finally:
            part.unlink(missing_ok=True)
        return path

    def has_room(self, needed_bytes: int = 0) -> bool:
        """Whether `min_free_bytes` are free, beside those."""
        return shutil.disk_usage(self.root).free >= self.min_free_bytes + needed_bytes

    def check_room(self, needed_bytes: int = 0) -> None:
        """OutputDiskFull while there is no room."""
        if not self.has_room(needed_bytes):
            raise OutputDiskFull(self.root, OPTION)

    def mark_urgent(self, study_uid: str) -> None:
        """Let a study that is being received go first."""
        self._mark(name_of(study_uid), URGENT, wanted=True)

    def mark_cut_off(self, key: str, *, cut_off: bool) -> None:
        """Whether the last who brought images of this study was cut off before the end; said before
        the first of them, it holds even where this process is killed."""
        self._mark(key, CUT, wanted=cut_off)

    def _mark(self, key: str, kind: str, *, wanted: bool) -> None:
        with self._lock:
            mark = self.root / "part" / f"{key}{kind}"
            if wanted:
                mark.touch()
            else:
                mark.unlink(missing_ok=True)

    def receiving(self) -> list[Receiving]:
        """The studies that are not complete yet."""
        with self._lock:
            return [
                Receiving(
                    *(folder.name, count, folder.stat().st_mtime),
                    cut_off=(self.root / "part" / f"{folder.name}{CUT}").exists(),
                )
                for folder in sorted((self.root / "incoming").iterdir())
                if (count := len(os.listdir(folder)))
            ]

    def _part(self) -> Path:
        """A new name for something half-written."""
        return self.root / "part" / secrets.token_hex(8)
