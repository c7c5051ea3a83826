"""A hand-corrected mask in VerSe labels -> labels on the volume's own grid."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.inputs.files import PathMissing
from vfx_edge.inputs.nifti import NiftiUnreadable, read_image
from vfx_edge.inputs.quiet import itk_quiet, quiet
from vfx_edge.study import Volume

HIGHEST_VERSE_LABEL = 28


class NotAMask(InputError):
    """The file is an image, but no mask in VerSe labels."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} is no vertebra mask in VerSe labels ({why}): "
            "give whole numbers with C1..C7 = 1..7, T1..T12 = 8..19, L1..L5 = 20..24, L6 = 25, "
            "T13 = 28."
        )


class MaskElsewhere(InputError):
    """The mask and the CT don't overlap in space."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} does not overlap the CT: give the mask that was drawn on this series."
        )


def load_segmentation(path: Path, like: Volume) -> NDArray[np.uint8]:
    """(z, y, x) uint8 VerSe labels on the grid of `like`, taken from the nearest mask voxel."""
    path = Path(path)
    if not path.exists():
        raise PathMissing(path)
    if not path.is_file():
        raise NiftiUnreadable(path, "it is a folder")
    with quiet(), itk_quiet():
        image, _ = read_image(path)
        labels = _labels(image, path)
        labels.CopyInformation(image)
        placed = _on_grid(labels, like)
    if not placed.any():
        raise MaskElsewhere(path)
    return placed


def _labels(image: sitk.Image, path: Path) -> sitk.Image:
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == "f" and not np.all(values == np.rint(values)):
        raise NotAMask(path, "it holds fractions")
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > HIGHEST_VERSE_LABEL:
        raise NotAMask(path, f"it holds numbers from {lowest:.0f} to {highest:.0f}")
    if highest == 0:
        raise NotAMask(path, "it is empty")
    return sitk.GetImageFromArray(values.astype(np.uint8))


def _on_grid(labels: sitk.Image, like: Volume) -> NDArray[np.uint8]:
    affine = like.affine_zyx_to_lps
    spacing = like.spacing_zyx_mm
    placed = sitk.Resample(
        labels,
        [int(n) for n in like.hu.shape[::-1]],
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        affine[:3, 3].tolist(),
        spacing[::-1].tolist(),
        (affine[:3, :3] / spacing)[:, ::-1].ravel().tolist(),
        0,
        sitk.sitkUInt8,
    )
    return np.asarray(sitk.GetArrayFromImage(placed), np.uint8)
