"""The kinds of output, one row each: the command line, the service, sending, the removal of an
earlier run's files and the documents read this table.

A new kind is a module with a function `write(request) -> paths` and a row in `KINDS`.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

from vfx_edge.errors import OutputError
from vfx_edge.files import as_output_error, make_folder
from vfx_edge.scratch import HIDDEN, one_set, only_one, private_folder, sweep
from vfx_edge.study import Analysis, Answer, DicomSource


class UnknownKind(OutputError):
    """There is no output of that name."""

    def __init__(self, name: str, offered: Collection[str] | None = None) -> None:
        known = ", ".join(KINDS if offered is None else offered)
        super().__init__(f"{name!r} is nothing this version writes: use any of {known}")


class ExtraMissing(OutputError):
    """A kind needs optional dependencies that are not installed."""

    def __init__(self, kind: "OutputKind", packages: Iterable[str]) -> None:
        super().__init__(
            f"The output {kind.name} needs {', '.join(packages)}, not installed here: run "
            f"pip install 'vfx-edge[{kind.extra}]', or leave it out of --outputs."
        )


class FolderBusy(OutputError):
    """Another run writes there, and doesn't end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Another run is writing to {folder}: wait for it or end it, or choose another folder "
            "with --out."
        )


PATIENCE_S = 300.0
"""How long a run waits for another one that writes to the same folder."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a writer gets. answer: of the task, an `Analysis` for triage of fractures. source: the
    headers of a DICOM study, where a kind needs them. previous_report: the sr.dcm that the new one
    takes the place of. written: the files of the kinds that were written before."""

    answer: Answer
    folder: Path
    language: str = "en"
    source: DicomSource | None = None
    previous_report: Path | None = None
    written: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def analysis(self) -> Analysis:
        """`answer`, for a kind that needs a triage of fractures."""
        assert isinstance(self.answer, Analysis), "its task would not list such a kind"
        return self.answer

    @property
    def headers(self) -> DicomSource:
        """`source`, for a kind that needs it."""
        assert self.source is not None, "such a kind is refused for what is no DICOM"
        return self.source


@dataclass(frozen=True)
class OutputKind:
    """A row of the table.

    name: as in `--outputs`. what: for --help and the documents. files: patterns of `Path.glob` in
    the output folder; one with {series} differs from series to series, and is neither removed nor
    sent. writer: "module:function", loaded when it is needed. extra: the optional dependencies it
    needs, packages: which of them. needs_source: it repeats the headers of a DICOM study, and can
    be sent to an archive. default: written where nothing else is asked for. answer: name of the
    type that it writes, as in `tasks.TASKS`; None: any.
    """

    name: str
    what: str
    files: tuple[str, ...]
    writer: str
    extra: str | None = None
    packages: tuple[str, ...] = ()
    needs_source: bool = False
    default: bool = False
    answer: str | None = "Analysis"

    def write(self, request: Request) -> tuple[Path, ...]:
        """Writes the files and returns their paths. OutputError leaves."""
        function: Callable[[Request], Iterable[Path]] = resolve_name(self.writer)
        return tuple(function(request))

    def files_in(self, folder: Path) -> list[Path]:
        """Those that lie in the folder, sorted."""
        patterns = [name for name in self.files if "{series}" not in name]
        return sorted(path for pattern in patterns for path in folder.glob(pattern))


_DICOM = "vfx_edge.outputs.dicom"
_ROWS = (
    OutputKind(
        name="json",
        what="the result for programs, always written",
        files=("result.json",),
        writer="vfx_edge.outputs.result_json:write",
        default=True,
        answer=None,
    ),
    OutputKind(
        name="html",
        what="the report for people: one self-contained page",
        files=("report.html",),
        writer="vfx_edge.outputs.report.page:write",
        default=True,
    ),
    OutputKind(
        name="sr",
        what="a DICOM structured report and, where a fracture is suspected, key images",
        files=("sr.dcm", "kos.dcm"),
        writer=f"{_DICOM}.sr:write",
        extra="service",
        packages=("highdicom",),
        needs_source=True,
    ),
    OutputKind(
        name="seg",
        what="a DICOM segmentation: the vertebrae on the source's own slices",
        files=("seg.dcm",),
        writer=f"{_DICOM}.seg:write",
        extra="service",
        packages=("highdicom",),
        needs_source=True,
    ),
    OutputKind(
        name="sc",
        what="DICOM secondary captures: the report's pictures for any viewer",
        files=(
            "sc/[0-9][0-9]-overview.dcm",
            "sc/[0-9][0-9]-[CTL][0-9].dcm",
            "sc/[0-9][0-9]-[CTL][0-9][0-9].dcm",
        ),
        writer=f"{_DICOM}.sc:write",
        extra="service",
        packages=("highdicom", "resvg_py"),
        needs_source=True,
    ),
    OutputKind(
        name="nifti",
        what="the CT, the vertebra masks in VerSe labels and the centroids",
        files=(
            "{series}_ct.nii.gz",
            "{series}_seg-vert_msk.nii.gz",
            "{series}_seg-vert_ctd.json",
            "{series}_explain-[CTL]*.nii.gz",
        ),
        writer="vfx_edge.outputs.nifti:write",
    ),
    OutputKind(
        name="radiomics",
        what="radiomics of each vertebral body, as a table with its settings beside it",
        files=("features.csv", "features.json"),
        writer="vfx_edge.outputs.features:write",
        extra="radiomics",
        packages=("mirp",),
    ),
)
KINDS: dict[str, OutputKind] = {row.name: row for row in _ROWS}
"""In the order in which they are named. They are written from the last to the first: the report
refers to the segmentation, and result.json, the first, comes when all others are there."""
RESULT = "json"


def chosen(names: Iterable[str], offered: Collection[str] | None = None) -> tuple[str, ...]:
    """The kinds of these names, always with json, in the table's order. UnknownKind.

    offered: what there is to choose from; None: every kind.
    """
    asked = {*names, RESULT}
    for name in sorted(asked - {*(KINDS if offered is None else offered), RESULT}):
        raise UnknownKind(name, offered)
    return tuple(name for name in KINDS if name in asked)


def defaults(offered: Collection[str] | None = None) -> tuple[str, ...]:
    """The kinds of those offered (None: of all) that are written where none is asked for."""
    names = KINDS if offered is None else offered
    return tuple(name for name in names if KINDS[name].default)


def dicom_kinds() -> tuple[str, ...]:
    """The kinds that belong to a DICOM study and can be sent to an archive."""
    return tuple(kind.name for kind in KINDS.values() if kind.needs_source)


def kind_of(path: Path) -> str:
    """The kind that writes a file or folder of this name; the name itself where none does."""
    for kind in KINDS.values():
        if path.name in {Path(file).parts[0] for file in kind.files}:
            return kind.name
    return path.stem


def check_installed(names: Collection[str]) -> None:
    """UnknownKind; ExtraMissing where a kind needs packages that are not installed."""
    for kind in (KINDS[name] for name in chosen(names)):
        missing = [package for package in kind.packages if find_spec(package) is None]
        if missing:
            raise ExtraMissing(kind, missing)


def write_all(request: Request, names: Collection[str]) -> Request:
    """Writes every kind but result.json, and returns the request with what was written.

    OutputError where one can't be written.
    """
    for name in reversed(chosen(names)):
        if name != RESULT:
            paths = KINDS[name].write(request)
            request = replace(request, written={**request.written, name: paths})
    return request


def dicom_files(folder: Path, names: Collection[str] = ()) -> list[Path]:
    """The DICOM files of these kinds (none named: all) in a folder of results."""
    wanted = [KINDS[name] for name in names or dicom_kinds() if KINDS[name].needs_source]
    return sorted(path for kind in wanted for path in kind.files_in(folder))


@contextmanager
def result_set(folder: Path) -> Iterator[None]:
    """The folder, made if absent, for the results of one run: an earlier run's are removed, another
    run waits until this one is done, and where the block fails nothing of it stays. OutputError."""
    make_folder(folder)
    with only_one(folder, PATIENCE_S) as free:
        if not free:
            raise FolderBusy(folder)
        remove_former(folder)
        # The private folder stays where a run is killed: what lies beside it is not whole.
        with as_output_error(folder), private_folder(folder, HIDDEN), one_set(folder):
            yield


def remove_former(folder: Path) -> None:
    """Removes an earlier run's results, which may be another patient's, and what a killed run left
    of its own; result.json first: where it lies, all beside it belongs to it. A folder without one
    of ours is left as it is. OutputError where it can't be done."""
    rooms = {folder / Path(file).parent for kind in KINDS.values() for file in kind.files}
    killed = sum(map(sweep, rooms)) > 0
    if not killed and not _is_ours(folder / "result.json"):
        return
    with as_output_error(folder):
        for kind in KINDS.values():
            for path in kind.files_in(folder):
                path.unlink(missing_ok=True)


def _is_ours(marker: Path) -> bool:
    try:
        found = json.loads(marker.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("schema", "")).startswith("vfx-edge/result/")
