"""NIfTI files -> Scan. They carry neither modality nor units, so the numbers must convince."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.image.orientation import Floats, turn_to_spl
from vfx_edge.inputs.build import MAX_VOXELS
from vfx_edge.inputs.modality import CT
from vfx_edge.parallel import cores
from vfx_edge.quiet import itk_quiet
from vfx_edge.room import check_scan
from vfx_edge.study import Scan, SeriesInfo

SPACING_MM = (0.05, 12.0)
NO_AIR_HU = -200
_AFFINE_CONFLICT_MM = 1.0
_BYTES_EACH = 4
"""Of a voxel while it is read: as the file has it, and as int16."""
_NUMBERS = {
    sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16, sitk.sitkInt32,
    sitk.sitkUInt32, sitk.sitkInt64, sitk.sitkUInt64, sitk.sitkFloat32, sitk.sitkFloat64,
}  # fmt: skip


class NiftiUnreadable(InputError):
    """The file can't be read as an image."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} can't be read ({why}): export it again as a three-dimensional .nii.gz, "
            "or give the DICOM folder."
        )


class NotHounsfield(InputError):
    """The numbers are not those of a CT."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"{name} is no CT in Hounsfield units ({why}): "
            "give the CT itself, with its rescale slope and intercept applied."
        )


class SeriesOfNifti(InputError):
    """A series was asked for, but NIfTI files have none."""

    def __init__(self, path: Path, wanted: str) -> None:
        super().__init__(
            f"{path.name} is a NIfTI file and has no series {wanted}: leave --series out."
        )


@itk_quiet()
def load_nifti(path: Path, series_uid: str | None = None) -> Scan:
    """The scan in a .nii or .nii.gz; UIDs are made from its content."""
    image, warnings = read_image(path)
    affine, shape = image_affine(image), image.GetSize()[::-1]
    turn = turn_to_spl(affine, shape)
    hu = np.empty(turn.shape, np.int16)
    _convert(image, turn.as_stored(hu))
    spacing = image.GetSpacing()
    del image
    _check_range(hu, path)
    study, series = _content_uids(hu, turn.affine)
    if series_uid not in (None, series):
        raise SeriesOfNifti(path, str(series_uid))
    planes = {0: "axial", 1: "coronal", 2: "sagittal"}
    info = SeriesInfo(
        study_uid=study,
        series_uid=series,
        modality=CT.name,
        slices=shape[0],
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        orientation=planes[turn.order.index(0)],
        warnings=(
            "A NIfTI file says nothing about modality, kernel, contrast or slice thickness: "
            "it was taken for a CT because its numbers look like one.",
            *warnings,
        ),
    )
    return Scan(Image(hu, turn.affine, CT.name, CT.unit), info)


def read_image(path: Path) -> tuple[sitk.Image, tuple[str, ...]]:
    """A three-dimensional scalar image and what was odd about its header."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) > 3 and any(n > 1 for n in size[3:]):
            raise NiftiUnreadable(path, f"it has {len(size)} dimensions")
        if len(size) < 3 or min(size[:3]) < 2:
            raise NiftiUnreadable(path, "it is a single slice")
        if np.prod([float(n) for n in size]) > MAX_VOXELS:
            raise NiftiUnreadable(path, "it has too many voxels")
        check_scan(size[2::-1], _BYTES_EACH, cores())
        if reader.GetPixelID() not in _NUMBERS:
            raise NiftiUnreadable(path, "its voxels are no plain numbers")
        if any(not SPACING_MM[0] <= s <= SPACING_MM[1] for s in reader.GetSpacing()[:3]):
            raise NiftiUnreadable(path, "its voxel size makes no sense in mm")
        if len(size) > 3:
            reader.SetExtractSize([*size[:3], *(0 for _ in size[3:])])
        if not _complete(path, reader):
            raise NiftiUnreadable(path, "it is truncated")
        warnings = _form_conflict(reader)
        return reader.Execute(), warnings
    except (RuntimeError, OSError) as error:
        raise NiftiUnreadable(path, _plain(error)) from None


def _complete(path: Path, reader: sitk.ImageFileReader) -> bool:
    """Whether all voxels are there: ITK fills what a truncated NIfTI lacks with zeros."""
    if "bitpix" not in reader.GetMetaDataKeys():
        return True  # not NIfTI: ITK's other readers complain themselves
    bits = float(reader.GetMetaData("bitpix")) * np.prod([float(n) for n in reader.GetSize()])
    needed = int(float(reader.GetMetaData("vox_offset")) + bits / 8)
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return file.seek(0, io.SEEK_END) >= needed
        file.seek(-4, io.SEEK_END)
        if int.from_bytes(file.read(4), "little") == needed % 2**32:
            return True
    try:  # several members, or something behind the voxels: only reading it through tells
        with gzip.open(path) as unpacked:
            return unpacked.seek(needed - 1) == needed - 1 and len(unpacked.read(1)) == 1
    except (OSError, EOFError, zlib.error):
        return False


def _plain(error: Exception) -> str:
    """ITK's message in our words: its own names C++ files."""
    text = str(error)
    if "orthonormal" in text:
        return "its axes are sheared or not at right angles"
    return "it is damaged or no NIfTI file"


def _form_conflict(reader: sitk.ImageFileReader) -> tuple[str, ...]:
    """A warning where qform and sform are both set and disagree; ITK decides by its own rule."""
    keys = set(reader.GetMetaDataKeys())

    def number(key: str) -> float:
        try:
            return float(reader.GetMetaData(key)) if key in keys else 0.0
        except ValueError:
            return 0.0

    if not (number("qform_code") and number("sform_code")):
        return ()
    sform = [[float(v) for v in reader.GetMetaData(f"srow_{a}").split()] for a in "xyz"]
    b, c, d = (number(f"quatern_{k}") for k in "bcd")
    a = max(0.0, 1 - b * b - c * c - d * d) ** 0.5
    rotation = np.array([
        [a*a + b*b - c*c - d*d, 2*b*c - 2*a*d, 2*b*d + 2*a*c],
        [2*b*c + 2*a*d, a*a + c*c - b*b - d*d, 2*c*d - 2*a*b],
        [2*b*d - 2*a*c, 2*c*d + 2*a*b, a*a + d*d - c*c - b*b],
    ])  # fmt: skip
    zooms = np.array([number(f"pixdim[{i}]") for i in (1, 2, 3)])
    zooms[2] *= -1 if number("pixdim[0]") < 0 else 1
    qform = np.column_stack([rotation * zooms, [number(f"qoffset_{k}") for k in "xyz"]])
    corner = np.array([*reader.GetSize()[:3], 1.0])
    ends = np.array([0.0, 0.0, 0.0, 1.0]), corner
    if all(np.abs((np.array(sform) - qform) @ e).max() < _AFFINE_CONFLICT_MM for e in ends):
        return ()
    return ("The file states two different orientations (qform and sform).",)


def image_affine(image: sitk.Image) -> Floats:
    """(4, 4): stored index (slowest axis first) -> LPS mm."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = (direction * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return affine


def _convert(image: sitk.Image, out: NDArray[np.int16]) -> None:
    """Slab by slab, so that a float image needs no second copy."""
    view = sitk.GetArrayViewFromImage(image)
    for k in range(view.shape[0]):
        slab = view[k]
        if slab.dtype.kind == "f":
            slab = np.rint(np.nan_to_num(slab, nan=CT.lowest, posinf=CT.highest, neginf=CT.lowest))
        np.copyto(out[k], np.clip(slab, *_limits(slab.dtype)), casting="unsafe")


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "f":
        return CT.lowest, CT.highest
    info = np.iinfo(dtype)
    return max(CT.lowest, int(info.min)), min(CT.highest, int(info.max))


def _check_range(hu: NDArray[np.int16], path: Path) -> None:
    why = CT.implausible(hu)
    if why is None and hu.min() > NO_AIR_HU:
        why = f"its lowest number is {hu.min()}: there is no air"
    if why is not None:
        raise NotHounsfield(path.name, why)


def _content_uids(hu: NDArray[np.int16], affine: Floats) -> tuple[str, str]:
    """Study and series UID: the same for the same voxels at the same place."""
    content = hashlib.sha256(np.round(affine, 3).tobytes())
    content.update(hu.data)
    digest = content.digest()
    halves = (int.from_bytes(half, "big") for half in (digest[:16], digest[16:]))
    study, series = (f"2.25.{number}" for number in halves)
    return study, series
