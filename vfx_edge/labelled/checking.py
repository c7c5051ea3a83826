"""Studies against their files, before anything runs: is there a CT, do outlines lie on it, do they
hold the levels that the rows name. Headers, and of outlines their values; many at once."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from vfx_edge.errors import InputError
from vfx_edge.inputs.bounded import is_dicom
from vfx_edge.inputs.build import MAX_VOXELS
from vfx_edge.inputs.disc import is_directory
from vfx_edge.inputs.nifti_file import is_nifti, read_nifti
from vfx_edge.inputs.segmentation import FINER_VOXELS, HIGHEST_VERSE_LABEL, SMALL_VOXELS
from vfx_edge.inputs.voxel_file import VoxelFile
from vfx_edge.labelled.dataset import Dataset, LabelledStudy, Problem, Row
from vfx_edge.labelled.errors import left_out
from vfx_edge.parallel import map_reading
from vfx_edge.vocabulary import Level

SAME_PLACE_MM = 1.0
"""Corners of one grid, as two programs write them."""
_NONE = "What the path leads to is no CT: give a NIfTI file or DICOM"
MOST_LOOKED_AT = 200
"""Files of a folder in which a DICOM one is looked for."""


def same_content(studies: Iterable[LabelledStudy]) -> list[tuple[LabelledStudy, ...]]:
    """Studies whose CT are files of the same bytes; of folders nothing is told."""
    by_size: dict[int, list[LabelledStudy]] = {}
    for study in studies:
        if study.path.is_file():
            by_size.setdefault(study.path.stat().st_size, []).append(study)
    suspects = [study for mine in by_size.values() if len(mine) > 1 for study in mine]
    by_content: dict[bytes, list[LabelledStudy]] = {}
    for study, digest in zip(suspects, map_reading(_digest, suspects), strict=True):
        by_content.setdefault(digest, []).append(study)
    return [tuple(mine) for mine in by_content.values() if len(mine) > 1]


def _digest(study: LabelledStudy) -> bytes:
    with study.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@dataclass(frozen=True)
class _Checked:
    """study: None where it can't be used."""

    study: LabelledStudy | None
    problems: tuple[Problem, ...] = ()


def check_dataset(
    dataset: Dataset,
    on_study: Callable[[int, int], None] | None = None,
    needs_ct: bool = True,
) -> Dataset:
    """What of it can be used; the rest as problems. on_study, needs_ct: as of `read_dataset`."""
    done = count(1)

    def one(study: LabelledStudy) -> _Checked:
        checked = _checked(study, needs_ct)
        if on_study is not None:
            on_study(next(done), len(dataset.studies))
        return checked

    outcomes = map_reading(one, dataset.studies)
    studies = tuple(outcome.study for outcome in outcomes if outcome.study is not None)
    told = tuple(
        _numbered(problem, place)
        for place, outcome in enumerate(outcomes, 1)
        for problem in outcome.problems
    )
    return replace(dataset, studies=studies, problems=(*dataset.problems, *told))


def _checked(study: LabelledStudy, needs_ct: bool) -> _Checked:
    try:
        ct = _ct_header(study.path) if needs_ct or os.path.exists(study.path) else None
    except _NoCt as error:
        return _Checked(None, (_of(study, f"{error}; {_left_out(study.rows)}."),))
    if study.mask is None:
        return _Checked(study)
    try:
        most = max(SMALL_VOXELS, FINER_VOXELS * math.prod(ct.shape)) if ct else MAX_VOXELS
        return _against_mask(study, ct, read_nifti(study.mask, most))
    except InputError as error:
        why = str(error).replace(study.mask.name, "Its mask").rstrip(".")
        words = f"{why}; the study is used without its mask."
        return _Checked(replace(study, mask=None), (_of(study, words),))


class _NoCt(Exception):
    """What the path leads to is no CT."""


def _ct_header(path: Path) -> VoxelFile | None:
    """Of a NIfTI file; None for DICOM, of which only that it is there is looked at. _NoCt."""
    try:
        if path.is_dir():
            if not _holds_dicom(path):
                raise _NoCt("There is no DICOM file in the folder: correct the path")
            return None
        if not path.is_file():  # nobody may ever write into a pipe
            raise _NoCt(_NONE)
        if is_nifti(path):
            return read_nifti(path, MAX_VOXELS)
        if not (is_dicom(path) or _is_zip(path) or is_directory(path)):
            raise _NoCt(_NONE)
        return None
    except InputError as error:
        raise _NoCt(str(error).replace(path.name, "Its CT").rstrip(".")) from None
    except OSError:
        raise _NoCt("The CT can't be opened: check the permissions") from None


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _holds_dicom(folder: Path) -> bool:
    """Of many files of other kinds nobody can tell: reading them will."""
    seen = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            seen += 1
            if seen > MOST_LOOKED_AT or (file.is_file() and is_dicom(file)):
                return True
    return False


def _against_mask(study: LabelledStudy, ct: VoxelFile | None, mask: VoxelFile) -> _Checked:
    """Raises InputError."""
    problems: list[Problem] = []
    if ct is not None and not _overlap(ct, mask):
        words = (
            "The mask lies beside the CT: the study is used without it; give the one drawn on it."
        )
        return _Checked(replace(study, mask=None), (_of(study, words),))
    if ct is not None and not _same_grid(ct, mask):
        words = (
            "The mask has another grid than its CT: each voxel of the CT takes the nearest one's."
        )
        problems.append(_of(study, words))
    levels = _levels_in(mask)
    if levels is None:
        if not mask.extension:
            words = (
                f"The mask holds other numbers than VerSe's labels (up to {HIGHEST_VERSE_LABEL}): "
                "the study is used without it; write C1..C7 as 1..7, T1..T12 as 8..19, "
                "L1..L5 as 20..24."
            )
            return _Checked(replace(study, mask=None), (*problems, _of(study, words)))
        return _Checked(study, tuple(problems))  # its segments have names: they are read later
    lacking = [row for row in study.rows if row.level not in levels]
    problems += [
        Problem(
            row.number,
            f"The mask holds no {row.level}: the row was left out; check the level and the mask.",
        )
        for row in lacking
    ]
    if lacking and len(lacking) == len(study.rows):
        return _Checked(None, tuple(problems))
    kept = tuple(row for row in study.rows if row not in lacking)
    return _Checked(replace(study, rows=kept), tuple(problems))


def _levels_in(mask: VoxelFile) -> frozenset[Level] | None:
    """None where it holds other numbers than VerSe's. Raises InputError."""
    seen = np.zeros(HIGHEST_VERSE_LABEL + 1, bool)
    for slab in mask.slabs(max_ratio=None):
        if not 0 <= slab.min() <= slab.max() <= HIGHEST_VERSE_LABEL:  # nor where one is no number
            return None
        whole = slab.astype(np.uint8)
        if slab.dtype.kind == "f" and not np.array_equal(whole, slab):
            return None
        seen |= np.bincount(whole.ravel(), minlength=len(seen)) > 0
    verse = {level.verse: level for level in Level}
    return frozenset(verse[int(n)] for n in np.flatnonzero(seen) if int(n) in verse)


def _corners(file: VoxelFile) -> np.ndarray:
    """(8, 3) LPS mm of the middles of the corner voxels, in stored order."""
    ends = np.array(np.meshgrid(*((0, n - 1) for n in file.shape), indexing="ij")).reshape(3, 8).T
    return np.asarray(ends @ file.affine[:3, :3].T + file.affine[:3, 3])


def _same_grid(ct: VoxelFile, mask: VoxelFile) -> bool:
    """The same voxels, in whatever order they are stored."""
    if sorted(ct.shape) != sorted(mask.shape):
        return False
    away = np.linalg.norm(_corners(ct)[:, None] - _corners(mask)[None], axis=2)
    return bool(away.min(axis=1).max() < SAME_PLACE_MM)


def _overlap(ct: VoxelFile, mask: VoxelFile) -> bool:
    """Of the boxes about both."""
    one, other = _corners(ct), _corners(mask)
    low = np.maximum(one.min(axis=0), other.min(axis=0))
    high = np.minimum(one.max(axis=0), other.max(axis=0))
    return bool(np.all(low < high))


def _of(study: LabelledStudy, sentence: str) -> Problem:
    return Problem(study.rows[0].number if study.rows else None, sentence)


def _numbered(problem: Problem, place: int) -> Problem:
    """Without rows a study is told by its place, as its name may be a patient's."""
    if problem.row is not None:
        return problem
    return replace(
        problem, sentence=f"Study {place}, in the order of their names: {problem.sentence}"
    )


def _left_out(rows: tuple[Row, ...]) -> str:
    return left_out([row.number for row in rows]) if rows else "the study was left out"
