"""From a dropped item to jobs. A file is deleted only when what it holds is in the spool.

DICOM images go to their study, so that a study is one job whichever way it came. Where that can't
be, files become a job as they are, whose failure has a reason then. Whatever is no image stays.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.inputs.files import NoScratch, Source, listed, scratch
from vfx_edge.service.receive.dropped import ZIP, Found, Signature, is_litter, sorted_out
from vfx_edge.service.store import disk
from vfx_edge.service.store.arrivals import job_of_content, name_of, pseudonym
from vfx_edge.service.store.intake import Intake
from vfx_edge.service.store.spool import Spool

URGENT = ("urgent", "stat")


class DropUnreadable(InputError):
    """A study that is there in part is not analysed in part."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} of its files and folders can't be read: "
            "give the account that vfx-edge runs as permission to read them."
        )


class Taking:
    """One item, taken once, as it was when its signature was. What became of it is told by:

    left: so many of its files are no images.
    gone: those of its files that are here no more.
    undeletable: why files that are in the spool can't be deleted, if so.
    """

    def __init__(
        self, item: Path, signature: Signature, spool: Spool, intake: Intake, *, keep: bool
    ) -> None:
        self._item = item
        self._seen = {item / name: (size, time) for name, size, time in signature}
        self._spool = spool
        self._intake = intake
        self._keep = keep
        self._urgent = item.name.lower().startswith(URGENT)
        self.left = 0
        self.gone: set[Path] = set()
        self.undeletable: OSError | None = None

    def take(self) -> None:
        """All of it. DropUnreadable, NoScratch, OutputError leaves, OSError: as far as it went."""
        refused = sum(not os.access(path, os.R_OK) for path in self._seen)
        if refused:
            raise DropUnreadable(refused)
        found = sorted_out([Source(path, path.name) for path in self._seen])
        # A loose slice tells nothing of the others: the quiet time of its study decides.
        for files in self._taken(found, whole=self._item.is_dir()):
            self._clear(files)
        for archive in found.archives:
            if self._is_emptied(archive):
                self._clear([archive])
        self.left += len(found.others)
        if self._item.is_dir() and not self._keep:
            _prune(self._item)

    def _taken(self, found: Found, *, whole: bool) -> Iterator[list[Source]]:
        """The files of each job, when it is queued."""
        for uid, study in found.studies.items():
            self._store(uid, {sop: copies[0] for sop, copies in study.items()}, whole=whole)
            yield [file for copies in study.values() for file in copies]
        for uid, files in found.together.items():
            self._adopt_together(uid, files)
            yield files
        for nifti in found.niftis:
            if self._adopt(nifti.path):
                yield [nifti]

    def _store(self, uid: str, instances: dict[str, Source], *, whole: bool) -> None:
        # Before the first of them: half a study would fill the disk for nothing.
        self._spool.check_room(sum(file.path.stat().st_size for file in instances.values()))
        for instance, source in instances.items():
            with source.path.open("rb") as stream:
                self._spool.store(uid, instance, partial(shutil.copyfileobj, stream))
            if whole:  # killed or out of room half-way: no part of it passes for the study
                self._spool.mark_cut_off(name_of(uid), cut_off=True)
        if self._urgent:
            self._spool.mark_urgent(uid)
        if whole:
            self._intake.complete(name_of(uid))

    def _adopt_together(self, uid: str, files: list[Source]) -> None:
        with scratch() as folder:
            copies = folder / "study"
            copies.mkdir()
            for number, file in enumerate(files):
                shutil.copyfile(file.path, copies / f"{number:06d}.dcm")
            self._adopt(copies, pseudonym(uid) if uid else "")

    def _adopt(self, path: Path, study: str = "") -> bool:
        """A copy of a file or folder as it is; False if it has just changed."""
        job = job_of_content(path)
        if not self._is_as_seen(path):
            return False
        # Copied, not moved: moved, a failure after the rename would leave it nowhere.
        study = study or job[:10]
        received = self._spool.adopt(path, job, study=study, urgent=self._urgent)
        self._intake.queue(received)
        return True

    def _is_emptied(self, archive: Source) -> bool:
        """Take what is in a zip, one that can't be opened as it is; whether nothing is left in it
        that would be missed."""
        try:
            with listed(archive.path) as listing:
                found = sorted_out(listing.files)
                if found.images:
                    return self._is_unpacked(found)
        except NoScratch:
            raise
        except InputError:  # broken, a bomb, a secret: the job will say which
            return self._adopt(archive.path)
        if archive.name.lower().endswith(ZIP):
            return self._adopt(archive.path)
        self.left += 1  # a document: many kinds are zips
        return False

    def _is_unpacked(self, found: Found) -> bool:
        for _ in self._taken(found, whole=True):
            pass
        for inner in found.archives:
            self._adopt(inner.path)
        missed = [file for file in found.others if not is_litter(file.name)]
        self.left += len(missed)
        return not missed

    def _is_as_seen(self, path: Path) -> bool:
        if path not in self._seen:
            return True  # a copy of ours
        status = path.lstat()
        return self._seen[path] == (status.st_size, status.st_mtime_ns)

    def _clear(self, files: list[Source]) -> None:
        """Delete what is in the spool, if it still is what was put there."""
        if self._keep:
            return
        for file in files:
            with suppress(FileNotFoundError):
                if not self._is_as_seen(file.path):
                    continue
            try:
                disk.remove(file.path)
                self.gone.add(file.path)
            except OSError as error:
                self.undeletable = error


def _prune(folder: Path) -> None:
    """Folders that nothing is left in."""
    for below, *_ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(below)
