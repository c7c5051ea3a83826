"""Which studies a folder, a file or a list of paths holds.

DICOM belongs together by its StudyInstanceUID, whatever folders it lies in; a NIfTI file is one, a
zip and a disc's directory are as many as they hold.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from vfx_edge.batch.index import Index
from vfx_edge.batch.lists import LISTS, Entry, read_list
from vfx_edge.batch.looking import files_in, look, uids_in
from vfx_edge.errors import InputError
from vfx_edge.inputs.dicomweb_server import Server
from vfx_edge.inputs.disc import is_directory, named_files
from vfx_edge.inputs.files import NotAFileOrFolder, PathMissing, PathUnreadable
from vfx_edge.inputs.study_uid import is_uid, study_uid

_HASH = 12
NO_STUDY = "holds no study"
_UNFIT: dict[type[InputError], str] = {
    NotAFileOrFolder: "is neither a file nor a folder",
    PathMissing: "does not exist",
    PathUnreadable: "can't be read",
}
StudyName = Annotated[str, Meta(pattern=rf"^(?:[0-9]+(?:\.[0-9]+)+|scan-[0-9a-f]{{{_HASH}}})\Z")]
"""What folders of results are called: it can lead nowhere else, and names nobody."""


class NoStudies(InputError):
    """Nothing that could be analysed."""

    def __init__(self, path: Path, why: str = "neither DICOM nor .nii.gz nor .zip") -> None:
        super().__init__(f"{path} holds no study, {why}: check the path.")


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
    def remote_facts(self) -> tuple[str, ...]:
        """What else the result rests on, where a server has the files."""
        return (self.uid, *self.told) if self.server else ()

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
    """All studies, by name, and what is wrong with the rest: first what is lost."""

    studies: tuple[Study, ...]
    problems: tuple[Problem, ...] = ()


def studies_of(
    source: Path, out: Path | None = None, on_files: Callable[[int], None] = lambda _: None
) -> Found:
    """source: a folder, a study's file, or a list of paths. out: the batch's folder, which is no
    source, and which keeps what was read of headers. on_files: as of `Index`. PathMissing,
    PathUnreadable, ListUnreadable, NoStudies, OutputError."""
    if not os.path.exists(source):
        raise PathMissing(source)
    is_list = source.is_file() and source.suffix.lower() in LISTS
    entries = read_list(source) if is_list else [Entry(source, "", source.parent)]
    once: dict[Path, Entry] = {}
    for entry in entries:
        once.setdefault(entry.path, entry)
    index, gathered = Index(out, on_files), _Gathered()
    for entry in once.values():
        _gather(entry, index, gathered)
    index.close()
    if more := len(entries) - len(once):  # a labels.csv has a line for each vertebra
        why = f"names paths more than once, lines left out: {more}"
        gathered.problems.append(Problem("", source, why, lost=False))
    if not gathered.studies and not is_list:
        raise gathered.nothing(source)
    ordered = sorted((study for study, _ in gathered.studies.values()), key=lambda one: one.name)
    return Found(tuple(ordered), tuple(sorted(gathered.problems, key=lambda one: not one.lost)))


@dataclass
class _Gathered:
    """Studies by name, each with the place of its entry, and what is wrong with the rest."""

    studies: dict[str, tuple[Study, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: dict[tuple[int, int], str] = field(default_factory=dict)
    """Files that are a study each, by what they are to the system, whatever they are called."""

    def add(self, entry: Entry, study: Study) -> None:
        """Or a problem, where it is there already."""
        name = self._same(study)
        if name not in self.studies:
            self.studies[name] = (study, entry.place)
            return
        first = self.studies[name][1] or "another path"
        why = f"is the study of {first}, which is taken"
        self.problems.append(Problem(entry.place, study.path, why, lost=False))

    def nothing(self, source: Path) -> InputError:
        """Why there is no study."""
        for problem in self.problems:
            if problem.why != NO_STUDY:
                return NoStudies(source, f"and {problem.path} {problem.why}")
        return NoStudies(source)

    def _same(self, study: Study) -> str:
        """The name under which these very bytes are known."""
        if study.files or study.uid or study.path.is_dir():
            return study.name
        try:
            state = os.stat(study.path)
        except OSError:
            return study.name
        return self.files.setdefault((state.st_dev, state.st_ino), study.name)


def _gather(entry: Entry, index: Index, gathered: _Gathered) -> None:
    """The studies of one entry. OutputError."""
    before = len(gathered.studies) + len(gathered.problems)
    try:
        if not os.path.exists(entry.path):
            raise PathMissing(entry.path)
        if not (is_folder := entry.path.is_dir()) and not entry.path.is_file():
            raise NotAFileOrFolder(entry.path)  # a pipe would be waited for without an end
        studies = _below(entry, index, gathered) if is_folder else _of_file(entry, index)
        for study in studies:
            gathered.add(entry, study)
    except (NotAFileOrFolder, PathMissing, PathUnreadable) as error:
        gathered.problems.append(Problem(entry.place, entry.path, _UNFIT[type(error)]))
        return
    if len(gathered.studies) + len(gathered.problems) == before:
        gathered.problems.append(Problem(entry.place, entry.path, NO_STUDY))


def _below(entry: Entry, index: Index, gathered: _Gathered) -> Iterator[Study]:
    """Those in a folder. PathUnreadable, OutputError."""
    below = look(entry.path.absolute(), index)
    for file, uids in below.alone:
        yield from _alone(entry, file, uids)
    whole: set[str] = set()
    for key, parts in below.files.items():
        folder = os.path.commonpath([place for place, _ in parts])
        files: list[Path] = []
        if below.is_whole(folder, key):
            whole.add(folder)
        else:
            files = [file for place, names in parts for file in files_in(place, names)]
        name = _study_name(key if is_uid(key) else None, Path(folder), entry.base)
        yield Study(name, Path(folder), tuple(sorted(files)))
    for place, why in below.unreadable:
        if whole.isdisjoint(map(str, (place, *place.parents))):  # else its run says so
            gathered.problems.append(Problem(entry.place, place, why))
    for place in below.results:
        why = "holds results of a batch, which are no input"
        gathered.problems.append(Problem(entry.place, place, why, lost=False))


def _of_file(entry: Entry, index: Index) -> Iterator[Study]:
    """Those of a file that was named. OutputError."""
    path = entry.path
    if path.name.lower().endswith(".zip"):
        state = os.stat(path)
        file = (path.name, state.st_size, state.st_mtime_ns)
        yield from _alone(entry, path, uids_in(path, file, index))
        return
    groups = _of_directory(path)
    if len(groups) > 1:
        for uid, files in groups.items():
            yield Study(_study_name(uid, path, entry.base), path.parent, tuple(sorted(files)))
        return
    yield Study(_study_name(next(iter(groups), study_uid(path)), path, entry.base), path)


def _of_directory(path: Path) -> dict[str, list[Path]]:
    """The files of each study that a disc's directory names; none of other files."""
    groups: dict[str, list[Path]] = {}
    with suppress(InputError, OSError):
        if is_directory(path):
            for file in named_files(path)[0]:
                if uid := study_uid(file):
                    groups.setdefault(uid, []).append(file)
    return groups


def _alone(entry: Entry, file: Path, uids: tuple[str, ...]) -> Iterator[Study]:
    """A file that is a study; an archive of several is each of them."""
    if len(uids) > 1:
        for uid in uids:
            yield Study(uid, file, uid=uid)
    else:
        yield Study(_study_name(next(iter(uids), None), file, entry.base), file)


def _study_name(uid: str | None, path: Path, base: Path) -> str:
    """The study's UID, or a digest of where it lies: paths may name a patient."""
    if uid and is_uid(uid):
        return uid
    place = os.path.relpath(os.path.realpath(path), os.path.realpath(base))
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()
    return f"scan-{digest[:_HASH]}"
