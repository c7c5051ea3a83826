"""What the classifier's answer depends on: a part of its crop is hidden, and it is asked again.

Occlusion maps (Zeiler and Fergus, ECCV 2014). They need nothing but answers, so any classifier on
any backend has them. What they can't show stands in docs/explain.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace as replace_struct
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.image.grids import FloatArray, Grid
from vfx_edge.inference.patches import as_points
from vfx_edge.manifest import ClassifierParameters, NetworkSpec
from vfx_edge.spine.classify import Answers, combined_views
from vfx_edge.spine.crops import covered, crops_of, grid_of, looks, near_vertebra
from vfx_edge.study import Classified, Explained, Explanation, Finding, VertebraMask

BOX_MM = 20.0
"""Half a lumbar body's width. Smaller ones leave enough of most lesions to be known by."""
STRIDE_MM = 13.0
"""Less than the box: every voxel near the middle was hidden at least once."""
REACH_MM = 30.0
"""So far from the crop's middle boxes are put: the corners would cost half as much again."""
SMOOTH = 0.4
"""Sigma of what one place counts for around it, in strides."""
_LEAST_WEIGHT = 0.3
"""Reached half a box beyond the last place."""

_ENOUGH = 500
"""Voxels of the neighbouring vertebrae from which their median is taken."""

Ask = Callable[[Sequence[FloatArray]], Answers]
"""Crops (z, y, x), ready in numbers, our axes -> what the network says of each."""


class Changes(NamedTuple):
    """Of one crop. middles: (n, 3) voxels z, y, x, the middle of each box, may lie between two;
    falls: (n,) by how much p(malignant) falls; unlike: (n,) p(unknown) there."""

    p_malignant: float
    middles: FloatArray
    falls: FloatArray
    unlike: FloatArray


def middles_of(shape: tuple[int, int, int], spacing_mm: float) -> FloatArray:
    """(n, 3) voxels z, y, x: where boxes are put in a crop, about its middle, `STRIDE_MM` apart."""
    ends = [(n - 1) / 2 * spacing_mm for n in shape]
    along = [np.arange(-(end // STRIDE_MM), end // STRIDE_MM + 1) * STRIDE_MM for end in ends]
    places = np.stack(np.meshgrid(*along, indexing="ij"), -1).reshape(-1, 3)
    near = places[np.linalg.norm(places, axis=1) <= REACH_MM]
    return np.asarray(near / spacing_mm + (np.array(shape) - 1) / 2, np.float32)


def changes(
    crop: FloatArray, plain: FloatArray, ask: Ask, spacing_mm: float, at_once: int
) -> Changes:
    """How the answer to a crop (z, y, x) changes where a box of it shows `plain` (z, y, x) instead.

    at_once: crops that `ask` gets in one call: memory holds no more of them.
    """
    z, y, x = crop.shape
    middles = middles_of((z, y, x), spacing_mm)
    half = BOX_MM / 2 / spacing_mm
    whole = ask([crop])
    hidden = [
        ask([_hidden(crop, plain, middle, half) for middle in middles[first:][:at_once]])
        for first in range(0, len(middles), at_once)
    ]
    p_malignant = np.concatenate([one.malignant for one in hidden])
    unlike = np.concatenate([one.unknown for one in hidden])
    return Changes(float(whole.malignant[0]), middles, whole.malignant - p_malignant, unlike)


def _hidden(crop: FloatArray, plain: FloatArray, middle: FloatArray, half: float) -> FloatArray:
    low = np.maximum(np.ceil(middle - half), 0).astype(int)
    high = np.maximum(np.ceil(middle + half), low + 1).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    copy = crop.copy()
    copy[box] = plain[box]
    return copy


def plain_crop(
    image: Image, mask: VertebraMask, masks: Sequence[VertebraMask], spec: NetworkSpec
) -> FloatArray:
    """A crop (z, y, x) with nothing to see: in the outlines the neighbouring vertebrae's median,
    the vertebra's own where too little of them is there; elsewhere the median of the rest. Beyond
    the scan's end it is what the crop is.

    One number for all would hide little and add much: soft tissue in a body is a lytic lesion.
    """
    open_spec = replace_struct(spec, input=replace_struct(spec.input, mask="none"))
    (shown,) = crops_of(image, [mask], masks, spec)
    (all_there,) = crops_of(image, [mask], masks, open_spec)
    grid = grid_of(mask, spec)
    own = near_vertebra(mask, grid, 0)
    others = np.zeros_like(own)
    for other in masks:
        if other is not mask and other.is_outlined:
            others |= near_vertebra(other, grid, 0)
    bone = own if spec.input.mask == "vertebra" else own | others
    usual = all_there[others if others.sum() >= _ENOUGH else own]
    there = covered(image, grid)
    plain = np.where(bone, _median(usual, shown), _median(shown[there & ~bone], shown))
    return np.where(there, plain, shown).astype(np.float32)


def _median(values: FloatArray, otherwise: FloatArray) -> np.floating:
    return np.median(values if values.size else otherwise)


def smoothed(found: Changes, shape: tuple[int, int, int], spacing_mm: float) -> NDArray[np.float32]:
    """The changes as a map of the crop's shape: at each voxel the mean of the places about it, by
    how near they are. NaN where none is near."""
    values, weights = (np.zeros(shape, np.float32) for _ in range(2))
    sigma = SMOOTH * STRIDE_MM / spacing_mm
    for middle, fall in zip(found.middles, found.falls, strict=True):
        near = _bell(middle, shape, sigma)
        values += near * fall
        weights += near
    known = weights >= _LEAST_WEIGHT
    return np.where(known, values / np.where(known, weights, 1), np.nan).astype(np.float32)


def _bell(middle: FloatArray, shape: tuple[int, int, int], sigma: float) -> FloatArray:
    """Gaussian weights about a place, (z, y, x), 1 at its middle."""
    z, y, x = (
        np.exp(-(((np.arange(n, dtype=np.float32) - at) / sigma) ** 2) / 2)
        for n, at in zip(shape, middle, strict=True)
    )
    return np.asarray(z[:, None, None] * y[:, None] * x)


def explain(
    image: Image, mask: VertebraMask, masks: Sequence[VertebraMask], classifier: Network
) -> Explanation:
    """The map of one vertebra. masks: all of the scan. BackendError leaves."""
    spec = classifier.spec

    def ask(crops: Sequence[FloatArray]) -> Answers:
        return combined_views(looks(crops, classifier), spec.classes, spec.calibration)

    (crop,) = crops_of(image, [mask], masks, spec)
    grid = grid_of(mask, spec)
    plain = plain_crop(image, mask, masks, spec)
    found = changes(crop, plain, ask, grid.spacing_mm, spec.batch.opt)
    change = smoothed(found, grid.shape, grid.spacing_mm)
    return Explanation(
        mask.vertebra.level,
        Image(change, grid.affine_zyx_to_lps, image.modality, "1"),
        said_of(found, grid, spec),
    )


def said_of(found: Changes, grid: Grid, spec: NetworkSpec) -> Explained:
    """What is told of the map: how it was made, and its largest change. grid: of the crop."""
    largest = int(np.abs(found.falls).argmax())
    (place,) = as_points(grid.to_lps(found.middles[largest][None].astype(np.float64)))
    limit = spec.parameters_of(ClassifierParameters).threshold_unknown
    return Explained(
        box_mm=BOX_MM,
        stride_mm=STRIDE_MM,
        places=len(found.middles),
        p_malignant=found.p_malignant,
        largest_change=float(found.falls[largest]),
        largest_at_lps_mm=place,
        unlike=float((found.unlike >= limit).mean()) if "unknown" in spec.classes else None,
    )


def explain_findings(
    image: Image,
    findings: Sequence[Finding],
    masks: Sequence[VertebraMask],
    classifier: Network,
) -> tuple[tuple[Finding, ...], tuple[Explanation, ...]]:
    """The findings with what is said of their maps, and the maps: one for each vertebra that the
    classifier gave a cause. findings: one for each mask. BackendError leaves."""
    maps = tuple(
        explain(image, mask, masks, classifier)
        for finding, mask in zip(findings, masks, strict=True)
        if isinstance(finding.assessment, Classified)
    )
    said = {one.level: one.said for one in maps}
    return tuple(replace(f, explained=said.get(f.vertebra.level)) for f in findings), maps
