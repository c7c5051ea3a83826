"""Files of voxels, NIfTI and NRRD: what a header states is checked against what is there, and the
voxels come slab by slab."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.image.orientation import Floats

SPACING_MM = (0.05, 12.0)
MAX_RATIO, RATIO_APPLIES_FROM_BYTES = 200, 2**28
RIGHT_ANGLES = 1e-3
_GZIP = b"\x1f\x8b"
_SPARE_BYTES = 2**16


class NiftiUnreadable(InputError):
    """The file can't be read as an image."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} can't be read ({why}): export it again as a three-dimensional .nii.gz, "
            "or give the DICOM folder."
        )


@dataclass(frozen=True, eq=False)
class VoxelFile:
    """A header that makes sense. shape: (z, y, x) as stored, x running fastest. affine: stored
    (z, y, x, 1) -> LPS mm. spacing_mm: (x, y, z). opened: the voxels' bytes, unpacked. texts: what
    the file says besides."""

    path: Path
    shape: tuple[int, int, int]
    kind: np.dtype[Any]
    affine: Floats
    spacing_mm: tuple[float, float, float]
    opened: Callable[[], Any]
    rescale: tuple[float, float] = (1.0, 0.0)
    warnings: tuple[str, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)
    extension: bytes = b""

    def slabs(self, max_ratio: float | None = MAX_RATIO) -> Iterator[NDArray[Any]]:
        """The (y, x) slabs in stored order, rescaled. Raises NiftiUnreadable."""
        _, rows, columns = self.shape
        size = rows * columns * self.kind.itemsize
        needed = size * self.shape[0]
        try:
            if max_ratio and needed > max(
                RATIO_APPLIES_FROM_BYTES, max_ratio * self.path.stat().st_size
            ):
                why = f"it would unpack to over {max_ratio:.0f} times its size, which no CT does"
                raise NiftiUnreadable(self.path, why)
            with self.opened() as file:
                for _ in range(self.shape[0]):
                    data = file.read(size)
                    if len(data) != size:
                        raise EOFError
                    yield self._rescaled(np.frombuffer(data, self.kind).reshape(rows, columns))
                file.read(_SPARE_BYTES)  # a gzip's checksum stands behind its last byte
        except EOFError:
            raise NiftiUnreadable(self.path, "it is truncated") from None
        except (OSError, zlib.error):
            raise NiftiUnreadable(self.path, "it is damaged") from None

    def _rescaled(self, stored: NDArray[Any]) -> NDArray[Any]:
        if self.rescale == (1.0, 0.0):
            return stored
        slope, intercept = self.rescale
        with np.errstate(all="ignore"):
            return np.asarray(stored * np.float64(slope) + intercept)


@contextmanager
def unpacked(path: Path, skip: int = 0) -> Iterator[BinaryIO]:
    """The file from byte `skip` on, unpacked where it is a gzip, whatever its name. OSError,
    zlib.error, EOFError."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file) if packed else file)
        with stream:
            left = skip
            while left > 0:
                if not (passed := len(stream.read(min(left, _SPARE_BYTES)))):
                    raise EOFError
                left -= passed
            yield stream


def is_packed_twice(start: bytes) -> bool:
    """Whether what was unpacked is a gzip again."""
    return start[:2] == _GZIP


def checked_shape(path: Path, size: list[int], most: int) -> tuple[int, int, int]:
    """(z, y, x) of sizes with the fastest first. Raises NiftiUnreadable."""
    if any(n < 1 for n in size):
        raise NiftiUnreadable(path, "it is damaged or no NIfTI file")
    if any(n > 1 for n in size[3:]):
        raise NiftiUnreadable(path, f"it has {len(size)} dimensions")
    if len(size) < 3 or min(size[:3]) < 2:
        raise NiftiUnreadable(path, "it is a single slice")
    if np.prod([float(n) for n in size]) > most:
        raise NiftiUnreadable(path, "it has too many voxels")
    return size[2], size[1], size[0]


def checked_affine(
    path: Path, axes: Floats, origin: Floats
) -> tuple[Floats, tuple[float, float, float]]:
    """(4, 4) stored (z, y, x, 1) -> LPS mm, and the lengths of `axes`, which has one column in mm
    for each of x, y, z. Raises NiftiUnreadable."""
    spacing = np.linalg.norm(axes, axis=0)
    if not (np.isfinite(axes).all() and np.isfinite(origin).all()):
        raise NiftiUnreadable(path, "its places make no sense")
    if any(not SPACING_MM[0] <= s <= SPACING_MM[1] for s in spacing):
        raise NiftiUnreadable(path, "its voxel size makes no sense in mm")
    directions = axes / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > RIGHT_ANGLES:
        raise NiftiUnreadable(path, "its axes are sheared or not at right angles")
    affine = np.eye(4)
    affine[:3, :3] = axes[:, ::-1]
    affine[:3, 3] = origin
    x, y, z = (float(s) for s in spacing)
    return affine, (x, y, z)
