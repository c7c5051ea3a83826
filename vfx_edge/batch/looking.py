"""What lies below a folder: DICOM by study, and files that are a study each.

Held in memory is what is known of each folder, not of each file: archives have millions.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vfx_edge.batch.index import File, Index, Seen, listing_of
from vfx_edge.inputs.files import PathUnreadable
from vfx_edge.inputs.study_uid import UNREADABLE, studies_in, study_key
from vfx_edge.parallel import map_reading

NIFTI = (".nii", ".nii.gz")
ALONE = (*NIFTI, ".zip")
_MASK = re.compile(r"(?:.*[_-])?(?:msk|mask|seg|labels?)\.nii(?:\.gz)?", re.IGNORECASE)
_AT_ONCE = 4096
"""Headers that are looked at before their files are sorted in."""
_RESULTS = "batch.json"


@dataclass(frozen=True)
class _Folder:
    """place: its path. files: that may be of a study and are not `ALONE`; those that are."""

    place: str
    files: tuple[File, ...]
    alone: tuple[File, ...]


@dataclass
class Below:
    """What was found. files: study -> folders, each with the names of its files there; None: all of
    the folder. owners: folder -> the only study below it; None: there are several."""

    root: str
    files: dict[str, list[tuple[str, tuple[str, ...] | None]]] = field(default_factory=dict)
    owners: dict[str, str | None] = field(default_factory=dict)
    alone: list[tuple[Path, tuple[str, ...]]] = field(default_factory=list)
    """Files that are a study each, and the UIDs in an archive."""
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    """Folders, and what is wrong with them."""
    results: list[Path] = field(default_factory=list)
    """Folders of a batch's results, into which nobody looks."""

    def own(self, key: str, folder: str) -> None:
        """Up to the root, as far as it is news."""
        while True:
            known = self.owners.setdefault(folder, key)
            parent = os.path.dirname(folder)
            if known is None and self.owners.get(parent, "") is None:
                return
            if known != key:
                self.owners[folder] = None
            if folder in (self.root, parent):
                return
            folder = parent

    def is_whole(self, folder: str, key: str) -> bool:
        """Whether nothing but that study lies below the folder."""
        return self.owners.get(folder) == key


def look(root: Path, index: Index) -> Below:
    """PathUnreadable of the root."""
    try:
        os.listdir(root)
    except OSError as error:
        raise PathUnreadable(root, error.strerror or type(error).__name__) from None
    below = Below(str(root))
    waiting: list[_Folder] = []
    count = 0
    for folder in _walked(root, below, index.out):
        seen = index.get(folder.place, folder.files) if folder.files else None
        if seen is not None:
            _sort_in(below, folder, seen)
        elif folder.files:
            waiting.append(folder)
            count += len(folder.files)
        _add_alone(below, folder, index)
        if count >= _AT_ONCE:
            _read(below, waiting, index)
            waiting, count = [], 0
    _read(below, waiting, index)
    return below


def files_in(folder: str, names: Sequence[str] | None) -> list[Path]:
    """Those named; None: all that may be of a study of DICOM."""
    if names is None:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if _may_be(e.name) and not _is_alone(e.name)]
    return [path for name in sorted(names) if (path := Path(folder, name)).is_file()]


def _walked(root: Path, below: Below, out: Path | None) -> Iterator[_Folder]:
    """Links to folders are not followed. out: the batch's own folder."""
    mine = _identity(out)

    def refused(error: OSError) -> None:
        below.unreadable.append((Path(error.filename or root), "can't be read"))

    for place, folders, names in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (mine and _identity(place) == mine) or (_RESULTS in names and "records" in folders):
            folders[:] = []
            below.results.append(Path(place))
            below.own(f"{place}/", place)  # what is about it is no study as a whole
            continue
        files: list[File] = []
        alone: list[File] = []
        for name in sorted(filter(_may_be, names)):
            if (file := _file(place, name)) is not None:
                (alone if _is_alone(name) else files).append(file)
        yield _Folder(place, tuple(files), tuple(alone))


def _identity(folder: str | Path | None) -> tuple[int, int] | None:
    """Whatever it is called; None where there is none."""
    try:
        found = os.stat(folder) if folder is not None else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found is not None else None


def _may_be(name: str) -> bool:
    return not name.startswith(".") and not _MASK.fullmatch(name)


def _is_alone(name: str) -> bool:
    return name.lower().endswith(ALONE)


def _file(place: str, name: str) -> File | None:
    """None of what is no file, or a link to nowhere."""
    try:
        found = os.stat(os.path.join(place, name))
    except OSError:
        return None
    return (name, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _read(below: Below, folders: Sequence[_Folder], index: Index) -> None:
    """The headers of their files. OutputError where the index can't be written."""
    paths = [Path(folder.place, name) for folder in folders for name, *_ in folder.files]
    keys: list[str | None] = []
    for at in range(0, len(paths), _AT_ONCE):
        keys += map_reading(study_key, paths[at : at + _AT_ONCE])
    at = 0
    for folder in folders:
        seen = _seen(folder, keys[at : at + len(folder.files)])
        at += len(folder.files)
        index.put(folder.place, seen, len(folder.files))
        _sort_in(below, folder, seen)


def _seen(folder: _Folder, keys: Sequence[str | None]) -> Seen:
    images = [key for key in keys if key is not None and key != UNREADABLE]
    studies = tuple(dict.fromkeys(images))
    numbers = {key: number for number, key in enumerate(studies)}
    which = tuple(numbers.get(key or "", -1) if key is not None else -1 for key in keys)
    damaged = sum(key == UNREADABLE for key in keys)
    listing = listing_of(folder.files)
    return Seen(listing, studies, which if len(studies) > 1 else (), damaged)


def _sort_in(below: Below, folder: _Folder, seen: Seen) -> None:
    for number, uid in enumerate(seen.studies):
        key = uid or folder.place  # without one, what lies in a folder belongs together
        names = tuple(
            file[0] for file, its in zip(folder.files, seen.which, strict=False) if its == number
        )
        below.files.setdefault(key, []).append((folder.place, names if seen.which else None))
        below.own(key, folder.place)
    if seen.damaged:
        files = "a file" if seen.damaged == 1 else f"{seen.damaged} files"
        below.unreadable.append((Path(folder.place), f"holds {files} that can't be read"))


def _add_alone(below: Below, folder: _Folder, index: Index) -> None:
    for file in folder.alone:
        path = Path(folder.place, file[0])
        below.own(str(path), folder.place)
        below.alone.append((path, uids_in(path, file, index)))


def uids_in(path: Path, file: File, index: Index) -> tuple[str, ...]:
    """Of the studies in an archive; none of other files."""
    if not path.name.lower().endswith(".zip"):
        return ()
    seen = index.get(str(path), [file])
    if seen is None:
        seen = Seen(listing_of([file]), tuple(sorted(studies_in(path))))
        index.put(str(path), seen, 1)
    return seen.studies
