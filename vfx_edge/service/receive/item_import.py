"""From a dropped item to jobs. A file is deleted only when its content is in the spool.

DICOM images go to their study, so that a study is one job whichever way it came. Where that is not
possible, files become a job as they are, which fails with a reason. What is no image stays.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.inputs.files import NoScratch, Source, listed, scratch
from vfx_edge.service.receive.item_files import (
    ZIP,
    Signature,
    SortedFiles,
    is_system_file,
    sort_files,
)
from vfx_edge.service.store import durable_files
from vfx_edge.service.store.completion import Completion
from vfx_edge.service.store.identifiers import job_id_of_files, pseudonym, uid_to_name
from vfx_edge.service.store.spool import Spool

URGENT = ("urgent", "stat")


class ItemUnreadable(InputError):
    """Some files can't be read, and a part of a study is not analysed."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} of its files and folders can't be read: "
            "give the account that vfx-edge runs as permission to read them."
        )


class ItemImport:
    """Imports one item, once, as it was at its signature. Afterwards:

    others: number of its files that are no images, and stay.
    deleted: its files that were deleted.
    delete_error: why imported files could not be deleted, if so.
    """

    def __init__(
        self, item: Path, signature: Signature, spool: Spool, completion: Completion, *, keep: bool
    ) -> None:
        self._item = item
        self._files = {item / name: (size, time) for name, size, time in signature}
        self._spool = spool
        self._completion = completion
        self._keep = keep
        self._urgent = item.name.lower().startswith(URGENT)
        self.others = 0
        self.deleted: set[Path] = set()
        self.delete_error: OSError | None = None

    def run(self) -> None:
        """Import all of it. ItemUnreadable, NoScratch, OutputError, OSError, maybe half-way."""
        refused = sum(not os.access(path, os.R_OK) for path in self._files)
        if refused:
            raise ItemUnreadable(refused)
        files = sort_files([Source(path, path.name) for path in self._files])
        # A single slice does not name the others: the quiet time completes its study.
        for imported in self._import(files, whole=self._item.is_dir()):
            self._delete(imported)
        for archive in files.archives:
            if self._import_archive(archive):
                self._delete([archive])
        self.others += len(files.others)
        if self._item.is_dir() and not self._keep:
            _remove_empty_folders(self._item)

    def _import(self, found: SortedFiles, *, whole: bool) -> Iterator[list[Source]]:
        """Yields the files of each job when it is queued."""
        for uid, study in found.studies.items():
            self._store(uid, {sop: copies[0] for sop, copies in study.items()}, whole=whole)
            yield [file for copies in study.values() for file in copies]
        for uid, files in found.together.items():
            self._add_together(uid, files)
            yield files
        for nifti in found.niftis:
            if self._add(nifti.path):
                yield [nifti]

    def _store(self, uid: str, instances: dict[str, Source], *, whole: bool) -> None:
        # Before the first image: half a study would fill the disk for nothing.
        self._spool.check_room(sum(file.path.stat().st_size for file in instances.values()))
        for instance, source in instances.items():
            with source.path.open("rb") as stream:
                self._spool.store(uid, instance, partial(shutil.copyfileobj, stream))
            if whole:  # killed or out of room half-way, the rest is waited for
                self._spool.mark_cut_off(uid_to_name(uid), cut_off=True)
        if self._urgent:
            self._spool.mark_urgent(uid)
        if whole:
            self._completion.complete(uid_to_name(uid))

    def _add_together(self, uid: str, files: list[Source]) -> None:
        with scratch() as folder:
            copies = folder / "study"
            copies.mkdir()
            for number, file in enumerate(files):
                shutil.copyfile(file.path, copies / f"{number:06d}.dcm")
            self._add(copies, pseudonym(uid) if uid else "")

    def _add(self, path: Path, study: str = "") -> bool:
        """Make a job of a file or folder as it is; False if it has just changed."""
        job = job_id_of_files(path)
        if not self._is_unchanged(path):
            return False
        # Copied, not moved: after a failed move it might be nowhere.
        study = study or job[:10]
        received = self._spool.add_item(path, job, study=study, urgent=self._urgent)
        self._completion.queue(received)
        return True

    def _import_archive(self, archive: Source) -> bool:
        """Import the images of a zip, or the zip itself where it can't be opened; whether nothing
        else is in it, so that it can be deleted."""
        try:
            with listed(archive.path) as listing:
                found = sort_files(listing.files)
                if found.has_images:
                    return self._import_unpacked(found)
        except NoScratch:
            raise
        except InputError:  # broken, too large, encrypted: the job will say which
            return self._add(archive.path)
        if archive.name.lower().endswith(ZIP):
            return self._add(archive.path)
        self.others += 1  # a document: many formats are zips
        return False

    def _import_unpacked(self, found: SortedFiles) -> bool:
        for _ in self._import(found, whole=True):
            pass
        for inner in found.archives:
            self._add(inner.path)
        others = [file for file in found.others if not is_system_file(file.name)]
        self.others += len(others)
        return not others

    def _is_unchanged(self, path: Path) -> bool:
        if path not in self._files:
            return True  # our own copy
        status = path.lstat()
        return self._files[path] == (status.st_size, status.st_mtime_ns)

    def _delete(self, files: list[Source]) -> None:
        """Delete files that are in the spool, unless they have changed since."""
        if self._keep:
            return
        for file in files:
            with suppress(FileNotFoundError):
                if not self._is_unchanged(file.path):
                    continue
            try:
                durable_files.remove(file.path)
                self.deleted.add(file.path)
            except OSError as error:
                self.delete_error = error


def _remove_empty_folders(folder: Path) -> None:
    """Delete the folder and those below that are empty."""
    for below, *_ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(below)
