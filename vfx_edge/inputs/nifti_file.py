"""The header of a NIfTI file, version 1 or 2, of either byte order (nifti.nimh.nih.gov)."""

import math
import struct
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vfx_edge.image.orientation import Floats
from vfx_edge.inputs.voxel_file import (
    RIGHT_ANGLES,
    NiftiUnreadable,
    VoxelFile,
    checked_affine,
    checked_shape,
    is_packed_twice,
    unpacked,
)

_DAMAGED = "it is damaged or no NIfTI file"
_KINDS = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8",
}  # fmt: skip
_UNITS_IN_MM = {1: 1000.0, 3: 0.001}
_AFFINE_CONFLICT_MM = 1.0
_SAME_SPACING, _SAME_DIRECTION = 1e-3, 5e-3
_SCANNER = 1
_MOST_EXTENSION_BYTES = 2**20
_HEADER_BYTES = {348: 1, 540: 2}


@dataclass(frozen=True)
class _Layout:
    """Where the fields stand, as formats of `struct`."""

    end: int
    dim: tuple[int, str]
    kind: tuple[int, str]
    pixdim: tuple[int, str]
    offset: tuple[int, str]
    rescale: tuple[int, str]
    units: tuple[int, str]
    codes: tuple[int, str]
    places: tuple[int, str]
    magic: tuple[int, bytes, bytes]


_LAYOUTS = {
    1: _Layout(348, (40, "8h"), (70, "2h"), (76, "8f"), (108, "f"), (112, "2f"), (123, "B"),
               (252, "2h"), (256, "18f"), (344, b"n+1\0", b"ni1\0")),
    2: _Layout(540, (16, "8q"), (12, "2h"), (104, "8d"), (168, "q"), (176, "2d"), (500, "i"),
               (344, "2i"), (352, "18d"), (4, b"n+2\0", b"ni2\0")),
}  # fmt: skip


@dataclass(frozen=True)
class _Header:
    """dim, pixdim: as the file has them. bcd, qoffset, srows: of qform and sform."""

    end: int
    order: str
    single: bool
    dim: tuple[int, ...]
    kind: tuple[int, int]
    pixdim: tuple[float, ...]
    offset: float
    rescale: tuple[float, float]
    unit_mm: float
    codes: tuple[int, int]
    bcd: tuple[float, ...]
    qoffset: Floats
    srows: Floats


def is_nifti(path: Path) -> bool:
    """By what it holds, not by its name."""
    try:
        return _parsed(_start(path)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def read_nifti(path: Path, most_voxels: int) -> VoxelFile:
    """The header, checked; the voxels are read later. Raises NiftiUnreadable."""
    try:
        start = _start(path)
        if is_packed_twice(start):
            raise NiftiUnreadable(path, "it is compressed twice")
        header = _parsed(start)
        if header is None:
            raise NiftiUnreadable(path, _DAMAGED)
        return _described(path, header, most_voxels)
    except EOFError:
        raise NiftiUnreadable(path, "it is truncated") from None
    except (OSError, zlib.error, ValueError, OverflowError):
        raise NiftiUnreadable(path, _DAMAGED) from None


def _start(path: Path) -> bytes:
    with unpacked(path) as file:
        return file.read(544)


def _parsed(start: bytes) -> _Header | None:
    for order in "<>":
        version = _HEADER_BYTES.get(_unpacked(start[:4].ljust(4, b"\0"), (0, "i"), order)[0])
        at = _LAYOUTS.get(version or 0)
        if at is None or len(start) < at.end:
            continue
        magic = start[at.magic[0] : at.magic[0] + 4]
        if magic not in at.magic[1:]:
            continue
        places = _unpacked(start, at.places, order)
        return _Header(
            at.end, order, magic == at.magic[1], _unpacked(start, at.dim, order),
            _unpacked(start, at.kind, order), _unpacked(start, at.pixdim, order),
            _unpacked(start, at.offset, order)[0], _unpacked(start, at.rescale, order),
            _UNITS_IN_MM.get(_unpacked(start, at.units, order)[0] & 7, 1.0),
            _unpacked(start, at.codes, order), places[:3], np.array(places[3:6]),
            np.array(places[6:]).reshape(3, 4),
        )  # fmt: skip
    return None


def _unpacked(start: bytes, field: tuple[int, str], order: str) -> Any:
    return struct.unpack_from(order + field[1], start, field[0])


def _described(path: Path, header: _Header, most_voxels: int) -> VoxelFile:
    count = header.dim[0]
    if not 1 <= count <= 7:
        raise NiftiUnreadable(path, _DAMAGED)
    shape = checked_shape(path, list(header.dim[1 : count + 1]), most_voxels)
    number, bits = header.kind
    if number not in _KINDS:
        raise NiftiUnreadable(path, "its voxels are no plain numbers")
    kind = np.dtype(header.order + _KINDS[number])
    if bits != 8 * kind.itemsize:
        raise NiftiUnreadable(path, _DAMAGED)
    axes, origin, warnings = _places(header, shape)
    affine, spacing = checked_affine(path, axes, origin)
    voxels = path if header.single else _image_beside(path)
    offset = int(header.offset)  # ValueError, OverflowError: not a number at all
    least = header.end + 4 if header.single else 0
    if offset != header.offset or not least <= offset <= header.end + 4 + _MOST_EXTENSION_BYTES:
        raise NiftiUnreadable(path, _DAMAGED)
    if voxels.stat().st_size < 1 or _is_short(voxels, offset, shape, kind):
        raise NiftiUnreadable(path, "it is truncated")
    return VoxelFile(
        voxels, shape, kind, affine, spacing, partial(unpacked, voxels, offset),
        _rescale(header), warnings, extension=_extension(path, header, offset),
    )  # fmt: skip


def _rescale(header: _Header) -> tuple[float, float]:
    slope, intercept = header.rescale
    if not math.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, intercept if math.isfinite(intercept) else 0.0


def _image_beside(path: Path) -> Path:
    """Of a pair, which is read only where its header was named."""
    if path.suffix.lower() != ".hdr":
        raise NiftiUnreadable(path, "its voxels lie in another file: give the .hdr file of the two")
    for ending in (".img", ".IMG", ".img.gz"):
        beside = path.with_name(path.name.removesuffix(path.suffix) + ending)
        if beside.is_file():
            return beside
    raise NiftiUnreadable(path, "its voxels lie in another file, which is not there")


def _is_short(voxels: Path, offset: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> bool:
    """Whether a plain file lacks voxels; of a gzip only reading it tells."""
    with voxels.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return False
        return file.seek(0, 2) < offset + math.prod(shape) * kind.itemsize


def _extension(path: Path, header: _Header, offset: int) -> bytes:
    """What stands between header and voxels."""
    if not header.single or offset <= header.end + 4:
        return b""
    with unpacked(path, header.end) as file:
        return file.read(offset - header.end)


def _places(header: _Header, shape: tuple[int, int, int]) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Axes (mm, a column each for x, y, z), origin in LPS, and what was odd.

    As ITK decides: sform where it says "scanner", stands alone, or differs from qform in the third
    axis' sign alone, else qform; without either the axes are taken for those of LPS.
    """
    flip = np.diag([-1.0, -1.0, 1.0])  # RAS, as NIfTI has it, to LPS
    zooms = np.abs(np.array(header.pixdim[1:4])) * header.unit_mm
    qform, sform = (code > 0 for code in header.codes)
    by_q = flip @ _rotation(header), flip @ header.qoffset * header.unit_mm
    by_s = flip @ header.srows[:, :3] * header.unit_mm, flip @ header.srows[:, 3] * header.unit_mm
    warnings = _conflict(by_q[0] * zooms, by_q[1], *by_s, shape) if qform and sform else ()
    wanted = header.codes[1] == _SCANNER or _differ_in_sign_alone(by_q[0], by_s[0])
    if sform and (not qform or (wanted and _right_angles(by_s[0]))):
        lengths = np.linalg.norm(by_s[0], axis=0)
        with np.errstate(all="ignore"):
            if np.allclose(lengths, zooms, rtol=_SAME_SPACING, atol=0):
                return by_s[0] / lengths * zooms, by_s[1], warnings
        note = "The file states two different voxel sizes (pixdim and sform): sform was taken."
        return *by_s, (*warnings, note)
    if qform:
        return by_q[0] * zooms, by_q[1], warnings
    note = "The file states no orientation: left, right, front and back are guessed."
    return np.diag(zooms), np.zeros(3), (note,)


def _differ_in_sign_alone(q_axes: Floats, s_axes: Floats) -> bool:
    with np.errstate(all="ignore"):
        directions = s_axes / np.linalg.norm(s_axes, axis=0)
        return bool(np.abs(directions - q_axes)[:, :2].max() < _SAME_DIRECTION)


def _right_angles(axes: Floats) -> bool:
    with np.errstate(all="ignore"):
        directions = axes / np.linalg.norm(axes, axis=0)
        return bool(np.abs(directions.T @ directions - np.eye(3)).max() <= RIGHT_ANGLES)


def _rotation(header: _Header) -> Floats:
    """From a quaternion without its real part; pixdim[0] turns the third axis round."""
    b, c, d = header.bcd
    length = math.sqrt(b * b + c * c + d * d)
    if length > 1:
        b, c, d = b / length, c / length, d / length
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array([
        [a*a + b*b - c*c - d*d, 2*b*c - 2*a*d, 2*b*d + 2*a*c],
        [2*b*c + 2*a*d, a*a + c*c - b*b - d*d, 2*c*d - 2*a*b],
        [2*b*d - 2*a*c, 2*c*d + 2*a*b, a*a + d*d - c*c - b*b],
    ])  # fmt: skip
    if header.pixdim[0] < 0:
        rotation[:, 2] *= -1
    return rotation


def _conflict(
    q_axes: Floats, q_origin: Floats, s_axes: Floats, s_origin: Floats, shape: tuple[int, int, int]
) -> tuple[str, ...]:
    corner = np.array(shape[::-1], float)
    ends = q_origin - s_origin, q_origin - s_origin + (q_axes - s_axes) @ corner
    if all(np.abs(end).max() < _AFFINE_CONFLICT_MM for end in ends):
        return ()
    return ("The file states two different orientations (qform and sform).",)
