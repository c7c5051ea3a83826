"""NIfTI files in VerSe/BIDS naming: the CT, the vertebra masks on its grid, the centroids."""

import gzip
import json
import struct
from collections.abc import Sequence
from glob import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfx_edge.files import as_output_error, replacing, write_text
from vfx_edge.image import Image
from vfx_edge.outputs.file_names import series_stem
from vfx_edge.outputs.kinds import Request
from vfx_edge.outputs.labels import label_map
from vfx_edge.study import Analysis, Vertebra

_KINDS = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "u2": 512}
_MILLIMETRES, _SCANNER = 2, 1
_GZIP_LEVEL = 1
"""Half the time of the usual one, for 3 % more bytes of a CT."""
_AXIS_CODES = (("R", "L"), ("A", "P"), ("I", "S"))


def write(request: Request) -> tuple[Path, ...]:
    """The kind `nifti`."""
    return write_nifti(request.analysis, request.folder)


def write_nifti(analysis: Analysis, directory: Path) -> tuple[Path, ...]:
    """Writes `<series>_ct.nii.gz`, `<series>_seg-vert_msk.nii.gz`, `<series>_seg-vert_ctd.json`.

    The masks carry VerSe labels on the CT's own grid. And `<series>_explain-<level>.nii.gz` for
    each map of what an answer depends on, on the crop's grid. OutputError when a file can't be
    written.
    """
    stem = series_stem(analysis.result.series)
    image = analysis.scan.image
    labels = label_map(image, analysis.masks)
    centroids = centroids_of(image, [f.vertebra for f in analysis.result.findings])
    _remove_maps(directory, stem)
    return (
        write_image(image.values, image, directory / f"{stem}_ct.nii.gz"),
        write_image(labels, image, directory / f"{stem}_seg-vert_msk.nii.gz"),
        write_text(directory / f"{stem}_seg-vert_ctd.json", json.dumps(centroids) + "\n"),
        *(
            write_image(
                one.change.values, one.change, directory / f"{stem}_explain-{one.level}.nii.gz"
            )
            for one in analysis.explanations
        ),
    )


def _remove_maps(directory: Path, stem: str) -> None:
    """Those of an earlier run of this series: under a name that this run does not give, a map
    would stay beside a result that it does not belong to. OutputError."""
    with as_output_error(directory):
        for path in directory.glob(f"{escape(stem)}_explain-[CTL]*.nii.gz"):
            path.unlink(missing_ok=True)


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
        store_image(array, like, temporary)
    return path


def store_image(array: NDArray[np.generic], like: Image, temporary: Path) -> None:
    """A NIfTI-1 file (nifti.nimh.nih.gov), gzipped, the same bytes for the same image. OSError."""
    with (
        temporary.open("xb") as file,
        gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed,
    ):
        packed.write(_header(array, like))
        for slab in array.astype(array.dtype.newbyteorder("<"), copy=False):
            packed.write(np.ascontiguousarray(slab).data)


def _header(array: NDArray[np.generic], like: Image) -> bytes:
    """348 bytes, and 4 that say that no extension follows. qform and sform say the same."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ like.affine_zyx_to_lps[:, [2, 1, 0, 3]]
    spacing = like.spacing_zyx_mm[::-1]
    mirrored, quaternion = _quaternion(ras[:3, :3] / spacing)
    number, bits = _KINDS[array.dtype.kind + str(array.dtype.itemsize)], 8 * array.dtype.itemsize
    header = bytearray(352)
    for at, form, values in (
        (0, "i", (348,)),
        (40, "8h", (3, *array.shape[::-1], 1, 1, 1, 1)),
        (70, "2h", (number, bits)),
        (76, "8f", (-1.0 if mirrored else 1.0, *spacing, 0, 0, 0, 0)),
        (108, "3f", (352, 1, 0)),
        (123, "B", (_MILLIMETRES,)),
        (252, "2h", (_SCANNER, _SCANNER)),
        (256, "6f", (*quaternion, *ras[:3, 3])),
        (280, "12f", ras[:3].ravel()),
        (344, "4s", (b"n+1\0",)),
    ):
        struct.pack_into("<" + form, header, at, *values)
    return bytes(header)


def _quaternion(axes: NDArray[np.float64]) -> tuple[bool, NDArray[np.float64]]:
    """Whether the third axis must be turned round to make a rotation, and b, c, d of that."""
    mirrored = bool(np.linalg.det(axes) < 0)
    turned = axes * [1, 1, -1 if mirrored else 1]
    from scipy.spatial.transform import Rotation  # most runs write none

    b, c, d, a = Rotation.from_matrix(turned).as_quat()
    return mirrored, np.array([b, c, d]) * (-1 if a < 0 else 1)
