"""NIfTI files -> Scan. They carry neither modality nor units, so the numbers must convince."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.image.orientation import Floats, turn_to_spl
from vfx_edge.inputs.build import MAX_VOXELS
from vfx_edge.inputs.faults import INTERCEPTS, SLOPES
from vfx_edge.inputs.modality import CT
from vfx_edge.inputs.nifti_file import read_nifti
from vfx_edge.inputs.voxel_file import NiftiUnreadable
from vfx_edge.parallel import cores
from vfx_edge.room import check_scan
from vfx_edge.study import Scan, SeriesInfo

NO_AIR_HU = -200


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


def load_nifti(path: Path, series_uid: str | None = None) -> Scan:
    """The scan in a NIfTI file; UIDs are made from its content."""
    file = read_nifti(path, MAX_VOXELS)
    if any(_outside(*of) for of in zip(file.rescale, (SLOPES, INTERCEPTS), strict=True)):
        raise NiftiUnreadable(path, "its slope or intercept makes no sense")
    check_scan(file.shape, np.dtype(np.int16).itemsize, cores())
    turn = turn_to_spl(file.affine, file.shape)
    hu = np.empty(turn.shape, np.int16)
    for slab, place in zip(file.slabs(), turn.as_stored(hu), strict=True):
        _convert(slab, place)
    _check_range(hu, path)
    study, series = _content_uids(hu, turn.affine)
    if series_uid not in (None, series):
        raise SeriesOfNifti(path, str(series_uid))
    planes = {0: "axial", 1: "coronal", 2: "sagittal"}
    info = SeriesInfo(
        study_uid=study,
        series_uid=series,
        modality=CT.name,
        slices=file.shape[0],
        spacing_mm=file.spacing_mm,
        orientation=planes[turn.order.index(0)],
        warnings=(
            "A NIfTI file says nothing about modality, kernel, contrast or slice thickness: "
            "it was taken for a CT because its numbers look like one.",
            *file.warnings,
        ),
    )
    return Scan(Image(hu, turn.affine, CT.name, CT.unit), info)


def _outside(value: float, limits: tuple[float, float]) -> bool:
    return not limits[0] <= value <= limits[1]


def _convert(slab: NDArray[Any], place: NDArray[np.int16]) -> None:
    """Slab by slab, so that the numbers of the file are never all in memory."""
    if slab.dtype.kind == "f":
        slab = np.rint(np.nan_to_num(slab, nan=CT.lowest, posinf=CT.highest, neginf=CT.lowest))
    np.copyto(place, np.clip(slab, *_limits(slab.dtype)), casting="unsafe")


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
