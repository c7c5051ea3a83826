"""The pixels of one slice -> values in the modality's unit, written straight into their place.

Bits that do not count are dropped, and numbers rescaled, here alone: no decoder does it for us.
"""

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.inputs.bounded import DEFLATED
from vfx_edge.inputs.decoders import decoders
from vfx_edge.inputs.headers import PixelFormat, Slice
from vfx_edge.inputs.modality import Modality
from vfx_edge.inputs.stack import Stack
from vfx_edge.inputs.stored import Frame, StoredNumbers
from vfx_edge.inputs.words import syntax_name
from vfx_edge.parallel import map_reading

Values = NDArray[np.int16]
Job = tuple[Slice, Values]
"""A slice and the place its values go to."""
PROBED_SLICES = 5


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
    with decoders() as processes:
        numbers = StoredNumbers(processes)
        groups = _groups(work)
        done = map_reading(lambda group: _read(group, numbers, modality), groups)
    read = {id(job[0]) for group, count in zip(groups, done, strict=True) for job in group[:count]}
    return [slice_ for slice_, _ in work if id(slice_) not in read]


def probe(stack: Stack, modality: Modality) -> str | None:
    """Why a stack's pixels can't be this modality's, by a look at a few; None: they can."""
    few = sorted({round(i) for i in np.linspace(0, len(stack.slices) - 1, PROBED_SLICES)})
    first = stack.slices[0]
    sample = np.empty((len(few), first.rows, first.columns), np.int16)
    tried = [stack.slices[i] for i in few]
    failed = set(map(id, read_into(zip(tried, sample, strict=True), modality)))
    read = sample[[id(s) not in failed for s in tried]]
    return modality.implausible(read) if len(read) else "pixels that can't be decoded"


def _groups(work: list[Job]) -> list[list[Job]]:
    """What is read together: deflated frames of one file in their order; else a slice by itself."""
    groups: dict[object, list[Job]] = {}
    for job in sorted(work, key=lambda job: job[0].frame or 0):
        slice_ = job[0]
        together = slice_.pixels.syntax == DEFLATED
        groups.setdefault(slice_.source.path if together else id(slice_), []).append(job)
    return list(groups.values())


def _read(group: list[Job], numbers: StoredNumbers, modality: Modality) -> int:
    """How many of the group were read: behind one that is damaged none can be reached."""
    done = 0
    try:
        frames = [Frame.of(slice_) for slice_, _ in group]
        for (slice_, place), stored in zip(group, numbers.of(frames), strict=True):
            _place(stored, slice_.pixels, place, modality)
            done += 1
    except (OSError, ValueError, MemoryError, zlib.error):
        return done
    return done


def _place(stored: NDArray[Any], p: PixelFormat, place: Values, modality: Modality) -> None:
    """Stored numbers -> values in the modality's unit, at their place."""
    values = _stored_bits(stored, p)
    padded = _padded(stored, values, p, modality)
    _store(values, (p.slope, p.intercept), place, modality)
    if padded is not None:
        place[padded] = modality.lowest


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
    stored: NDArray[Any], values: NDArray[Any], p: PixelFormat, modality: Modality
) -> NDArray[np.bool_] | None:
    """Where the slice holds padding, which may need bits above those that count.

    stored: numbers with all their bits; values: with those that count. Some files name a padding
    value within the tissues (0 HU is water): there only what is connected to the slice's edge
    counts.
    """
    if p.padding is None:
        return None
    first, last = p.padding
    lowest, highest = first * p.slope + p.intercept, last * p.slope + p.intercept
    if highest <= modality.lowest and values is stored:
        return None  # clipping does it
    padded = (values >= first) & (values <= last)
    if values is not stored:
        padded |= (stored >= first) & (stored <= last)
    if not padded.any():
        return None
    tissue = modality.tissue
    if tissue is None or highest < tissue[0] or lowest > tissue[1]:
        return np.asarray(padded)
    from scipy import ndimage  # few files need it, and reading begins sooner without

    regions, _ = ndimage.label(padded)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.asarray(np.isin(regions, np.setdiff1d(edge, [0])))
