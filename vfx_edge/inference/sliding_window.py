"""nnU-Net's own window: a network moved over parts of an image, each voxel named by its likeliest
class, or by the last of its regions.

nnU-Net's predictor (v2, without mirroring), step by step: crop to what is not zero, normalise,
resample, tiles of half overlap weighted by a Gaussian, answers resampled back, the likeliest class.
Only tiles that touch what is asked for are run. There all that overlap are, so there the classes
are nnU-Net's own to the voxel; elsewhere nothing is named. Our own code, as nnU-Net's needs torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

SIGMA = 0.125  # of the Gaussian weight, as a share of the tile
PEAK = 10.0  # of the Gaussian weight: keeps its rim representable in half precision
BRICK = 32  # voxels: where one class wins everywhere, a brick needs no resampling
CHUNK = 32  # planes resampled at once
Half = NDArray[np.float16]


class AnswerOverflows(ModelError):
    """Sums of the network's answers do not fit into half precision."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the network '{name}' answers with numbers too large to be summed, as nnU-Net's own "
            "predictor would refuse, too: train it again, or use another model"
        )


@dataclass(frozen=True, eq=False)
class ClassMap:
    """numbers: (z, y, x) uint8 on the image's grid, of each voxel's class; 0 where nothing was
    asked. probability: (classes,) the mean over the voxels that the network gives to each. tiles:
    run, of so many that cover the whole image."""

    numbers: NDArray[np.uint8]
    probability: NDArray[np.float64]
    tiles: tuple[int, int]


def class_map(
    image: Image, boxes: Sequence[Box], network: Network, numbers: Sequence[int]
) -> ClassMap:
    """The likeliest class of each voxel inside `boxes` (z, y, x).

    numbers: what stands for each class in the map, 0..255. Raises BackendError leaves,
    AnswerOverflows.
    """
    frame = _frame(image, network.spec)
    turned = [frame.turned(box, image.shape) for box in boxes]
    wanted = [box for box in turned if box is not None]
    found: NDArray[Any] = np.zeros(image.shape, np.uint8)
    if not wanted:
        return ClassMap(found, np.zeros(len(numbers)), (0, 0))
    answer = _slide(frame, network, wanted)
    inner, classes = _classify(frame, answer, wanted)
    in_network_axes = to_network(found, network.spec.input)[frame.crop]  # a view
    in_network_axes[inner] = np.array([*numbers, 0], np.uint8)[classes]
    return ClassMap(found, _mean_probabilities(answer), answer.tiles)


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
    unpadded grid. regions: nnU-Net paints them one over the other."""

    logits: Half
    box: Box
    tiles: tuple[int, int]
    regions: bool

    def winners(self, logits: NDArray[Any]) -> NDArray[np.intp]:
        """Which class of (classes, ...) each voxel belongs to: the likeliest; of regions the last
        with a probability above one half, or `classes` where there is none."""
        if not self.regions:
            return np.asarray(np.argmax(logits, 0))
        inside = logits > 0
        last = len(inside) - 1 - np.argmax(inside[::-1], 0)
        return np.where(inside.any(0), last, len(inside))


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
    return _Answer(total, box, (len(touched), len(starts)), spec.output.activation == "sigmoid")


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
    """A box of the cropped scan, and the winner among its voxels' classes; background outside
    `wanted`."""
    outer = around(wanted)
    looked = np.zeros(size_of(outer), np.bool_)
    for box in wanted:
        looked[within(box, outer)] = True
    means = frame.spec.means
    background = len(means) if answer.regions else means.index("background")
    classes = np.full(looked.shape, background, np.uint8)
    corner = [s.start for s in outer]
    for low in product(*(range(0, n, BRICK) for n in looked.shape)):
        brick = box_of(low, [min(c + BRICK, n) for c, n in zip(low, looked.shape, strict=True)])
        if looked[brick].any():
            classes[brick] = _named(frame.back, answer, moved(brick, corner))
    classes[~looked] = background
    return outer, classes


def _named(back: Resize, answer: _Answer, box: Box) -> NDArray[np.uint8]:
    """The winner at each voxel of a small box of the cropped scan."""
    at = back.source(box)
    logits = answer.logits[(slice(None), *within(at, answer.box))].astype(np.float32)
    flat = logits.reshape(len(logits), -1)
    # linear interpolation stays between the numbers around: most classes cannot win here
    able = np.arange(len(flat))
    if back.order == 1:
        least = np.float32(0) if answer.regions else flat.min(1).max()
        able = np.flatnonzero(flat.max(1) >= least)
    if len(able) <= (not answer.regions):
        return np.full(size_of(box), able[0] if len(able) else len(flat), np.uint8)
    # rounded to half precision as nnU-Net does: of equals, the first wins
    fine = np.stack([back.part(logits[i], at, box).astype(np.float16) for i in able])
    return np.asarray(np.append(able, len(flat))[answer.winners(fine)], np.uint8)


def _mean_probabilities(answer: _Answer) -> NDArray[np.float64]:
    """(classes,) how sure the network is of each, over the voxels that it gives to it."""
    classes = len(answer.logits)
    total, count = np.zeros(classes + 1), np.zeros(classes + 1)
    for plane in np.moveaxis(answer.logits, 1, 0):
        logits = plane.reshape(classes, -1).astype(np.float32)
        best = answer.winners(logits)
        own = logits[np.minimum(best, classes - 1), np.arange(len(best))]
        # of regions the winner's is above 0, and where there is none nobody asks
        rest = 1 + np.exp(-np.abs(own)) if answer.regions else np.exp(logits - own).sum(0)
        total += np.bincount(best, 1 / rest, classes + 1)
        count += np.bincount(best, minlength=classes + 1)
    return np.asarray(total / np.maximum(count, 1))[:-1]
