"""A crop about each chosen vertebra through the encoder-classifier."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.image.grids import FloatArray
from vfx_edge.manifest import CalibrationSpec, ClassifierParameters, NetworkSpec
from vfx_edge.spine.crops import crop as crop
from vfx_edge.spine.crops import enough_in_view, is_cut, least_certain, views
from vfx_edge.study import (
    THORACOLUMBAR,
    Assessment,
    CauseNotClassified,
    Classified,
    Finding,
    Measurement,
    NotAssessable,
    NotClassified,
    Tier,
    Vertebra,
    VertebraMask,
)
from vfx_edge.vocabulary import IMPLAUSIBLE, Reason

Chooser = Callable[[Vertebra, Measurement], bool]


def combined_views(
    views: FloatArray, classes: Sequence[str], calibration: CalibrationSpec | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Probabilities (views, n, classes) -> p(osteoporotic), p(malignant), p(unknown), each (n,).

    The class "unknown", which a network need not have, says that a crop is unlike all that the
    network was taught. The other two are what holds if it is not. A calibration changes what the
    views say together: it was fitted to results, which hold that.
    """
    unknown = np.zeros(views.shape[:2], np.float32)
    if "unknown" in classes:
        unknown = views[..., classes.index("unknown")]
    known = np.maximum(1 - unknown, np.float32(1e-6))
    both = [
        least_certain(np.minimum(views[..., classes.index(name)] / known, 1))
        for name in ("osteoporotic", "malignant")
    ]
    if calibration is not None:
        both = list(np.moveaxis(calibration.tempered(np.stack(both, -1)), -1, 0))
    return both[0], both[1], unknown.max(0)


def decide(
    p_osteoporotic: float,
    p_malignant: float,
    p_unknown: float,
    suspected: bool,
    spec: NetworkSpec,
) -> Assessment:
    """The answer's tier by the manifest's thresholds. suspected: whether a fracture is."""
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
    if spec.calibration is None:
        return Classified(tier, p_osteoporotic, p_malignant)
    possible = spec.calibration.possible(p_osteoporotic, p_malignant)
    return Classified(tier, p_osteoporotic, p_malignant, possible)


def _without_network(
    vertebra: Vertebra, measured: Measurement, wanted: bool, spec: NetworkSpec
) -> Assessment | None:
    """The assessment where the classifier is not asked; None where it is."""
    level, suspected = vertebra.level, measured.suspected_fracture
    ours = level in spec.parameters_of(ClassifierParameters).levels
    if wanted and ours:
        return None
    if suspected is None and (ours or level in THORACOLUMBAR):
        return NotAssessable(measured.reason or Reason.LOW_CONFIDENCE)
    if not ours:
        outside = Reason.LEVEL_OUTSIDE_MODEL_RANGE
        return CauseNotClassified(outside) if suspected else NotClassified(outside)
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
    """A finding for every mask. chosen: whether to ask the classifier, as far as it can be asked:
    not where the scan itself can't be right, nor where its edge leaves too little to see."""
    spec = classifier.spec

    def is_asked(mask: VertebraMask, measured: Measurement) -> bool:
        if measured.reason in IMPLAUSIBLE or not chosen(mask.vertebra, measured):
            return False
        return not is_cut(mask.vertebra, measured) or enough_in_view(image, mask, spec)

    pairs = list(zip(masks, measurements, strict=True))
    known = [_without_network(m.vertebra, got, is_asked(m, got), spec) for m, got in pairs]
    ask = [pair for pair, answer in zip(pairs, known, strict=True) if answer is None]
    answers = iter(_classified(image, ask, masks, classifier) if ask else ())
    return tuple(
        Finding(_in_view(m.vertebra, got), got, answer if answer is not None else next(answers))
        for (m, got), answer in zip(pairs, known, strict=True)
    )


def _in_view(vertebra: Vertebra, measured: Measurement) -> Vertebra:
    """One that the scan's edge cuts at a rim alone is in view if its heights could be judged."""
    judged = measured.suspected_by_heights is not None
    return replace(vertebra, wholly_in_view=vertebra.wholly_in_view or judged)


def _classified(
    image: Image,
    asked: Sequence[tuple[VertebraMask, Measurement]],
    masks: Sequence[VertebraMask],
    classifier: Network,
) -> list[Assessment]:
    spec = classifier.spec
    answers = views(image, [mask for mask, _ in asked], masks, classifier)
    combined = combined_views(answers, spec.output.classes, spec.calibration)
    rows = zip(asked, *combined, strict=True)
    return [
        decide(float(o), float(m), float(u), bool(got.suspected_fracture), spec)
        for (_, got), o, m, u in rows
    ]
