"""A drop folder: what somebody puts there is taken when nothing in it changes any more.

Polled, not notified: network drives tell of nothing. Taken are sub-folders, archives and files.
DICOM files that lie loose, and a sub-folder with several studies, are sorted into studies.
"""

import logging
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

from vfx_edge.errors import InputError, OutputError
from vfx_edge.service import disk
from vfx_edge.service.intake import Intake
from vfx_edge.service.queue import OperationalError
from vfx_edge.service.spool import Spool, job_of_content, name_of, pseudonym

log = logging.getLogger(__name__)

Signature = tuple[tuple[str, int, int], ...]
PARTIAL = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".download")
"""Suffixes under which other programs write until they are done."""
URGENT = ("urgent", "stat")
ZIP_PATIENCE = 20
"""So many quiet times is a broken archive waited for: it may still be copied, over a bad line."""


class WatchFolderUnusable(InputError):
    """The drop folder is no folder, or lies in the spool."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"{folder} can't be watched ({why}): name an existing folder of its own.")


class Watcher:
    """Looks at `folder` and hands what is complete to the spool.

    `keep`: items are copied and left where they are; else they are moved.
    """

    def __init__(
        self, folder: Path, spool: Spool, intake: Intake, quiet_s: float, *, keep: bool = False
    ) -> None:
        self._folder = folder
        self._spool = spool
        self._intake = intake
        self._quiet_s = quiet_s
        self._keep = keep
        self._seen: dict[str, tuple[Signature, float]] = {}
        self._taken: dict[str, Signature] = {}
        self._check()

    def run(self, stop: threading.Event) -> None:
        """The thread: until `stop`."""
        while not stop.is_set():
            try:
                self.look()
            except (OSError, OperationalError) as error:
                log.warning("the folder can't be looked at: %s", _why(error))
            stop.wait(min(1.0, self._quiet_s / 4))

    def look(self) -> None:
        """Take what has been quiet for long enough. OSError: the folder itself is gone."""
        now = time.monotonic()
        items = {item.name: item for item in sorted(self._folder.iterdir()) if _is_meant(item)}
        self._seen = {name: seen for name, seen in self._seen.items() if name in items}
        self._taken = {name: taken for name, taken in self._taken.items() if name in items}
        for name, item in items.items():
            signature = signature_of(item)
            seen = self._seen.get(name)
            if not signature or signature == self._taken.get(name):
                continue
            if seen is None or seen[0] != signature:
                self._seen[name] = (signature, now)
            elif now - seen[1] >= self._quiet_s and not self._half_copied(item, now - seen[1]):
                self._try(item, signature)

    def _try(self, item: Path, signature: Signature) -> None:
        try:
            self._take(item, signature)
        except (OSError, OutputError, OperationalError) as error:
            # The name may be a patient's: it is not told.
            log.warning("something in the folder can't be taken yet: %s", _why(error))

    def _take(self, item: Path, signature: Signature) -> None:
        studies = _studies(item)
        if item.is_file() and studies:
            self._store(studies)  # a loose slice: the quiet time of its study decides
        elif len(studies) > 1:
            for study in self._store(studies):
                self._intake.complete(name_of(study))
        else:
            job = job_of_content(item)
            if signature_of(item) != signature:
                return
            received = self._spool.adopt(
                item,
                job,
                study=pseudonym(next(iter(studies))) if studies else job[:10],
                move=not self._keep,
                urgent=item.name.lower().startswith(URGENT),
            )
            self._intake.queue(received)
        self._taken[item.name] = signature
        if not self._keep and item.exists():
            # Only now: it is queued. Where it can't be deleted it is not taken again and again.
            disk.remove(item)

    def _store(self, studies: dict[str, dict[str, Path]]) -> Iterable[str]:
        for study, instances in studies.items():
            for instance, path in instances.items():
                with path.open("rb") as source:
                    self._spool.store(study, instance, lambda to: shutil.copyfileobj(source, to))
        return studies

    def _half_copied(self, item: Path, quiet_s: float) -> bool:
        """An archive has its directory at its end: without it, it is not whole."""
        archive = item.suffix.lower() == ".zip" and not zipfile.is_zipfile(item)
        return archive and quiet_s < ZIP_PATIENCE * self._quiet_s

    def _check(self) -> None:
        if not self._folder.is_dir():
            raise WatchFolderUnusable(self._folder, "it is no folder")
        here, spool = self._folder.resolve(), self._spool.root.resolve()
        if here.is_relative_to(spool) or spool.is_relative_to(here):
            raise WatchFolderUnusable(self._folder, "it lies in the spool, or holds it")
        if not os.access(self._folder, os.W_OK if not self._keep else os.R_OK):
            raise WatchFolderUnusable(
                self._folder, "what is dropped can't be moved from there; --keep leaves it"
            )


def signature_of(item: Path) -> Signature:
    """What tells whether anything in it has changed; empty for nothing at all. OSError."""
    files = [item] if item.is_file() else [p for p in item.rglob("*") if p.is_file()]
    if any(file.name.lower().endswith(PARTIAL) for file in files):
        return ()  # somebody is still writing
    found = []
    for file in files:
        try:
            status = file.stat()
        except FileNotFoundError:
            return ()
        found.append((str(file.relative_to(item)), status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))


def _is_meant(item: Path) -> bool:
    hidden = item.name.startswith((".", "~"))
    return not hidden and not item.is_symlink() and not item.name.lower().endswith(PARTIAL)


def _studies(item: Path) -> dict[str, dict[str, Path]]:
    """The DICOM images in it, by StudyInstanceUID and SOPInstanceUID."""
    from vfx_edge.inputs.files import Source
    from vfx_edge.inputs.headers import Unusable, read_headers

    files = [item] if item.is_file() else sorted(p for p in item.rglob("*") if p.is_file())
    studies: dict[str, dict[str, Path]] = {}
    for file, slices in zip(files, read_headers([Source(f, f.name) for f in files]), strict=True):
        if not isinstance(slices, Unusable) and slices and slices[0].study_uid:
            studies.setdefault(slices[0].study_uid, {})[slices[0].sop_uid] = file
    return studies


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
