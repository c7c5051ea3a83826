"""Which studies a folder, a file or a list of paths holds.

DICOM belongs together by its StudyInstanceUID, whatever folders it lies in; a zip, a NIfTI file and
a disc's directory are a study each.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.inputs.dicomweb import Server
from vfx_edge.inputs.files import PathMissing, PathUnreadable
from vfx_edge.inputs.study_uid import study_uid
from vfx_edge.parallel import map_reading

MOST_PATHS = 1_000_000
MOST_LIST_BYTES = 2**28
_NIFTI = (".nii", ".nii.gz")
_ALONE = (*_NIFTI, ".zip")
_MASK = re.compile(r"(?:.*[_-])?(?:msk|mask|seg|labels?)\.nii(?:\.gz)?", re.IGNORECASE)
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_LISTS = (".txt", ".csv", ".lst")
_HASH = 12
_AT_ONCE = 4096
"""Headers that are looked at before their files are sorted in."""


class ListUnreadable(InputError):
    """A list of studies that is none."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} is no list of studies ({why}): write one path a line, or a CSV file with "
            "a column path."
        )


class NoStudies(InputError):
    """Nothing that could be analysed."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} holds no study, neither DICOM nor .nii.gz nor .zip: check the path."
        )


@dataclass(frozen=True)
class Study:
    """name: of its folder of results, without a patient's name. path: what is read. files: of it
    only these; none: all. uid: of what lies there only the study of this UID. server: where it
    lies. told: what the server says of it, which changes when images are added."""

    name: str
    path: Path
    files: tuple[Path, ...] = ()
    uid: str = ""
    server: Server | None = None
    told: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the result rests on."""
        return () if self.server else self.files or (self.path,)

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        if self.server is not None:
            return f"{self.server.url.rstrip('/')}/studies/{self.uid}"
        return (
            str(self.path.absolute()).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        )


@dataclass(frozen=True)
class Problem:
    """A path that is no study to do. place: "line 3", or "". lost: nothing else stands for it."""

    place: str
    path: Path
    why: str
    lost: bool = True

    def __str__(self) -> str:
        words = f"{self.place}{': ' if self.place else ''}{self.path} {self.why}"
        return "".join(c if c.isprintable() else " " for c in words)


@dataclass(frozen=True)
class Found:
    """All studies, by name, and what is wrong with the rest."""

    studies: tuple[Study, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Entry:
    """A path that was given. base: names are made of how it lies to this folder, so that all may
    be moved together."""

    path: Path
    place: str
    base: Path


def studies_of(source: Path) -> Found:
    """source: a folder, a study's file, or a list of paths (.txt, .csv). PathMissing,
    PathUnreadable, ListUnreadable, NoStudies."""
    if not os.path.exists(source):
        raise PathMissing(source)
    is_list = source.is_file() and source.suffix.lower() in _LISTS
    entries = _listed(source) if is_list else [_Entry(source, "", source.parent)]
    found: dict[str, tuple[Study, str]] = {}
    problems: list[Problem] = []
    for entry in entries:
        try:
            mine = list(_below(entry))
        except (PathMissing, PathUnreadable) as error:
            why = "does not exist" if isinstance(error, PathMissing) else "can't be read"
            problems.append(Problem(entry.place, entry.path, why))
            continue
        if not mine:
            problems.append(Problem(entry.place, entry.path, "holds no study"))
        for study in mine:
            if study.name in found:
                first = found[study.name][1] or "another path"
                why = f"is the study of {first}, which is taken"
                problems.append(Problem(entry.place, entry.path, why, lost=False))
            else:
                found[study.name] = (study, entry.place)
    if not found and not is_list:
        raise NoStudies(source)
    ordered = sorted((study for study, _ in found.values()), key=lambda one: one.name)
    return Found(tuple(ordered), tuple(problems))


def _listed(path: Path) -> list[_Entry]:
    """The paths of a list; those that are not absolute lie beside it."""
    try:
        if path.stat().st_size > MOST_LIST_BYTES:
            raise ListUnreadable(path, "it is too large")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise PathUnreadable(path, error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise ListUnreadable(path, "it is no UTF-8 text") from None
    rows = list(_csv_rows(path, text) if path.suffix.lower() == ".csv" else _text_rows(text))
    if len(rows) > MOST_PATHS:
        raise ListUnreadable(path, f"it has more than {MOST_PATHS} lines")
    if not rows:
        raise ListUnreadable(path, "no path stands in it")
    base = path.absolute().parent
    return [_Entry(base / words, f"line {number}", base) for number, words in rows]


def _text_rows(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if (words := line.strip()) and not words.startswith("#") and "\0" not in words:
            yield number, words


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, str]]:
    try:
        reader = csv.DictReader(text.splitlines())
        if "path" not in (reader.fieldnames or ()):
            raise ListUnreadable(path, "no column is called path")
        for row in reader:
            if (words := (row["path"] or "").strip()) and "\0" not in words:
                yield reader.line_num, words
    except csv.Error:
        raise ListUnreadable(path, "it is no CSV") from None


@dataclass
class _Groups:
    """The DICOM files of each study below an entry, and who lies below each folder."""

    root: Path
    files: dict[str, list[Path]] = field(default_factory=dict)
    owners: dict[Path, str | None] = field(default_factory=dict)
    """Folder -> the only study below it; None where there are several."""

    def add(self, key: str, file: Path) -> None:
        self.files.setdefault(key, []).append(file)
        self.own(key, file.parent)

    def own(self, key: str, folder: Path) -> None:
        """Up to the root, as far as it is news."""
        while True:
            known = self.owners.setdefault(folder, key)
            if known is None and self.owners.get(folder.parent, "") is None:
                return
            if known != key:
                self.owners[folder] = None
            if folder in (self.root, folder.parent):
                return
            folder = folder.parent


def _below(entry: _Entry) -> Iterator[Study]:
    path = entry.path
    if not os.path.exists(path):
        raise PathMissing(path)
    if not os.path.isdir(path):
        if path.name.lower().endswith(_ALONE) or os.path.isfile(path):
            yield Study(_study_name(study_uid(path), path, entry.base), path)
        return
    groups, alone = _grouped(path)
    for file in alone:
        yield Study(_study_name(None, file, entry.base), file)
    for key, files in groups.files.items():
        folder = Path(os.path.commonpath([file.parent for file in files]))
        whole = groups.owners.get(folder) == key
        name = _study_name(key if _UID.fullmatch(key) else None, folder, entry.base)
        yield Study(name, folder, () if whole else tuple(sorted(files)))


def _grouped(root: Path) -> tuple[_Groups, list[Path]]:
    """DICOM by study, and files that are a study each. Links to folders are not followed."""
    groups, alone = _Groups(root), []
    for some in _in_parts(_walked(root)):
        single = [file for file in some if file.name.lower().endswith(_ALONE)]
        alone += single
        for file in single:
            groups.own(str(file), file.parent)
        others = [file for file in some if not file.name.lower().endswith(_ALONE)]
        for file, uid in zip(others, map_reading(study_uid, others), strict=True):
            if uid is not None:  # without one, what lies in a folder belongs together
                groups.add(uid or str(file.parent), file)
    return groups, alone


def _walked(root: Path) -> Iterator[Path]:
    """Files that may be of a study. PathUnreadable of the root."""
    try:
        os.listdir(root)
    except OSError as error:
        raise PathUnreadable(root, error.strerror or type(error).__name__) from None
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and not _MASK.fullmatch(name) and path.is_file():
                yield path


def _in_parts(files: Iterable[Path]) -> Iterator[list[Path]]:
    part: list[Path] = []
    for file in files:
        part.append(file)
        if len(part) == _AT_ONCE:
            yield part
            part = []
    yield part


def _study_name(uid: str | None, path: Path, base: Path) -> str:
    """The study's UID, or a digest of where it lies: paths may name a patient."""
    if uid and _UID.fullmatch(uid) and len(uid) <= 64:
        return uid
    place = os.path.relpath(os.path.realpath(path), os.path.realpath(base))
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()
    return f"scan-{digest[:_HASH]}"
