"""A crop about each chosen vertebra through the encoder-classifier."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image, Point
from vfx_edge.image.grids import FloatArray, Grid, grid_about, inside_scan, sample
from vfx_edge.inference.patches import from_voxel_to_middle_mm, our_shape, run_patches
from vfx_edge.manifest import ClassifierParameters, NetworkSpec
from vfx_edge.study import (
    THORACOLUMBAR,
    Assessment,
    CauseNotClassified,
    Classified,
    Finding,
    Level,
    Measurement,
    NotAssessable,
    NotClassified,
    Tier,
    Vertebra,
    VertebraMask,
)
from vfx_edge.vocabulary import Reason

Chooser = Callable[[Level, Measurement], bool]


def crop(image: Image, mask: VertebraMask, spec: NetworkSpec) -> FloatArray:
    """The classifier's input for one vertebra, (z, y, x), ready in numbers, our axes."""
    parameters = spec.parameters_of(ClassifierParameters)
    grid = grid_about(_middle(mask, spec), our_shape(spec.input), spec.input.spacing_mm)
    order = 3 if spec.input.interpolation == "cubic" else 1
    hu = sample(image, grid, order, smooth=bool(parameters.smooth))
    wanted = _covered(image, grid)
    if spec.input.mask == "vertebra":
        wanted &= _near_vertebra(mask, grid, parameters.mask_margin_mm)
    if not wanted.any():
        return spec.input.normalise(np.full(grid.shape, image.outside))
    numbers = spec.input.normalise(hu)
    if spec.input.padding_hu == "mean":
        numbers[~wanted] = numbers[wanted].mean()
    else:
        numbers[~wanted] = spec.input.normalise(np.array(spec.input.padding_hu))
    return numbers


def _middle(mask: VertebraMask, spec: NetworkSpec) -> Point:
    """LPS mm of the crop's middle: the centroid, or half a voxel beside it where the manifest
    says that the centroid lies on a voxel (n // 2, as slices from c - n/2 to c + n/2 have it)."""
    x, y, z = mask.vertebra.centroid_lps_mm
    if spec.parameters_of(ClassifierParameters).centre == "middle":
        return x, y, z
    to_left, to_back, to_head = from_voxel_to_middle_mm(spec.input)
    return x + to_left, y + to_back, z + to_head


def boxed(image: Image, masks: Sequence[VertebraMask], margin_mm: float) -> Image:
    """The scan cut, in whole voxels, to the box about all vertebrae and the margin."""
    places = [mask.grid.to_lps(np.argwhere(mask.bone)) for mask in masks]
    index = image.to_zyx(np.concatenate(places))
    # a soft mask ends half a voxel beyond the voxels that were marked
    first, last = np.rint(index.min(0) + 1e-3), np.rint(index.max(0) - 1e-3)
    reach = np.rint(margin_mm / image.spacing_zyx_mm)
    low = np.clip(first - reach, 0, np.array(image.shape) - 1).astype(int)
    high = np.clip(last + reach, low + 1, image.shape).astype(int)
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, 3] = image.to_lps(low[None].astype(np.float64))[0]
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Image(image.values[z, y, x], affine, image.modality, image.unit)


def _covered(image: Image, grid: Grid) -> np.ndarray:
    points = grid.to_lps(np.argwhere(np.ones(grid.shape, np.bool_)).astype(np.float64))
    return inside_scan(image, points).reshape(grid.shape)


def _near_vertebra(mask: VertebraMask, grid: Grid, margin_mm: float) -> np.ndarray:
    """Voxels of `grid` in the vertebra's mask, or within the margin of it."""
    hard = (mask.bone * np.int16(1000)).astype(np.int16)
    soft = sample(Image(hard, mask.grid.affine_zyx_to_lps, "SEG", "1"), grid) > 500
    if margin_mm <= 0:
        return soft
    distance = ndimage.distance_transform_edt(~soft) * grid.spacing_mm
    return np.asarray(distance <= margin_mm)


def least_certain(views: FloatArray) -> FloatArray:
    """Of probabilities (views, n) the one nearest to a half, (n,); a half where they disagree.

    An answer that a mirror image shakes was none: this never sounds surer than the mean.
    """
    middle = views.mean(0)
    spread = np.abs(views - middle).max(0)
    lean = middle - np.float32(0.5)
    return np.asarray(
        np.float32(0.5) + np.sign(lean) * np.maximum(np.abs(lean) - spread, 0), np.float32
    )


def combined_views(
    views: FloatArray, classes: Sequence[str]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Probabilities (views, n, classes) -> p(osteoporotic), p(malignant), p(unknown), each (n,).

    The class "unknown", which a network need not have, says that a crop is unlike all that the
    network was taught. The other two are what holds if it is not.
    """
    unknown = np.zeros(views.shape[:2], np.float32)
    if "unknown" in classes:
        unknown = views[..., classes.index("unknown")]
    known = np.maximum(1 - unknown, np.float32(1e-6))
    osteoporotic, malignant = (
        least_certain(np.minimum(views[..., classes.index(name)] / known, 1))
        for name in ("osteoporotic", "malignant")
    )
    return osteoporotic, malignant, unknown.max(0)


def decide(
    p_osteoporotic: float,
    p_malignant: float,
    p_unknown: float,
    suspected: bool,
    spec: NetworkSpec,
) -> Assessment:
    """The answer's tier by the manifest's thresholds. suspected: whether the heights tell of a
    fracture."""
    parameters = spec.parameters_of(ClassifierParameters)
    if p_unknown >= parameters.threshold_unknown:
        unknown = Reason.OUT_OF_DISTRIBUTION
        return CauseNotClassified(unknown) if suspected else NotAssessable(unknown)
    if p_malignant >= parameters.threshold_malignant:
        tier = Tier.MALIGNANT
    elif p_osteoporotic >= parameters.threshold_osteoporotic:
        tier = Tier.OSTEOPOROTIC
    else:
        tier = Tier.UNCERTAIN
    return Classified(tier, p_osteoporotic, p_malignant)


def _without_network(
    level: Level, measured: Measurement, wanted: bool, spec: NetworkSpec
) -> Assessment | None:
    """The assessment where the classifier is not asked; None where it is."""
    suspected = measured.suspected_fracture
    if suspected is None and level in THORACOLUMBAR:
        return NotAssessable(measured.reason or Reason.LOW_CONFIDENCE)
    if level not in spec.parameters_of(ClassifierParameters).levels:
        outside = Reason.LEVEL_OUTSIDE_MODEL_RANGE
        return CauseNotClassified(outside) if suspected else NotClassified(outside)
    if suspected is None:
        return NotAssessable(measured.reason or Reason.LOW_CONFIDENCE)
    if wanted:
        return None
    if suspected:
        return CauseNotClassified(Reason.NOT_REQUESTED)
    return NotClassified(Reason.NO_FRACTURE_SUSPECTED)


def classify_fractures(
    image: Image,
    masks: Sequence[VertebraMask],
    measurements: Sequence[Measurement],
    classifier: Network,
    chosen: Chooser,
) -> tuple[Finding, ...]:
    """A finding for every mask. chosen(level, measurement): whether to ask the classifier."""
    spec = classifier.spec
    known = [
        _without_network(m.vertebra.level, got, chosen(m.vertebra.level, got), spec)
        for m, got in zip(masks, measurements, strict=True)
    ]
    ask = [
        (mask, bool(got.suspected_fracture))
        for mask, got, answer in zip(masks, measurements, known, strict=True)
        if answer is None
    ]
    if ask and spec.input.mask == "box":
        image = boxed(image, masks, spec.parameters_of(ClassifierParameters).mask_margin_mm)
    answers = iter(_classified_crops(image, ask, classifier))
    return tuple(
        Finding(_in_view(m.vertebra, got), got, answer if answer is not None else next(answers))
        for m, got, answer in zip(masks, measurements, known, strict=True)
    )


def without_request(findings: Sequence[Finding], spec: NetworkSpec) -> tuple[Finding, ...]:
    """What the findings of an analysis that sent further vertebrae to the classifier had been, if
    only those with a suspected fracture had gone there. spec: of the classifier."""
    known = (
        _without_network(
            f.vertebra.level, f.measurement, bool(f.measurement.suspected_fracture), spec
        )
        for f in findings
    )
    return tuple(
        replace(finding, assessment=finding.assessment if answer is None else answer)
        for finding, answer in zip(findings, known, strict=True)
    )


def _in_view(vertebra: Vertebra, measured: Measurement) -> Vertebra:
    """One that the scan's edge cuts at a rim alone is in view if its heights could be judged."""
    judged = measured.suspected_fracture is not None
    return replace(vertebra, wholly_in_view=vertebra.wholly_in_view or judged)


def _classified_crops(
    image: Image, asked: Sequence[tuple[VertebraMask, bool]], classifier: Network
) -> list[Assessment]:
    """From the crop and, where the manifest asks for it, its left-right mirror image. asked:
    masks, and whether their heights make a fracture suspected."""
    if not asked:
        return []
    spec = classifier.spec
    crops = [crop(image, mask, spec)[None] for mask, _ in asked]
    mirrored = (
        [c[..., ::-1] for c in crops] if spec.parameters_of(ClassifierParameters).mirror else []
    )
    answer = run_patches(classifier, [*crops, *mirrored])
    views = answer.reshape(-1, len(crops), answer.shape[1])
    rows = zip(asked, *combined_views(views, spec.output.classes), strict=True)
    return [
        decide(float(o), float(m), float(u), suspected, spec) for (_, suspected), o, m, u in rows
    ]
