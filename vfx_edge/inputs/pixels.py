"""The pixels of one slice -> values in the modality's unit, written straight into their place.

Uncompressed slices are read with NumPy, compressed ones by SimpleITK (GDCM), which decodes JPEG,
JPEG Lossless, JPEG-LS, JPEG 2000 and RLE and lets other threads run meanwhile.
"""

import zlib
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.inputs.codestream import first_fragment
from vfx_edge.inputs.files import scratch
from vfx_edge.inputs.frames import Job, fits, frames_as_files, needs_file
from vfx_edge.inputs.headers import (
    BIG_ENDIAN,
    DEFLATED,
    UNCOMPRESSED,
    PixelFormat,
    Slice,
    inflated,
)
from vfx_edge.inputs.modality import Modality
from vfx_edge.inputs.stack import Stack
from vfx_edge.inputs.words import syntax_name
from vfx_edge.parallel import map_reading
from vfx_edge.quiet import decoders_quiet

Values = NDArray[np.int16]
PROBED_SLICES = 5
_HEAD_BYTES = 2**16


class Undecodable(InputError):
    """Slices whose pixels can't be decoded."""

    def __init__(self, name: str, count: int, syntax: str) -> None:
        title = syntax_name(syntax)
        super().__init__(
            f"{count} slice(s) can't be decoded ({title}), the first is {name}: "
            "the files are damaged; send the series again, uncompressed if possible."
        )
        self.names = (name,)


def read_into(places: Iterable[Job], modality: Modality) -> list[Slice]:
    """Fills each (rows, columns) place with its slice's values; the slices that failed."""
    work = list(places)
    asked = [slice_ for slice_, _ in work]
    compressed = any(s.pixels.syntax not in UNCOMPRESSED for s in asked)
    with scratch() if any(map(needs_file, asked)) else nullcontext() as folder:
        if folder is not None:
            work = frames_as_files(work, folder)
        with decoders_quiet() if compressed else nullcontext():
            done = map_reading(lambda job: _read_one(job, modality), work)
    return [slice_ for slice_, ok in zip(asked, done, strict=True) if not ok]


def probe(stack: Stack, modality: Modality) -> str | None:
    """Why a stack's pixels can't be this modality's, by a look at a few; None: they can."""
    few = sorted({round(i) for i in np.linspace(0, len(stack.slices) - 1, PROBED_SLICES)})
    first = stack.slices[0]
    sample = np.empty((len(few), first.rows, first.columns), np.int16)
    tried = [stack.slices[i] for i in few]
    failed = set(map(id, read_into(zip(tried, sample, strict=True), modality)))
    read = sample[[id(s) not in failed for s in tried]]
    return modality.implausible(read) if len(read) else "pixels that can't be decoded"


def _read_one(job: Job, modality: Modality) -> bool:
    slice_, place = job
    p = slice_.pixels
    try:
        values = _raw(slice_) if p.syntax in UNCOMPRESSED else _decoded(slice_)
        rescaled = p.syntax not in UNCOMPRESSED and slice_.frame is None  # by ITK
        padded = _padded(values, p, (p.slope, p.intercept) if rescaled else (1.0, 0.0), modality)
        if p.syntax in UNCOMPRESSED:
            values = _stored_bits(values, p)
        _store(values, (1.0, 0.0) if rescaled else (p.slope, p.intercept), place, modality)
        if padded is not None:
            place[padded] = modality.lowest
    except (RuntimeError, OSError, ValueError, MemoryError, zlib.error):
        return False
    return True


def _raw(slice_: Slice) -> NDArray[Any]:
    """The stored numbers of an uncompressed slice, (rows, columns), in native byte order."""
    p = slice_.pixels
    dtype = np.dtype(f"{'i' if p.signed else 'u'}{p.bits_allocated // 8}")
    dtype = dtype.newbyteorder(">" if p.syntax == BIG_ENDIAN else "<")
    data = bytearray(slice_.rows * slice_.columns * dtype.itemsize)
    with slice_.source.path.open("rb") as file:
        stream = inflated(file) if p.syntax == DEFLATED else file
        stream.seek(p.element.offset + (slice_.frame or 0) * len(data))
        if stream.readinto(data) != len(data):
            raise ValueError("truncated")
    native = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    return native.reshape(slice_.rows, slice_.columns)


def _decoded(slice_: Slice) -> NDArray[Any]:
    """The values of a compressed slice; rescaled by ITK where its file says how."""
    if slice_.frame is None:
        with slice_.source.path.open("rb") as file:
            file.seek(slice_.pixels.element.offset)
            code = first_fragment(file.read(_HEAD_BYTES))
        if not fits(code, slice_):
            raise ValueError("another size than the header says")
    import SimpleITK as sitk  # uncompressed scans do without

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(slice_.source.path))
    pixels = sitk.GetArrayFromImage(reader.Execute())
    if pixels.size != slice_.rows * slice_.columns:
        raise ValueError("another size than the header says")
    return np.asarray(pixels.reshape(slice_.rows, slice_.columns))


def _store(
    values: NDArray[Any], rescale: tuple[float, float], place: Values, modality: Modality
) -> None:
    """Rescales (slope, intercept), clips and stores. MONOCHROME1 needs nothing: it inverts the
    display only."""
    slope, intercept = rescale
    if slope == 1 and intercept == round(intercept) and values.dtype.kind in "iu":
        _store_shifted(values, int(intercept), place, modality)
    else:
        scaled = np.rint(values * np.float64(slope) + intercept)
        clipped = np.clip(scaled, modality.lowest, modality.highest)
        np.copyto(place, clipped, casting="unsafe")


def _store_shifted(values: NDArray[Any], intercept: int, place: Values, modality: Modality) -> None:
    """Clips in the values' own type, then adds: no wider copy, no overflow."""
    info = np.iinfo(values.dtype)
    low = min(max(modality.lowest - intercept, int(info.min)), int(info.max))
    high = min(max(modality.highest - intercept, int(info.min)), int(info.max))
    clipped = np.clip(values, low, high, out=values)
    if info.bits == 16 and abs(intercept) < 2**15:
        # wraps for unsigned values and comes out right: the sum fits int16
        np.add(clipped.view(np.int16), np.int16(intercept), out=place)
    else:
        np.copyto(place, clipped.astype(np.int64) + intercept, casting="unsafe")


def _stored_bits(raw: NDArray[Any], p: PixelFormat) -> NDArray[Any]:
    """Drops bits above the high bit (old overlays lived there) and extends the sign."""
    if p.bits_stored == p.bits_allocated:
        return raw
    up, down = p.bits_allocated - 1 - p.high_bit, p.bits_allocated - p.bits_stored
    return np.asarray((raw << up) >> down)


def _padded(
    values: NDArray[Any], p: PixelFormat, rescale: tuple[float, float], modality: Modality
) -> NDArray[np.bool_] | None:
    """Where the slice holds padding; rescale: slope and intercept from stored numbers to `values`.

    Some files name a padding value within the tissues (0 HU is water): there only what is
    connected to the slice's edge counts.
    """
    if p.padding is None:
        return None
    slope, intercept = rescale
    first, last = p.padding
    lowest, highest = first * p.slope + p.intercept, last * p.slope + p.intercept
    if highest <= modality.lowest and p.bits_stored == p.bits_allocated:
        return None  # clipping does it
    half = slope / 2
    low, high = first * slope + intercept - half, last * slope + intercept + half
    padded = (values > low) & (values < high)
    if not padded.any():
        return None
    tissue = modality.tissue
    if tissue is None or highest < tissue[0] or lowest > tissue[1]:
        return np.asarray(padded)
    from scipy import ndimage  # few files need it, and reading begins sooner without

    regions, _ = ndimage.label(padded)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.asarray(np.isin(regions, np.setdiff1d(edge, [0])))
