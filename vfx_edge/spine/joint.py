"""Naming and outlining in one: a network that names every voxel, moved over the located spine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.inference.resize import Box, around, box_of, size_of, within
from vfx_edge.inference.sliding_window import class_map
from vfx_edge.spine.locate import SpineRegion
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.study import Level, VertebraMask

ABOUT_MM = (45.0, 65.0, 60.0)
"""z, y, x: this far from the spine's line the network is asked. A transverse process ends 50 mm
from it, a spinous one 60 mm; up and down for a vertebra that the locator missed."""
CUT_MM2 = 150.0  # a process has less in cross-section, a body several times as much


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
    return tuple(_with_certainty(mask, found) for mask in masks_from_labels(image, found.labels))


def _with_certainty(mask: VertebraMask, found: SpineLabels) -> VertebraMask:
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
    low = np.clip(np.floor(places - reach).astype(int), 0, image.shape)
    high = np.clip(np.ceil(places + reach).astype(int) + 1, 0, image.shape)
    meets = (low < high).all(1)
    return [box_of(a, b) for a, b in zip(low[meets], high[meets], strict=True)]


def label_spine(image: Image, boxes: Sequence[Box], network: Network) -> SpineLabels:
    """What the network names inside `boxes`; the other voxels are background."""
    levels = [Level(n) if n in set(Level) else None for n in network.spec.means]
    found = class_map(image, boxes, network, [level.verse if level else 0 for level in levels])
    if found.tiles == (0, 0):
        return SpineLabels(found.numbers, {}, frozenset(), found.tiles)
    sure = zip(levels, found.probability.tolist(), strict=True)
    probability = {level: mean for level, mean in sure if level}
    cut_off = _cut_off(image, found.numbers, boxes)
    return SpineLabels(found.numbers, probability, cut_off, found.tiles)


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
