"""A mask of the vertebrae, drawn or corrected by hand -> VerSe labels on the scan's own grid.

NIfTI, NRRD or a DICOM Segmentation. Where the file names its segments, the names count; where it
does not, its numbers are VerSe labels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.image.orientation import Floats
from vfx_edge.inputs.bounded import is_dicom
from vfx_edge.inputs.dicom_seg import read_dicom_seg
from vfx_edge.inputs.files import PathMissing
from vfx_edge.inputs.nifti_file import read_nifti
from vfx_edge.inputs.nrrd_file import is_nrrd, read_nrrd
from vfx_edge.inputs.segment_names import coded_label
from vfx_edge.inputs.voxel_file import NiftiUnreadable, VoxelFile
from vfx_edge.level_names import vertebra_label
from vfx_edge.parallel import map_computing
from vfx_edge.quiet import quiet
from vfx_edge.study import Scan

HIGHEST_VERSE_LABEL = 28
HIGHEST_NAMED = 2**16 - 1
SMALL_VOXELS, FINER_VOXELS = 2**27, 2
"""A mask may have so many voxels, or so many times those of its scan, if that is more."""
_MOST_SHOWN = 3
_NUMBER = re.compile(r"\d{1,5}")
_LABEL = re.compile(
    rb"<Label\b[^>]{0,200}?\bKey=\"(\d{1,5})\"[^>]{0,200}>\s*(?:<!\[CDATA\[)?([^<\]]{1,100})"
)
"""Connectome Workbench's label table, which TotalSegmentator writes behind the NIfTI header."""
_CODE = re.compile(r"~SCT\^(\d{1,18})\^")


class NotAMask(InputError):
    """The file is an image, but no mask in VerSe labels."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} is no vertebra mask in VerSe labels ({why}): "
            "give whole numbers with C1..C7 = 1..7, T1..T12 = 8..19, L1..L5 = 20..24, L6 = 25, "
            "T13 = 28, or segments that are named L1, L2 …."
        )


class MaskElsewhere(InputError):
    """The mask and the CT don't overlap in space."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} does not overlap the CT: give the mask that was drawn on this series."
        )


@dataclass(frozen=True, eq=False)
class GivenMask:
    """labels: (z, y, x) VerSe labels on the scan's grid. named: the file says itself which
    vertebra is which. remarks: what was odd, one sentence each."""

    labels: NDArray[np.uint8]
    named: bool = False
    remarks: tuple[str, ...] = ()


def load_segmentation(path: Path, like: Scan) -> NDArray[np.uint8]:
    """(z, y, x) uint8 VerSe labels on the grid of `like`, taken from the nearest mask voxel."""
    return read_segmentation(path, like).labels


def read_segmentation(path: Path, like: Scan) -> GivenMask:
    """The mask on the grid of `like`. Raises InputError leaves."""
    path = Path(path)
    if not path.exists():
        raise PathMissing(path)
    if not path.is_file():
        raise NiftiUnreadable(path, "it is a folder")
    with quiet():
        return _dicom(path, like) if is_dicom(path) else _image(path, like)


def _dicom(path: Path, like: Scan) -> GivenMask:
    seg = read_dicom_seg(path, like)
    labels, remarks = _verse(seg.numbers, seg.labels, path)
    if not seg.source_is_known:
        remarks += (
            "Whether the segmentation was drawn on this CT can't be told, as the CT is no DICOM: "
            "its places were taken as they are.",
        )
    return GivenMask(_placed(labels, seg.affine, like, path), bool(seg.labels), remarks)


def _image(path: Path, like: Scan) -> GivenMask:
    most = max(SMALL_VOXELS, FINER_VOXELS * like.image.values.size)
    file = read_nrrd(path, most) if is_nrrd(path) else read_nifti(path, most)
    names = _names(file)
    known = {
        number: label
        for number, name in names.items()
        if (label := vertebra_label(name) or _coded(file, number)) is not None
    }
    labels, remarks = _verse(_whole(file, named=bool(known)), known, path)
    return GivenMask(_placed(labels, file.affine, like, path), bool(known), remarks)


def _whole(file: VoxelFile, *, named: bool) -> NDArray[np.uint16]:
    """As numbers that labels can be."""
    numbers = np.empty(file.shape, np.uint16)
    highest_allowed = HIGHEST_NAMED if named else HIGHEST_VERSE_LABEL
    lowest, highest = 0.0, 0.0
    # a mask of empty slabs may deflate to a thousandth: its size is bounded by the scan's instead
    for slab, place in zip(file.slabs(max_ratio=None), numbers, strict=True):
        if slab.dtype.kind == "f" and not np.all(slab == np.rint(slab)):
            raise NotAMask(file.path, "it holds fractions")
        lowest, highest = min(lowest, float(slab.min())), max(highest, float(slab.max()))
        if 0 <= lowest <= highest <= HIGHEST_NAMED:
            np.copyto(place, slab, casting="unsafe")
    if lowest < 0 or highest > highest_allowed:
        raise NotAMask(file.path, f"it holds numbers from {lowest:.0f} to {highest:.0f}")
    return numbers


def _verse(
    values: NDArray[np.uint16], known: Mapping[int, int], path: Path
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """VerSe labels: by the names where any is known, else the numbers themselves."""
    counts = sum(np.bincount(slab.ravel(), minlength=HIGHEST_NAMED + 1) for slab in values)
    there = np.flatnonzero(np.asarray(counts)[1:]) + 1
    if not len(there):
        raise NotAMask(path, "it is empty")
    if not known:
        if there[-1] > HIGHEST_VERSE_LABEL:
            raise NotAMask(path, f"it has segments up to number {there[-1]}, and none named so")
        return values.astype(np.uint8), ()
    table = np.zeros(int(values.max()) + 1, np.uint8)
    for number, label in known.items():
        if number < len(table):
            table[number] = label
    left = [int(n) for n in there if not table[n]]
    if len(left) == len(there):
        raise NotAMask(path, "the segments that are named after vertebrae are empty")
    return table[values], _left_out(left)


def _left_out(left: list[int]) -> tuple[str, ...]:
    """By number: what a segment is called, a person has typed."""
    if not left:
        return ()
    shown = ", ".join(map(str, left[:_MOST_SHOWN]))
    more = f" and {len(left) - _MOST_SHOWN} more" if len(left) > _MOST_SHOWN else ""
    return (f"Segments whose names say no vertebra were left out: number {shown}{more}.",)


def _names(file: VoxelFile) -> dict[int, str]:
    """Number -> name, as 3D Slicer writes it into a .seg.nrrd, or from a NIfTI's label table."""
    found = {}
    for key, value in file.texts.items():
        at = re.fullmatch(r"Segment(\d{1,4})_LabelValue", key)
        name = file.texts.get(f"Segment{at[1]}_Name") if at else None
        if name is not None and _NUMBER.fullmatch(value.strip()):
            found[int(value)] = name
    return found or {
        int(number): name.decode("utf-8", "replace")
        for number, name in _LABEL.findall(file.extension)
    }


def _coded(file: VoxelFile, number: int) -> int | None:
    """What 3D Slicer's terminology says of a segment without a telling name."""
    for key, value in file.texts.items():
        at = re.fullmatch(r"Segment(\d{1,4})_LabelValue", key)
        tags = file.texts.get(f"Segment{at[1]}_Tags") if at else None
        if tags is not None and value.strip() == str(number):
            codes = _CODE.findall(tags)
            return next(filter(None, (coded_label(code, "SCT") for code in codes)), None)
    return None


def _placed(labels: NDArray[np.uint8], affine: Floats, like: Scan, path: Path) -> NDArray[np.uint8]:
    placed = _on_grid(labels, affine, like)
    if not placed.any():
        raise MaskElsewhere(path)
    return placed


def _on_grid(labels: NDArray[np.uint8], affine: Floats, like: Scan) -> NDArray[np.uint8]:
    """The nearest voxel's label, none outside the mask. Slab by slab, in threads."""
    to_mask = np.linalg.inv(affine) @ like.image.affine_zyx_to_lps
    placed = np.zeros(like.image.shape, np.uint8)
    y, x = (np.arange(n, dtype=np.float64) for n in placed.shape[1:])

    def one(z: int) -> None:
        inside: Any = True
        places = []
        for axis, size in enumerate(labels.shape):
            a, b, c, d = to_mask[axis]
            at = np.floor(a * z + d + 0.5 + b * y[:, None] + c * x).astype(np.int64)
            inside = inside & (at >= 0) & (at < size)
            places.append(np.clip(at, 0, size - 1))
        np.copyto(placed[z], labels[tuple(places)], where=inside)

    map_computing(one, range(len(placed)))
    return placed
