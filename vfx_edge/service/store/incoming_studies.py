"""The studies that are being received: one half of the spool. Each file in it is complete and on
the disk."""

import os
import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vfx_edge.files import OutputDiskFull, as_output_error
from vfx_edge.service.store import durable_files
from vfx_edge.service.store.identifiers import uid_to_name

OPTION = "--spool"
"""The option that names another folder, for messages."""
URGENT, CUT = ".urgent", ".cut"
"""Suffixes of marks of a study: it goes first; its last sender was cut off."""


@dataclass(frozen=True)
class IncomingStudy:
    """A study whose instances are still being received. Times are seconds since 1970."""

    key: str
    instances: int
    last_at_s: float
    cut_off: bool = False
    """The association of its last sender was cut off: more is to come."""


class IncomingStudies:
    """The folders `incoming` and `part` below `root`. Methods may be called from any thread."""

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        self.root = root
        self.min_free_bytes = min_free_bytes
        self._lock = threading.RLock()
        with as_output_error(root, OPTION):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("incoming", "part"):
                (root / name).mkdir(exist_ok=True)

    def store(self, study_uid: str, instance_uid: str, write: Callable[[BinaryIO], object]) -> Path:
        """Store an instance: complete and on the disk when this returns. `write` gets a stream.

        The same instance again replaces the first. OutputDiskFull, OutputError.
        """
        folder = self.root / "incoming" / uid_to_name(study_uid)
        part = self._new_part()
        self.check_room()
        try:
            with as_output_error(self.root, OPTION):
                with part.open("xb") as stream:
                    write(stream)
                    stream.flush()
                    os.fsync(stream.fileno())
                with self._lock:  # the study may be completed just now: then it begins anew
                    if not folder.is_dir():
                        folder.mkdir()
                        durable_files.sync(folder.parent)
                    path = folder / f"{uid_to_name(instance_uid)}.dcm"
                    os.replace(part, path)
                with suppress(FileNotFoundError):  # just completed, which flushed it
                    durable_files.sync(folder)
        finally:
            part.unlink(missing_ok=True)
        return path

    def has_room(self, needed_bytes: int = 0) -> bool:
        """Whether `min_free_bytes` are free beside `needed_bytes`."""
        return shutil.disk_usage(self.root).free >= self.min_free_bytes + needed_bytes

    def check_room(self, needed_bytes: int = 0) -> None:
        """OutputDiskFull where `has_room` is false."""
        if not self.has_room(needed_bytes):
            raise OutputDiskFull(self.root, OPTION)

    def mark_urgent(self, study_uid: str) -> None:
        """The study, which is being received, goes first."""
        self._mark(uid_to_name(study_uid), URGENT, wanted=True)

    def mark_cut_off(self, key: str, *, cut_off: bool) -> None:
        """Whether the last sender of this study was cut off before the end. Set before the first
        image, it also holds where this process is killed."""
        self._mark(key, CUT, wanted=cut_off)

    def _mark(self, key: str, kind: str, *, wanted: bool) -> None:
        with self._lock:
            mark = self.root / "part" / f"{key}{kind}"
            if wanted:
                mark.touch()
            else:
                mark.unlink(missing_ok=True)

    def incoming(self) -> list[IncomingStudy]:
        """The studies that are not complete yet, ordered by key."""
        with self._lock:
            return [
                IncomingStudy(
                    *(folder.name, count, folder.stat().st_mtime),
                    cut_off=(self.root / "part" / f"{folder.name}{CUT}").exists(),
                )
                for folder in sorted((self.root / "incoming").iterdir())
                if (count := len(os.listdir(folder)))
            ]

    def _new_part(self) -> Path:
        """A new path for something half-written."""
        return self.root / "part" / secrets.token_hex(8)
