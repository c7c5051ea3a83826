"""Stages 2 and 3 in one: a network that names every voxel, moved over the located spine.

nnU-Net's own predictor (v2, without mirroring), step by step: crop to what is not zero, normalise,
resample, tiles of half overlap weighted by a Gaussian, answers resampled back, the likeliest class.
Only tiles that touch the spine are run. About the spine all that overlap there are, so there the
labels are nnU-Net's; elsewhere nothing is labelled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.errors import ModelError
from vfx_edge.image import Image
from vfx_edge.image.grids import FloatArray
from vfx_edge.inference.patches import cut, network_axes, to_network
from vfx_edge.inference.resize import (
    Box,
    Resize,
    Shape,
    around,
    box_of,
    moved,
    new_shape,
    separate_axis,
    size_of,
    within,
)
from vfx_edge.manifest import NetworkSpec
from vfx_edge.spine.locate import SpineRegion
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.study import Level, VertebraMask

ABOUT_MM = (45.0, 65.0, 60.0)
"""z, y, x: this far from the spine's line the network is asked. A transverse process ends 50 mm
from it, a spinous one 60 mm; up and down for a vertebra that the locator missed."""
SIGMA = 0.125  # of the Gaussian weight, as a share of the tile
PEAK = 10.0  # of the Gaussian weight: keeps its rim representable in half precision
BRICK = 32  # voxels: where one class wins everywhere, a brick needs no resampling
CHUNK = 32  # planes resampled at once
CUT_MM2 = 150.0  # a process has less in cross-section, a body several times as much
Half = NDArray[np.float16]


class AnswerOverflows(ModelError):
    """Sums of the network's answers do not fit into half precision."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the network '{name}' answers with numbers too large to be summed, as nnU-Net's own "
            "predictor would refuse, too: train it again, or use another model"
        )


@dataclass(frozen=True, eq=False)
class SpineLabels:
    """labels: VerSe labels (z, y, x) uint8 on the image's grid. probability: of each level, the
    mean over its voxels. cut_off: levels that reach the end of where the network was asked, within
    the scan. tiles: run, of so many that cover the whole scan."""

    labels: NDArray[np.uint8]
    probability: dict[Level, float]
    cut_off: frozenset[Level]
    tiles: tuple[int, int]


def outline_vertebrae(
    image: Image, region: SpineRegion, network: Network
) -> tuple[VertebraMask, ...]:
    """Masks of the named vertebrae, head to feet. Raises BackendError leaves, AnswerOverflows."""
    found = label_spine(image, spine_boxes(image, region), network)
    return tuple(_told(mask, found) for mask in masks_from_labels(image, found.labels))


def _told(mask: VertebraMask, found: SpineLabels) -> VertebraMask:
    """With how sure the network is; cut off also where it was not asked beyond."""
    level = mask.vertebra.level
    cut_off = mask.touches_edge or level in found.cut_off
    vertebra = replace(
        mask.vertebra,
        label_probability=found.probability.get(level, 0.0),
        wholly_in_view=not cut_off,
    )
    return replace(mask, vertebra=vertebra, touches_edge=cut_off)


def spine_boxes(image: Image, region: SpineRegion) -> list[Box]:
    """Boxes of voxels (z, y, x) that together hold the spine and what may belong to it."""
    reach = np.array(ABOUT_MM) / image.spacing_zyx_mm
    places = image.to_zyx(region.centreline_lps_mm)
    low = np.clip(np.floor(places - reach).astype(int), 0, image.values.shape)
    high = np.clip(np.ceil(places + reach).astype(int) + 1, 0, image.values.shape)
    meets = (low < high).all(1)
    return [box_of(a, b) for a, b in zip(low[meets], high[meets], strict=True)]


def label_spine(image: Image, boxes: Sequence[Box], network: Network) -> SpineLabels:
    """What the network says of the voxels inside `boxes`; the others are background."""
    frame = _frame(image, network.spec)
    turned = [frame.turned(box, image.values.shape) for box in boxes]
    wanted = [box for box in turned if box is not None]
    labels: NDArray[Any] = np.zeros(image.values.shape, np.uint8)
    if not wanted:
        return SpineLabels(labels, {}, frozenset(), (0, 0))
    answer = _slide(frame, network, wanted)
    inner, classes = _classify(frame, answer, wanted)
    names = network.spec.output.classes
    verse = np.array([Level(n).verse if n in set(Level) else 0 for n in names], np.uint8)
    to_network(labels, network.spec.input)[frame.crop][inner] = verse[classes]  # a view
    cut_off = _cut_off(image, labels, boxes)
    return SpineLabels(labels, _probabilities(answer, names), cut_off, answer.tiles)


def _cut_off(image: Image, labels: NDArray[np.uint8], boxes: Sequence[Box]) -> frozenset[Level]:
    """Levels with more than CUT_MM2 on faces where the boxes end and the scan does not."""
    outer = around(boxes)
    inside = np.zeros(size_of(outer), np.bool_)
    for box in boxes:
        inside[within(box, outer)] = True
    mm2 = np.zeros(256)
    for axis, spacing in enumerate(image.spacing_zyx_mm):
        # the scan's own end is no end of the boxes: `masks_from_labels` looks after that
        ends = (outer[axis].start == 0, outer[axis].stop == labels.shape[axis])
        along, seen = np.moveaxis(inside, axis, 0), np.moveaxis(labels[outer], axis, 0)
        first, last = (np.full_like(along[:1], end) for end in ends)
        padded = np.concatenate([first, along, last])
        face = float(np.prod(image.spacing_zyx_mm)) / spacing
        for beyond in (padded[:-2], padded[2:]):
            mm2 += face * np.bincount(seen[along & ~beyond], minlength=256)
    return frozenset(level for level in Level if mm2[level.verse] > CUT_MM2)


@dataclass(frozen=True, eq=False)
class _Frame:
    """The scan in the network's axes, cropped, and its grids. padding: voxels of the resampled
    grid before the scan begins, where the scan is smaller than a tile; padded: its size then."""

    spec: NetworkSpec
    values: NDArray[np.int16]
    crop: Box
    forth: Resize
    back: Resize
    padding: tuple[int, int, int]
    padded: Shape

    def turned(self, box: Box, shape: tuple[int, ...]) -> Box | None:
        """A box of the image in the cropped scan's voxels; None where they do not meet."""
        order, flips = network_axes(self.spec.input)
        ends = [(shape[a] - s.stop, shape[a] - s.start) if a in flips else (s.start, s.stop)
                for a, s in enumerate(box)]  # fmt: skip
        found = [
            slice(max(ends[a][0] - c.start, 0), min(ends[a][1], c.stop) - c.start)
            for a, c in zip(order, self.crop, strict=True)
        ]
        return (found[0], found[1], found[2]) if all(s.start < s.stop for s in found) else None


def _frame(image: Image, spec: NetworkSpec) -> _Frame:
    window = spec.window
    assert window is not None, "only networks with a [network.window] come here"
    order, _ = network_axes(spec.input)
    scan: NDArray[Any] = image.values
    hu: NDArray[Any] = to_network(scan, spec.input)
    crop = _not_zero(hu)
    # computed from an affine: without rounding, a tie in counting voxels could tip over
    old_mm = [round(float(image.spacing_zyx_mm[axis]), 9) for axis in order]
    new_mm = spec.input.spacing_zyx_mm
    hu = hu[crop]
    old = (hu.shape[0], hu.shape[1], hu.shape[2])
    new = new_shape(old, old_mm, new_mm)
    apart = separate_axis(old_mm, new_mm) if window.separate else None
    apart_back = separate_axis(new_mm, old_mm) if window.separate else None
    patch = spec.input.patch_zyx
    a, b, c = ((max(p - n, 0)) // 2 for p, n in zip(patch, new, strict=True))
    d, e, f = (max(p, n) for p, n in zip(patch, new, strict=True))
    return _Frame(
        spec, hu, crop, Resize(old, new, window.image_order, apart),
        Resize(new, old, window.answer_order, apart_back), (a, b, c), (d, e, f),
    )  # fmt: skip


def _not_zero(hu: NDArray[np.int16]) -> Box:
    """The smallest box that holds every voxel that is not 0; all of it where there is none."""
    found = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        at = np.flatnonzero((hu != 0).any(others))
        found.append(slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, hu.shape[axis]))
    return found[0], found[1], found[2]


@dataclass(frozen=True, eq=False)
class _Answer:
    """logits (classes, *box) in half precision, as nnU-Net sums them; box: of the resampled,
    unpadded grid."""

    logits: Half
    box: Box
    tiles: tuple[int, int]


def _slide(frame: _Frame, network: Network, wanted: Sequence[Box]) -> _Answer:
    """The network's weighted answers over what decides on the `wanted` boxes of the scan."""
    spec = network.spec
    boxes = [frame.back.source(box) for box in wanted]
    box = around(boxes)
    starts = list(_tile_starts(frame, 0.5 if spec.window is None else spec.window.step))
    touched = [start for start in starts if _touches(start, spec.input.patch_zyx, frame, boxes)]
    scan = _Resampled(frame, around([_tile(frame, start) for start in touched]))
    total = np.zeros((len(spec.output.classes), *size_of(box)), np.float16)
    weight = np.zeros(size_of(box), np.float16)
    window = _gaussian(spec.input.patch_zyx)
    at_once = max(network.batch_limit, 1)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is looked for below
        for i in range(0, len(touched), at_once):
            some = touched[i : i + at_once]
            parts = network.run(np.stack([scan.tile(start) for start in some])[:, None])
            for start, part in zip(some, parts, strict=True):
                first = [s - p - b.start for s, p, b in zip(start, frame.padding, box, strict=True)]
                _add(total, weight, part, window, first)
        np.divide(total, weight, out=total, where=weight > 0)
    if not np.isfinite(total).all():
        raise AnswerOverflows(spec.name)
    return _Answer(total, box, (len(touched), len(starts)))


def _tile_starts(frame: _Frame, step: float) -> Iterator[tuple[int, ...]]:
    """First voxels of nnU-Net's tiles, in its order (sums in half precision depend on it)."""
    every = []
    for length, tile in zip(frame.padded, frame.spec.input.patch_zyx, strict=True):
        count = int(np.ceil((length - tile) / (tile * step))) + 1
        apart = (length - tile) / max(count - 1, 1)
        every.append([int(np.round(apart * i)) for i in range(count)])
    return product(*every)


def _tile(frame: _Frame, start: Sequence[int]) -> Box:
    """A tile's part of the resampled, unpadded grid."""
    patch = frame.spec.input.patch_zyx
    return box_of(
        [max(s - p, 0) for s, p in zip(start, frame.padding, strict=True)],
        [min(s - p + n, m) for s, p, n, m in
         zip(start, frame.padding, patch, frame.forth.new, strict=True)],
    )  # fmt: skip


def _touches(start: Sequence[int], patch: Shape, frame: _Frame, boxes: Sequence[Box]) -> bool:
    tile = _tile(frame, start)
    return any(
        all(t.start < b.stop and b.start < t.stop for t, b in zip(tile, box, strict=True))
        for box in boxes
    )


class _Resampled:
    """The normalised scan on the network's grid, as far as tiles need it."""

    def __init__(self, frame: _Frame, box: Box) -> None:
        self._frame, self._box = frame, box
        self._limits = self._find_limits() if frame.forth.order > 1 else None
        self._values = np.empty(size_of(box), np.float32)
        for first in range(box[0].start, box[0].stop, CHUNK):
            part = (slice(first, min(first + CHUNK, box[0].stop)), box[1], box[2])
            at = slice(part[0].start - box[0].start, part[0].stop - box[0].start)
            self._values[at] = self._part(part)

    def tile(self, start: Sequence[int]) -> FloatArray:
        """One tile; 0, which is the mean, beyond the scan."""
        frame = self._frame
        first = [s - p - b.start for s, p, b in zip(start, frame.padding, self._box, strict=True)]
        return cut(self._values, first, frame.spec.input.patch_zyx, 0.0)

    def _part(self, box: Box) -> FloatArray:
        forth = self._frame.forth
        at = forth.source(box)
        block = self._normalised(self._frame.values[at]).astype(np.float64)
        return forth.part(block, at, box, self._limits).astype(np.float32)

    def _normalised(self, hu: NDArray[np.int16]) -> FloatArray:
        return self._frame.spec.input.normalise(hu.astype(np.float32))

    def _find_limits(self) -> NDArray[np.float64]:
        """Lowest and highest number of the whole scan, or of each plane: see `Resize.part`."""
        hu, apart = self._frame.values, self._frame.forth.separate
        axes = None if apart is None else tuple(a for a in range(3) if a != apart)
        ends = np.stack([hu.min(axes), hu.max(axes)])
        return self._normalised(ends).astype(np.float64)


def _gaussian(tile: Sequence[int]) -> FloatArray:
    """nnU-Net's weight of a tile's voxels, rounded to half precision as there."""
    rays = []
    for n in tile:
        spot = np.zeros(n)
        spot[n // 2] = 1
        rays.append(ndimage.gaussian_filter1d(spot, n * SIGMA, mode="constant"))
    z, y, x = rays
    window = z[:, None, None] * y[:, None] * x
    half = (window * (PEAK / window.max())).astype(np.float16)
    half[half == 0] = half[half > 0].min()
    return np.asarray(half, np.float32)


def _add(
    total: Half, weight: Half, part: FloatArray, window: FloatArray, first: Sequence[int]
) -> None:
    """Add a tile's answer (c, z, y, x), weighted, where it lies inside total (c, Z, Y, X)."""
    inside = [
        (max(s, 0), min(s + n, m))
        for s, n, m in zip(first, window.shape, weight.shape, strict=True)
    ]
    to = tuple(slice(a, b) for a, b in inside)
    of = tuple(slice(a - s, b - s) for (a, b), s in zip(inside, first, strict=True))
    weight[to] += window[of]
    for one, answer in zip(total, part, strict=True):
        one[to] += answer[of] * window[of]


def _classify(
    frame: _Frame, answer: _Answer, wanted: Sequence[Box]
) -> tuple[Box, NDArray[np.uint8]]:
    """A box of the cropped scan, and the likeliest class (index) of its voxels; 0 outside
    `wanted`."""
    outer = around(wanted)
    looked = np.zeros(size_of(outer), np.bool_)
    for box in wanted:
        looked[within(box, outer)] = True
    background = frame.spec.output.classes.index("background")
    classes = np.full(looked.shape, background, np.uint8)
    corner = [s.start for s in outer]
    for low in product(*(range(0, n, BRICK) for n in looked.shape)):
        brick = box_of(low, [min(c + BRICK, n) for c, n in zip(low, looked.shape, strict=True)])
        if looked[brick].any():
            classes[brick] = _likeliest(frame.back, answer, moved(brick, corner))
    classes[~looked] = background
    return outer, classes


def _likeliest(back: Resize, answer: _Answer, box: Box) -> NDArray[np.uint8]:
    """The likeliest class of each voxel of a small box of the cropped scan."""
    at = back.source(box)
    logits = answer.logits[(slice(None), *within(at, answer.box))].astype(np.float32)
    flat = logits.reshape(len(logits), -1)
    # linear interpolation stays between the numbers around: most classes cannot win here
    able = np.arange(len(flat))
    if back.order == 1:
        able = np.flatnonzero(flat.max(1) >= flat.min(1).max())
    if len(able) == 1:
        return np.full(size_of(box), able[0], np.uint8)
    # rounded to half precision as nnU-Net does: of equals, the first wins
    fine = [back.part(logits[i], at, box).astype(np.float16) for i in able]
    return np.asarray(able[np.argmax(np.stack(fine), 0)], np.uint8)


def _probabilities(answer: _Answer, names: Sequence[str]) -> dict[Level, float]:
    """How sure the network is of each level, over the voxels that it gives to it."""
    total, count = np.zeros(len(names)), np.zeros(len(names))
    for plane in np.moveaxis(answer.logits, 1, 0):
        logits = plane.reshape(len(names), -1).astype(np.float32)
        best = logits.argmax(0)
        sure = 1 / np.exp(logits - logits.max(0)).sum(0)
        total += np.bincount(best, sure, len(names))
        count += np.bincount(best, minlength=len(names))
    mean = total / np.maximum(count, 1)
    return {Level(n): float(m) for n, m in zip(names, mean, strict=True) if n in set(Level)}
