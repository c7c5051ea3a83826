"""The vertebrae's soft masks as one map of labels on the CT's own grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
from vfx_edge.parallel import map_computing
from vfx_edge.study import VertebraMask

_INSIDE = 0.5
_FULL = 255
_HALF = 128
"""The least whole number of 255ths that is at least one half."""
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class _Part:
    """The part of a mask beyond which nothing reaches one half: (z, y, x) float32 0..1, and
    where its voxel (0, 0, 0) lies, LPS mm."""

    chance: NDArray[np.float32]
    origin_lps_mm: NDArray[np.float64]
    spacing_mm: float


def label_map(
    image: Image, masks: Sequence[VertebraMask], numbers: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """(z, y, x) VerSe labels on the CT's grid, or each mask's own of `numbers` (1..255); 0 outside.

    The soft masks are interpolated linearly; a voxel goes to the likeliest vertebra of at least
    one half.
    """
    named = [mask.vertebra.level.verse for mask in masks] if numbers is None else numbers
    return numbered(image, masks, named)[0]


def numbered(
    image: Image, masks: Sequence[VertebraMask], numbers: Sequence[int]
) -> tuple[NDArray[np.uint8], Box, tuple[bool, ...]]:
    """The map as of `label_map`, the box beyond which it is 0, and for each mask whether a voxel of
    it is there. What lies beyond the box is best left unread: memory is got when it is touched."""
    labels = np.zeros(image.shape, dtype=np.uint8)
    drawn = map_computing(lambda mask: _on_grid(image, mask), masks)
    around = _union([found[0] for found in drawn if found is not None])
    # Where the column is, not the whole scan; bytes, not floats: memory is what costs here.
    column = labels[around]
    best = np.full(column.shape, _HALF - 1, dtype=np.uint8)
    for number, found in zip(numbers, drawn, strict=True):
        if found is not None:
            box, chance = _within(found[0], around), found[1]
            wins = (chance > best[box]).view(np.uint8)  # sums of bytes: a copy by a mask is slow
            np.maximum(best[box], chance, out=best[box])
            column[box] *= 1 - wins
            column[box] += wins * np.uint8(number)
    there = [
        found is not None and bool((labels[found[0]] == number).any())
        for number, found in zip(numbers, drawn, strict=True)
    ]
    return labels, around, tuple(there)


def _union(boxes: Sequence[Box]) -> Box:
    """The least box around all; an empty one around none."""
    edges = [
        (min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True)
    ]
    z, y, x = (slice(low, high) for low, high in edges or [(0, 0)] * 3)
    return z, y, x


def _within(box: Box, around: Box) -> Box:
    """The box as indices into `around`."""
    z, y, x = (
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(box, around, strict=True)
    )
    return z, y, x


def _on_grid(image: Image, mask: VertebraMask) -> tuple[Box, NDArray[np.uint8]] | None:
    """The vertebra's probability, body and arch together, in 255ths on the CT's voxels, and which
    voxels these are; None when it lies outside."""
    part = _inner_part(mask)
    box = None if part is None else _box(image, part)
    if part is None or box is None:
        return None
    reverse = np.eye(3)[::-1]
    matrix = reverse @ image.affine_zyx_to_lps[:3, :3] / part.spacing_mm
    start = image.affine_zyx_to_lps[:3, 3] - part.origin_lps_mm
    corner = np.array([edge.start for edge in box], dtype=np.float64)
    offset = reverse @ start / part.spacing_mm + matrix @ corner
    shape = tuple(edge.stop - edge.start for edge in box)
    along = np.diag(matrix)
    plain = np.array_equal(matrix, np.diag(along))  # SciPy takes a shorter way then
    chance = ndimage.affine_transform(
        part.chance, along if plain else matrix, offset, output_shape=shape, output=np.float32,
        order=1,
    )  # fmt: skip
    chance *= _FULL
    return box, np.rint(chance, out=chance).astype(np.uint8)


def _inner_part(mask: VertebraMask) -> _Part | None:
    """Cut a voxel beyond the outermost one that reaches one half: between those further out none
    is interpolated that does."""
    whole = np.minimum(mask.body.astype(np.float32) + mask.arch.astype(np.float32), 1.0)
    found = ndimage.find_objects((whole >= _INSIDE).astype(np.uint8))
    if not found:
        return None
    low = [max(edge.start - 1, 0) for edge in found[0]]
    inner = tuple(slice(a, edge.stop + 1) for a, edge in zip(low, found[0], strict=True))
    origin = np.array(mask.origin_lps_mm) + np.array(low[::-1]) * mask.spacing_mm
    return _Part(whole[inner], origin, mask.spacing_mm)


def _box(image: Image, part: _Part) -> Box | None:
    """The voxels of the CT that the part covers."""
    last = (np.array(part.chance.shape[::-1]) - 1) * part.spacing_mm
    corners = part.origin_lps_mm + np.array(list(np.ndindex(2, 2, 2))) * last
    zyx = image.to_zyx(corners)
    low = np.maximum(np.ceil(zyx.min(0)).astype(int), 0)
    high = np.minimum(np.floor(zyx.max(0)).astype(int) + 1, image.shape)
    if (high <= low).any():
        return None
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x
