"""A crop about each chosen vertebra through the encoder-classifier."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.image.grids import FloatArray
from vfx_edge.inference.slices import averaged, to_left_mm
from vfx_edge.manifest import (
    CalibrationSpec,
    ClassifierParameters,
    FusionParameters,
    NetworkSpec,
)
from vfx_edge.spine.crops import crop as crop
from vfx_edge.spine.crops import crops_of, enough_in_view, is_cut, least_certain, slice_looks, views
from vfx_edge.study import (
    THORACOLUMBAR,
    Assessment,
    CauseNotClassified,
    Classified,
    Finding,
    Measurement,
    NotAssessable,
    NotClassified,
    SliceAnswer,
    Tier,
    Vertebra,
    VertebraMask,
)
from vfx_edge.vocabulary import IMPLAUSIBLE, Reason

_LEAST = np.float32(1e-6)
Chooser = Callable[[Vertebra, Measurement], bool]


class Answers(NamedTuple):
    """What the views of n vertebrae say together, each (n,). unknown: it is unlike all that the
    network was taught; intact: of the rest, no fracture of a kind that it knows; the other two:
    what holds if it is one, together less than 1 where the network has classes that nobody reads.
    """

    osteoporotic: FloatArray
    malignant: FloatArray
    unknown: FloatArray
    intact: FloatArray


def combined_views(
    views: FloatArray, classes: Sequence[str], calibration: CalibrationSpec | None = None
) -> Answers:
    """Probabilities (views, n, classes) -> what the views say together.

    A network need not have the classes "unknown" and "intact". The other two are given that it is
    neither: labels, thresholds and calibrations are of vertebrae that broke. Strangeness counts by
    the view that is most sure of it, "intact", which reassures, by the one that is least. A
    calibration changes what the views say together: it was fitted to results, which hold that.
    """
    none = np.zeros(views.shape[:2], np.float32)
    given = {name: views[..., i] for i, name in enumerate(classes)}
    unknown, intact = given.get("unknown", none), given.get("intact", none)
    known = np.maximum(1 - unknown, _LEAST)
    pair = np.stack([given["osteoporotic"], given["malignant"]])
    # answers of a sigmoid are no shares of one whole
    broken = np.maximum(np.maximum(known - intact, pair.sum(0)), _LEAST)
    both = np.stack([least_certain(one) for one in np.minimum(pair / broken, 1)])
    if calibration is not None:
        both = calibration.tempered(both.T).T * np.minimum(both.sum(0), 1)
    return Answers(both[0], both[1], unknown.max(0), np.minimum(intact / known, 1).min(0))


def decide(answer: Sequence[float], suspected: bool, spec: NetworkSpec) -> Assessment:
    """The tier by the manifest's thresholds. answer: of one vertebra, in the order of `Answers`.
    suspected: whether a fracture is."""
    parameters = spec.parameters_of(ClassifierParameters)
    p_osteoporotic, p_malignant, p_unknown, p_intact = map(float, answer)
    if p_unknown >= parameters.threshold_unknown:
        unknown = Reason.OUT_OF_DISTRIBUTION
        return CauseNotClassified(unknown) if suspected else NotAssessable(unknown)
    if "intact" in spec.classes and p_intact >= parameters.threshold_intact:
        return NotClassified(Reason.INTACT, p_intact)
    tier = tier_by(p_osteoporotic, p_malignant, parameters)
    if spec.calibration is None:
        return Classified(tier, p_osteoporotic, p_malignant)
    possible = spec.calibration.possible(p_osteoporotic, p_malignant)
    return Classified(tier, p_osteoporotic, p_malignant, possible)


def tier_by(
    p_osteoporotic: float, p_malignant: float, limits: ClassifierParameters | FusionParameters
) -> Tier:
    """By the thresholds of whoever has the last word."""
    if p_malignant >= limits.threshold_malignant:
        return Tier.MALIGNANT
    if p_osteoporotic >= limits.threshold_osteoporotic:
        return Tier.OSTEOPOROTIC
    return Tier.UNCERTAIN


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


def without_request(findings: Sequence[Finding], spec: NetworkSpec) -> tuple[Finding, ...]:
    """What the findings of an analysis that sent further vertebrae to the classifier had been, if
    only those with a suspected fracture had gone there. spec: of the classifier."""
    known = (
        _without_network(f.vertebra, f.measurement, bool(f.measurement.suspected_fracture), spec)
        for f in findings
    )
    return tuple(
        finding if answer is None else replace(finding, assessment=answer)
        for finding, answer in zip(findings, known, strict=True)
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
    spec, about = classifier.spec, [mask for mask, _ in asked]
    if spec.slices is None:
        answers, each = views(image, about, masks, classifier), None
    else:
        each = slice_looks(crops_of(image, about, masks, spec), classifier)
        answers = averaged(each, spec.slices)
    combined = combined_views(answers, spec.classes, spec.calibration)
    rows = zip(asked, zip(*combined, strict=True), strict=True)
    found = [decide(answer, bool(got.suspected_fracture), spec) for (_, got), answer in rows]
    return found if each is None else _with_slices(found, each, spec)


def _with_slices(
    found: Sequence[Assessment], answers: FloatArray, spec: NetworkSpec
) -> list[Assessment]:
    """The assessments with what each triplet says; answers: (views, n, triplets, classes)."""
    of_views, n, count, classes = answers.shape
    each = combined_views(answers.reshape(of_views, n * count, classes), spec.classes)
    osteoporotic, malignant = (p.reshape(n, count) for p in (each.osteoporotic, each.malignant))
    return [
        replace(one, slices=_right_to_left(spec, osteoporotic[i], malignant[i]))
        if isinstance(one, Classified)
        else one
        for i, one in enumerate(found)
    ]


def _right_to_left(
    spec: NetworkSpec, osteoporotic: FloatArray, malignant: FloatArray
) -> tuple[SliceAnswer, ...]:
    rows = zip(to_left_mm(spec), map(float, osteoporotic), map(float, malignant), strict=True)
    return tuple(sorted((SliceAnswer(*row) for row in rows), key=lambda one: one.left_mm))
