"""The header of a NRRD file (teem.sourceforge.net/nrrd/format.html), as 3D Slicer writes masks."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from vfx_edge.image.orientation import Floats
from vfx_edge.inputs.voxel_file import (
    NiftiUnreadable,
    VoxelFile,
    checked_affine,
    checked_shape,
)

_DAMAGED = "it is a damaged NRRD file"
_MOST_HEADER_BYTES = 2**20
_KINDS = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
}
"""What turns a space into LPS; of any other nothing is known, and it is taken for LPS."""
_VECTOR = re.compile(r"\(([^()]*)\)")


def is_nrrd(path: Path) -> bool:
    """By what it holds, not by its name."""
    with path.open("rb") as file:
        return file.read(4) == b"NRRD"


def read_nrrd(path: Path, most_voxels: int) -> VoxelFile:
    """The header, checked; the voxels are read later. Raises NiftiUnreadable."""
    try:
        fields, texts, start = _header(path)
        return _described(path, fields, texts, start, most_voxels)
    except (OSError, ValueError, KeyError):
        raise NiftiUnreadable(path, _DAMAGED) from None


def _header(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields, key/value pairs, and the byte behind the blank line that ends them."""
    fields: dict[str, str] = {}
    texts: dict[str, str] = {}
    with path.open("rb") as file:
        left = _MOST_HEADER_BYTES
        while (line := file.readline(left)).strip(b"\r\n"):
            left -= len(line)
            text = line.decode("utf-8", "replace").strip("\r\n")
            key, between, value = text.partition(":=")
            if between:
                texts[key] = value
            else:
                key, _, value = text.partition(":")
                fields[key.strip().lower()] = value.strip()
        if not line or left <= 0:
            raise ValueError("a header without end")
        return fields, texts, file.tell()


def _described(
    path: Path, fields: dict[str, str], texts: dict[str, str], start: int, most_voxels: int
) -> VoxelFile:
    if "data file" in fields or "datafile" in fields:
        raise NiftiUnreadable(path, "its voxels lie in another file")
    size = [int(n) for n in fields["sizes"].split()]
    if len(size) != int(fields["dimension"]) or len(size) > 3:
        raise NiftiUnreadable(path, f"it has {len(size)} dimensions")
    shape = checked_shape(path, size, most_voxels)
    kind = np.dtype(_KINDS[fields["type"].lower()])
    if kind.itemsize > 1:
        kind = kind.newbyteorder({"little": "<", "big": ">"}[fields["endian"].lower()])  # type: ignore[arg-type]
    encoding = fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise NiftiUnreadable(path, "it is compressed in a way that can't be read here")
    if any(int(fields.get(key, "0")) for key in ("line skip", "byte skip", "lineskip", "byteskip")):
        raise NiftiUnreadable(path, "its voxels do not follow its header")
    affine, spacing = checked_affine(path, *_places(fields))
    opened = partial(_opened, path, start, encoding != "raw")
    return VoxelFile(path, shape, kind, affine, spacing, opened, texts=texts)


def _places(fields: dict[str, str]) -> tuple[Floats, Floats]:
    """Axes (mm, a column each for x, y, z) and origin in LPS."""
    to_lps = np.diag(_SPACES.get(fields.get("space", "").lower(), (1.0, 1.0, 1.0)))
    origin = np.array(_vectors(fields.get("space origin", "(0,0,0)"), 1)[0])
    if "space directions" in fields:
        axes = np.array(_vectors(fields["space directions"], 3)).T
    else:
        axes = np.diag([float(v) for v in fields["spacings"].split()])
    return to_lps @ axes, to_lps @ origin


def _vectors(text: str, count: int) -> list[list[float]]:
    found = [[float(v) for v in inside.split(",")] for inside in _VECTOR.findall(text)]
    if len(found) != count or any(len(vector) != 3 for vector in found):
        raise ValueError("not so many vectors")
    return found


@contextmanager
def _opened(path: Path, start: int, packed: bool) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        file.seek(start)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file) if packed else file)
        with stream:
            try:
                yield stream
            except zlib.error as error:
                raise OSError("damaged") from error
