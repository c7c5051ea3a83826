"""A mask of the vertebrae, drawn or corrected by hand -> VerSe labels on the scan's own grid.

NIfTI, NRRD or a DICOM Segmentation. Where the file names its segments, the names count; where it
does not, its numbers are VerSe labels.
"""

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.inputs.dicom_seg import is_dicom, read_dicom_seg
from vfx_edge.inputs.files import PathMissing
from vfx_edge.inputs.nifti import NiftiUnreadable, read_image
from vfx_edge.inputs.segment_names import coded_label, vertebra_label
from vfx_edge.quiet import itk_quiet, quiet
from vfx_edge.study import Scan

HIGHEST_VERSE_LABEL = 28
HIGHEST_NAMED = 2**16 - 1
_MOST_SHOWN = 3
_EXTENSION_BYTES = 2**20
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
    with quiet(), itk_quiet():
        return _dicom(path, like) if is_dicom(path) else _image(path, like)


def _dicom(path: Path, like: Scan) -> GivenMask:
    seg = read_dicom_seg(path, like)
    labels, remarks = _verse(seg.numbers, seg.labels, path)
    if not seg.source_is_known:
        remarks += (
            "Whether the segmentation was drawn on this CT can't be told, as the CT is no DICOM: "
            "its places were taken as they are.",
        )
    image = sitk.GetImageFromArray(labels)
    spacing = np.linalg.norm(seg.affine[:3, :3], axis=0)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetOrigin(seg.affine[:3, 3].tolist())
    image.SetDirection((seg.affine[:3, :3] / spacing)[:, ::-1].ravel().tolist())
    return GivenMask(_placed(image, like, path), bool(seg.labels), remarks)


def _image(path: Path, like: Scan) -> GivenMask:
    image, _ = read_image(path)
    names = _names(image, path)
    known = {
        number: label
        for number, name in names.items()
        if (label := vertebra_label(name) or _coded(image, number)) is not None
    }
    values = _whole(sitk.GetArrayViewFromImage(image), path, named=bool(known))
    labels, remarks = _verse(values, known, path)
    made = sitk.GetImageFromArray(labels)
    made.CopyInformation(image)
    return GivenMask(_placed(made, like, path), bool(known), remarks)


def _whole(values: NDArray[Any], path: Path, *, named: bool) -> NDArray[Any]:
    """As numbers that labels can be."""
    if values.dtype.kind == "f" and not np.all(values == np.rint(values)):
        raise NotAMask(path, "it holds fractions")
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > (HIGHEST_NAMED if named else HIGHEST_VERSE_LABEL):
        raise NotAMask(path, f"it holds numbers from {lowest:.0f} to {highest:.0f}")
    return values.astype(np.uint16)


def _verse(
    values: NDArray[np.uint16], known: Mapping[int, int], path: Path
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """VerSe labels: by the names where any is known, else the numbers themselves."""
    there = np.flatnonzero(np.bincount(values.ravel(), minlength=2)[1:]) + 1
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


def _names(image: sitk.Image, path: Path) -> dict[int, str]:
    """Number -> name, as 3D Slicer writes it into a .seg.nrrd, or from a NIfTI's label table."""
    found = {}
    for key in image.GetMetaDataKeys():
        at = re.fullmatch(r"Segment(\d{1,4})_LabelValue", key)
        name = f"Segment{at[1]}_Name" if at else ""
        if name and image.HasMetaDataKey(name) and image.GetMetaData(key).strip().isdecimal():
            found[int(image.GetMetaData(key))] = image.GetMetaData(name)
    return found or {
        int(number): name.decode("utf-8", "replace")
        for number, name in _LABEL.findall(_extension(path))
    }


def _coded(image: sitk.Image, number: int) -> int | None:
    """What 3D Slicer's terminology says of a segment without a telling name."""
    for key in image.GetMetaDataKeys():
        at = re.fullmatch(r"Segment(\d{1,4})_LabelValue", key)
        tags = f"Segment{at[1]}_Tags" if at else ""
        if tags and image.GetMetaData(key).strip() == str(number) and image.HasMetaDataKey(tags):
            codes = _CODE.findall(image.GetMetaData(tags))
            return next(filter(None, (coded_label(code, "SCT") for code in codes)), None)
    return None


def _extension(path: Path) -> bytes:
    """What stands between a NIfTI's header and its voxels."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(352)
            if head[344:347] != b"n+1" or not head[348:349].strip(b"\0"):
                return b""
            return bytes(file.read(_EXTENSION_BYTES))
    except (OSError, EOFError, zlib.error):
        return b""


def _placed(labels: sitk.Image, like: Scan, path: Path) -> NDArray[np.uint8]:
    placed = _on_grid(labels, like)
    if not placed.any():
        raise MaskElsewhere(path)
    return placed


def _on_grid(labels: sitk.Image, like: Scan) -> NDArray[np.uint8]:
    affine = like.image.affine_zyx_to_lps
    spacing = like.image.spacing_zyx_mm
    placed = sitk.Resample(
        labels,
        [int(n) for n in like.image.shape[::-1]],
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        affine[:3, 3].tolist(),
        spacing[::-1].tolist(),
        (affine[:3, :3] / spacing)[:, ::-1].ravel().tolist(),
        0,
        sitk.sitkUInt8,
    )
    return np.asarray(sitk.GetArrayFromImage(placed), np.uint8)
