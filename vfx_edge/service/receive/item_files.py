"""The files of a dropped item: whether they still change, and what each of them is.

Nothing is changed here. Links are not followed: what they lead to was not dropped.
"""

import filecmp
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from vfx_edge.inputs.files import Source
from vfx_edge.inputs.headers import Unusable, read_headers

PARTIAL = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".download")
"""Suffixes of files that other programs are still writing."""
SYSTEM_FILES = ("thumbs.db", "desktop.ini", "autorun.inf", "dicomdir", ".ds_store")
"""What operating systems and disc writers put beside the images."""
DICOM, NIFTI, ZIP = (".dcm", ".ima"), (".nii", ".nii.gz"), ".zip"

Signature = tuple[tuple[str, int, int], ...]
"""Name below the item ("." for the item itself), size and time of each file."""


@dataclass(frozen=True)
class Snapshot:
    """A dropped item at one moment. `signature`: empty where it holds no file, or one that is still
    being written. `closed`: number of its folders that can't be listed."""

    signature: Signature
    closed: int = 0


@dataclass
class SortedFiles:
    """The files of a dropped item, by what is done with them.

    studies: StudyInstanceUID -> SOPInstanceUID -> the file, and copies of it.
    together: files that become one job together, by StudyInstanceUID: those of a study whose
    instances share a UID, and, under "", DICOM that can't be read or has no study UID.
    """

    studies: dict[str, dict[str, list[Source]]] = field(default_factory=dict)
    together: dict[str, list[Source]] = field(default_factory=dict)
    niftis: list[Source] = field(default_factory=list)
    archives: list[Source] = field(default_factory=list)
    others: list[Source] = field(default_factory=list)

    @property
    def has_images(self) -> bool:
        """Whether anything is to be analysed, even if that will fail with a reason."""
        return bool(self.studies or self.together or self.niftis or self.archives)


def snapshot_of(item: Path) -> Snapshot:
    """The item as it is now. OSError."""
    refused: list[OSError] = []
    found = []
    for path in _paths(item, refused):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return Snapshot(())
        if stat.S_ISREG(status.st_mode):
            found.append((str(path.relative_to(item)), status.st_size, status.st_mtime_ns))
    closed = sum(not isinstance(error, FileNotFoundError) for error in refused)
    if any((item / name).name.lower().endswith(PARTIAL) for name, *_ in found):
        return Snapshot((), closed)
    return Snapshot(tuple(sorted(found)), closed)


def _paths(item: Path, refused: list[OSError]) -> Iterator[Path]:
    if not item.is_dir():
        yield item
        return
    for folder, _, names in os.walk(item, onerror=refused.append):
        yield from (Path(folder, name) for name in names)


def is_system_file(name: str) -> bool:
    """Whether it is one of `SYSTEM_FILES`, or a Mac's notes on another file."""
    last = PurePath(name).name.lower()
    return last in SYSTEM_FILES or last.startswith("._")


def sort_files(sources: Sequence[Source]) -> SortedFiles:
    """What each file is, by its header, or by its name where the header does not tell."""
    found = SortedFiles()
    for source, slices in zip(sources, read_headers(sources), strict=True):
        if isinstance(slices, Unusable):
            _kind_of(found, source, damaged=slices.damaged).append(source)
        elif slices and slices[0].study_uid:
            study = found.studies.setdefault(slices[0].study_uid, {})
            study.setdefault(slices[0].sop_uid, []).append(source)
        else:
            found.together.setdefault("", []).append(source)
    for uid in [uid for uid, study in found.studies.items() if not _has_distinct_uids(study)]:
        files = [file for copies in found.studies.pop(uid).values() for file in copies]
        found.together[uid] = files
    return found


def _kind_of(found: SortedFiles, source: Source, *, damaged: bool) -> list[Source]:
    name = PurePath(source.name).name.lower()
    if is_system_file(name):
        return found.others
    if damaged or name.endswith(DICOM):
        return found.together.setdefault("", [])
    if name.endswith(NIFTI):
        return found.niftis
    return found.archives if name.endswith(ZIP) or _is_zip(source.path) else found.others


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except (OSError, zipfile.BadZipFile):  # the latter: one of several parts
        return False


def _has_distinct_uids(study: dict[str, list[Source]]) -> bool:
    """False where a UID is missing, or the same in files that differ."""
    return "" not in study and all(map(_are_copies, study.values()))


def _are_copies(files: Iterable[Source]) -> bool:
    first, *rest = files
    return all(filecmp.cmp(first.path, file.path, shallow=False) for file in rest)
