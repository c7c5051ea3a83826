"""NIfTI files in VerSe/BIDS naming: the CT, the vertebra masks on its grid, the centroids."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfx_edge.files import OutputFailed, replacing, write_text
from vfx_edge.image import Image
from vfx_edge.outputs.file_names import series_stem
from vfx_edge.outputs.kinds import Request
from vfx_edge.outputs.labels import label_map
from vfx_edge.quiet import runtime_quiet
from vfx_edge.study import Analysis, Vertebra

_HEADER_BYTES = 352
"""Of a NIfTI-1 file before its voxels, as ITK writes it."""
_AXIS_CODES = (("R", "L"), ("A", "P"), ("I", "S"))


def write(request: Request) -> tuple[Path, ...]:
    """The kind `nifti`."""
    return write_nifti(request.analysis, request.folder)


def write_nifti(analysis: Analysis, directory: Path) -> tuple[Path, ...]:
    """Writes `<series>_ct.nii.gz`, `<series>_seg-vert_msk.nii.gz`, `<series>_seg-vert_ctd.json`.

    The masks carry VerSe labels on the CT's own grid. OutputError when a file can't be written.
    """
    stem = series_stem(analysis.result.series)
    image = analysis.scan.image
    labels = label_map(image, analysis.masks)
    centroids = centroids_of(image, [f.vertebra for f in analysis.result.findings])
    return (
        write_image(image.values, image, directory / f"{stem}_ct.nii.gz"),
        write_image(labels, image, directory / f"{stem}_seg-vert_msk.nii.gz"),
        write_text(directory / f"{stem}_seg-vert_ctd.json", json.dumps(centroids) + "\n"),
    )


def centroids_of(like: Image, vertebrae: Sequence[Vertebra]) -> list[dict[str, object]]:
    """VerSe's format: the array's orientation first, then label and voxel X, Y, Z of each body."""
    first: dict[str, object] = {"direction": list(axis_codes(like))}
    return [first, *(_centroid(like, vertebra) for vertebra in vertebrae)]


def axis_codes(like: Image) -> tuple[str, str, str]:
    """Where the stored image's x, y and z axes point, to the nearest: "L", "P", "S" as a rule."""
    axes = like.affine_zyx_to_lps[:3, 2::-1].T
    first, second, third = (_code(axis) for axis in axes)
    return first, second, third


def _code(axis: NDArray[np.float64]) -> str:
    """LPS components: positive is left, back, head."""
    main = int(np.abs(axis).argmax())
    return _AXIS_CODES[main][int(axis[main] > 0)]


def _centroid(like: Image, vertebra: Vertebra) -> dict[str, object]:
    z, y, x = like.to_zyx(np.array([vertebra.centroid_lps_mm]))[0]
    label = vertebra.level.verse
    return {"label": label, "X": _tenths(x), "Y": _tenths(y), "Z": _tenths(z)}


def _tenths(value: float) -> float:
    return round(float(value), 1)


def write_image(array: NDArray[np.generic], like: Image, path: Path) -> Path:
    """A .nii.gz on the grid of `like`. OutputError leaves."""
    with replacing(path) as temporary:
        store_image(array, like, temporary, path)
    return path


def store_image(array: NDArray[np.generic], like: Image, temporary: Path, meant_for: Path) -> None:
    """Into a file that is to become `meant_for`."""
    affine = like.affine_zyx_to_lps
    spacing = like.spacing_zyx_mm
    import SimpleITK as sitk  # most runs write none

    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(edge) for edge in spacing[::-1]])
    image.SetOrigin([float(v) for v in affine[:3, 3]])
    image.SetDirection((affine[:3, 2::-1] / spacing[::-1]).ravel().tolist())
    try:
        with runtime_quiet():
            sitk.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise OutputFailed(meant_for, _last_line(error)) from error
    if _unpacked_bytes(temporary) != (_HEADER_BYTES + array.nbytes) % 2**32:
        raise OutputFailed(meant_for, "not all of it could be written: is the disk full?")


def _unpacked_bytes(packed: Path) -> int:
    """What gzip states at its end. A full disk ends the file before that, and ITK, which writes it,
    says nothing but a line on standard error."""
    with packed.open("rb") as file:
        file.seek(max(0, packed.stat().st_size - 4))
        return int.from_bytes(file.read(), "little")


def _last_line(error: RuntimeError) -> str:
    """ITK's messages are paragraphs; the cause stands last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "SimpleITK gave no reason"
