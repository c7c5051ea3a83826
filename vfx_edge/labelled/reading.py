"""The way in: a folder and its labels.csv -> the studies that can be used, and what is wrong."""

import ntpath
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vfx_edge.inputs.files import PathUnreadable
from vfx_edge.labelled.checking import check_dataset, same_content
from vfx_edge.labelled.dataset import Dataset, LabelledStudy, Problem, Row
from vfx_edge.labelled.errors import (
    CtOfTwoPatients,
    NoDataset,
    NoUsableRow,
    NoUsableStudy,
    StudyOfTwoPaths,
    left_out,
)
from vfx_edge.labelled.folders import (
    Files,
    files_of,
    found,
    is_there,
    key_of,
    normal_path,
    subject_of,
)
from vfx_edge.labelled.repeats import with_repeats
from vfx_edge.labelled.rows import Read, remarks_on, rows_of
from vfx_edge.labelled.table import Table, read_table

LABELS = ("labels.csv", "labels.tsv")
_CORRECT = "correct the path"
NO_CT = "no CT of row "
"""Begins the name of what stands for a CT that is not there."""


def read_dataset(
    folder: Path,
    labels: Path | None = None,
    on_study: Callable[[int, int], None] | None = None,
    *,
    needs_ct: bool = True,
) -> Dataset:
    """The dataset in `folder`, with `labels` or the labels.csv in it, checked against its files.

    on_study: told of each study that is checked, how many are done and how many there are; in
    threads. needs_ct: whether a study whose CT is not there is left out; answers of other
    programs can be scored without. Raises InputError leaves where nothing can be used, or where
    rows contradict each other so that nothing that came of them could be trusted.
    """
    folder = Path(os.path.abspath(folder))
    files = files_of(folder)
    path = Path(labels) if labels is not None else _beside(folder)
    if path is None:
        if not files.ct:
            raise NoDataset(folder)
        dataset = check_dataset(_unlabelled(folder, files), on_study)
        if not dataset.studies:
            raise NoUsableStudy(folder, dataset.problems)
        return dataset
    table = read_table(path)
    read = rows_of(table)
    studies = _studies(folder, files, table.path, read, needs_ct)
    problems = [*_remarks(table, files, studies), *read.problems, *remarks_on(read.rows)]
    dataset = Dataset(folder, tuple(studies), tuple(problems))
    dataset = check_dataset(dataset, on_study, needs_ct)
    for mine in same_content(dataset.studies):
        if len({study.patient.casefold() for study in mine}) > 1:
            raise CtOfTwoPatients(path, [row.number for study in mine for row in study.rows])
    ordered = sorted(dataset.problems, key=lambda problem: problem.row or 0)
    if not dataset.studies:
        raise NoUsableRow(path, ordered)
    return replace(dataset, problems=tuple(ordered))


def _beside(folder: Path) -> Path | None:
    """Whatever the case of its name."""
    try:
        there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError as error:
        raise PathUnreadable(folder, error.strerror or type(error).__name__) from None
    return next((there[name] for name in LABELS if name in there), None)


def _unlabelled(folder: Path, files: Files) -> Dataset:
    studies = [
        LabelledStudy(
            name, subject_of(name), path, None, (), found(files.masks, name),
            found(files.centres, name),
        )
        for name, path in files.ct.items()
    ]  # fmt: skip
    return Dataset(folder, tuple(sorted(studies, key=lambda study: study.name)))


def _studies(
    folder: Path, files: Files, table: Path, read: Read, needs_ct: bool
) -> list[LabelledStudy]:
    """In the order of the file. StudyOfTwoPaths, CtOfTwoPatients."""
    by_study: dict[str, list[Row]] = {}
    for row in read.rows:
        by_study.setdefault(row.study.casefold(), []).append(row)
    studies = []
    for rows in by_study.values():
        if (path := _path_of(folder, files, table, rows, read, needs_ct)) is not None:
            studies.append(_study(files, rows, path))
    studies = with_repeats(studies, read.repeats, read.problems)
    by_path: dict[Path, list[LabelledStudy]] = {}
    for study in studies:
        by_path.setdefault(study.path, []).append(study)
    for mine in by_path.values():
        if len({study.patient.casefold() for study in mine}) > 1:
            raise CtOfTwoPatients(table, [row.number for study in mine for row in study.rows])
    return studies


def _study(files: Files, rows: list[Row], path: Path) -> LabelledStudy:
    """Outlines by the study's name or, where that is another, by that of its CT."""
    first = rows[0]
    names = [first.study, *(name for name, ct in files.ct.items() if ct == path)]
    masks = [mask for name in names if (mask := found(files.masks, name))]
    centres = [place for name in names if (place := found(files.centres, name))]
    return LabelledStudy(
        first.study, first.patient, path, first.split, tuple(rows),
        masks[0] if masks else None, centres[0] if centres else None,
    )  # fmt: skip


def _path_of(
    folder: Path, files: Files, table: Path, rows: list[Row], read: Read, needs_ct: bool
) -> Path | None:
    """Where the study's CT lies, or would; None, and a problem, where it must be and is not."""
    cells = {row.number: read.paths[row.number] for row in rows if row.number in read.paths}
    paths = {normal_path(folder, cell) for cell in cells.values()}
    if len(paths) > 1:
        raise StudyOfTwoPaths(table, list(cells))
    path = paths.pop() if paths else found(files.ct, rows[0].study)
    given = next(iter(cells.values()), "")
    if not needs_ct and (path is None or not is_there(path)):
        return path or folder / f"{NO_CT}{rows[0].number}"
    if path is None:
        why = "No path is given, and no CT in the folder has the study's name: give its path"
    elif given and not _is_absolute(given) and not path.is_relative_to(normal_path(folder, "")):
        why = f"The path leads out of the dataset's folder: {_CORRECT}, or give an absolute one"
    elif not is_there(path):
        why = f"The path leads nowhere: {_CORRECT}, from the dataset's folder on"
    else:
        return _ct_in(path)
    numbers = [row.number for row in rows]
    read.problems.append(Problem(numbers[0], f"{why}; {left_out(numbers)}."))
    return None


def _is_absolute(cell: str) -> bool:
    return os.path.isabs(cell) or ntpath.isabs(cell)


def _ct_in(path: Path) -> Path:
    """The one CT in NIfTI of a folder that holds its outlines, too; else the path itself."""
    if not path.is_dir():
        return path
    inside = [p for ending in ("ct.nii.gz", "ct.nii") for p in path.glob(f"*{ending}")]
    return inside[0] if len(inside) == 1 else path


def _remarks(table: Table, files: Files, studies: list[LabelledStudy]) -> list[Problem]:
    """About the whole."""
    found_problems = []
    if table.unknown:
        columns = ", ".join(table.unknown[:20])
        what = f"Columns with names that are not known were not read: {columns}."
        found_problems.append(Problem(None, what))
    used = {key_of(study.name) for study in studies} | {str(study.path) for study in studies}
    left = [key for key, path in files.ct.items() if key not in used and str(path) not in used]
    if left and studies:
        what = f"{len(left)} CT in the folder have no row in {table.path.name}: they are not used."
        found_problems.append(Problem(None, what))
    return found_problems
