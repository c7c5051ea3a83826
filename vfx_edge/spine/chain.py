"""THE SPINE: the whole chain, read from top to bottom in `analyze`."""

from dataclasses import dataclass, replace

import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from vfx_edge.backends import OpenModels
from vfx_edge.image import Image
from vfx_edge.manifest import (
    ClassifierParameters,
    DetectorParameters,
    FusionParameters,
    ModelManifest,
)
from vfx_edge.spine.classify import classify_fractures
from vfx_edge.spine.crops import is_cut
from vfx_edge.spine.detect import detect_fractures
from vfx_edge.spine.explain import explain_findings
from vfx_edge.spine.find import find_bodies
from vfx_edge.spine.height_loss import measure_vertebrae
from vfx_edge.spine.joint import outline_vertebrae
from vfx_edge.spine.label import label_vertebrae
from vfx_edge.spine.levels_by_hand import renamed
from vfx_edge.spine.locate import NoSpineInView, locate_spine
from vfx_edge.spine.name_check import name_remarks
from vfx_edge.spine.plausible import (
    ImplausibleScan,
    column_doubts,
    look_at_scan,
    nothing_judged,
)
from vfx_edge.spine.second_readers import asks_signs, second_readers
from vfx_edge.spine.segment import masks_from_labels, segment_vertebrae
from vfx_edge.spine.slice_distance import at_true_distance, maps_back, put_back, with_warning
from vfx_edge.spine.triage import triage
from vfx_edge.study import (
    NOTHING_KNOWN,
    THORACOLUMBAR,
    Analysis,
    ByHand,
    Calibration,
    Clinical,
    Explanation,
    Finding,
    Level,
    Measurement,
    OnStage,
    Scan,
    StudyResult,
    Vertebra,
    VertebraMask,
)
from vfx_edge.timing import StageClock, run_info
from vfx_edge.vocabulary import IMPLAUSIBLE, STAGES


@dataclass(frozen=True, eq=False)
class ChainOptions:
    """What is looked at. outline: levels that are outlined besides T1 to L6, `levels`, and those
    that `classify` names. segmentation: VerSe labels (z, y, x) on the scan's grid, used instead
    of the chain's own masks; segmentation_named: its file named them. levels_by_hand: a person's
    word on the names. remarks: what is to be said of the input besides. clinical: facts of the
    patient, which come before those of the scan's header. signs: whether those of the vertebrae
    that go to the classifier are measured. explain: whether to map what each answer
    of the classifier depends on."""

    levels: tuple[Level, ...] = THORACOLUMBAR
    classify: str | tuple[Level, ...] = "suspected"
    outline: tuple[Level, ...] = (Level.C7,)  # from T1's neighbour its axis is told
    segmentation: NDArray[np.uint8] | None = None
    segmentation_named: bool = False
    levels_by_hand: ByHand | None = None
    remarks: tuple[str, ...] = ()
    clinical: Clinical = NOTHING_KNOWN
    signs: bool = False
    explain: bool = False

    def outlined(self, level: Level) -> bool:
        """Whether the level is outlined, or only named. All are where a person names them: what is
        C6 until then may be T1."""
        by_name = self.classify if isinstance(self.classify, tuple) else ()
        wanted = (*THORACOLUMBAR, *self.levels, *by_name, *self.outline)
        return self.levels_by_hand is not None or level in wanted

    def chosen(self, vertebra: Vertebra, measurement: Measurement) -> bool:
        """Whether this vertebra is to go to the classifier. By name: whatever can be read of it.
        "all": those in view."""
        if vertebra.level not in self.levels:
            return False
        if isinstance(self.classify, tuple):
            return vertebra.level in self.classify
        if self.classify == "all":
            return not is_cut(vertebra, measurement)
        return bool(measurement.suspected_fracture)


def analyze(
    scan: Scan,
    models: OpenModels,
    options: ChainOptions | None = None,
    on_stage: OnStage | None = None,
) -> Analysis:
    """A CT to a triage of its vertebrae. Raises NoSpineInView, BackendError leaves, and
    InputError leaves about names that were given."""
    options = options or ChainOptions()
    clock = StageClock(STAGES, on_stage or (lambda _: None))
    image, series = scan.image, scan.series
    try:
        seen, found = at_true_distance(
            image, series.orientation, lambda v: _find_vertebrae(v, models, options, clock)
        )
        masks, remarks = _named(found, options)
    except NoSpineInView:
        if doubts := look_at_scan(image, series.orientation).doubts:
            raise ImplausibleScan(doubts[0]) from None
        raise
    with clock.stage("measure"):
        look = look_at_scan(seen, series.orientation)
        drawn_by_hand = options.segmentation is not None
        suspected_from = models.manifest.height_loss_suspected
        measured = measure_vertebrae(seen, masks, suspected_from, drawn_by_hand, look.slice_mm)
        if drawn_by_hand:
            said = tuple(doubt.remark for doubt in look.doubts)
        else:
            doubts = (*look.doubts, *column_doubts(found, look))
            measured = nothing_judged(measured, doubts)
            said = tuple(doubt.sentence for doubt in doubts)
    with clock.stage("classify"):
        measured = _detected(seen, masks, measured, models, options)
        findings = classify_fractures(
            seen, masks, measured, models.network("classifier"), options.chosen
        )
        findings, odd = _with_signs(seen, masks, findings, models.manifest, options)
        findings, unknown = second_readers(
            seen, masks, findings, models, options.clinical, scan.clinical
        )
    findings, maps = _explained(seen, findings, masks, models, options, clock)
    if seen is not image:
        findings, masks = put_back(findings, masks, seen, image)
        maps = maps_back(maps, findings, seen, image)
        series = with_warning(series, image, seen)
    verdict = triage(findings, options.levels)
    run = run_info(models, clock, series.warnings)
    run = replace(
        run,
        thresholds=_thresholds(models.manifest),
        calibration=_calibration(models.manifest),
        levels_by_hand=options.levels_by_hand,
        warnings=(*run.warnings, *options.remarks, *remarks, *look.remarks, *said, *odd, *unknown),
    )
    return Analysis(
        StudyResult(series, verdict, findings, run), replace(scan, series=series), masks, maps
    )


def _find_vertebrae(
    image: Image, models: OpenModels, options: ChainOptions, clock: StageClock
) -> tuple[VertebraMask, ...]:
    """Masks of the vertebrae: by the networks, or as given."""
    if options.segmentation is not None:
        with clock.stage("segment"):
            masks = masks_from_labels(image, options.segmentation)
    elif models.network("segmenter").spec.window is not None:
        with clock.stage("locate"):
            region = locate_spine(image, models.network("locator"))
        with clock.stage("segment"):
            masks = outline_vertebrae(image, region, models.network("segmenter"))
    else:
        with clock.stage("locate"):
            region = locate_spine(image, models.network("locator"))
            bodies = find_bodies(image, region, models.network("finder"))
        with clock.stage("label"):
            vertebrae = label_vertebrae(image, bodies, models.network("labeller"))
        with clock.stage("segment"):
            segmenter = models.network("segmenter")
            masks = segment_vertebrae(image, vertebrae, segmenter, options.outlined)
    return masks


def _named(
    found: tuple[VertebraMask, ...], options: ChainOptions
) -> tuple[tuple[VertebraMask, ...], tuple[str, ...]]:
    """The masks under the names that count, head to feet, and remarks on the names."""
    by_hand = options.levels_by_hand
    masks = renamed(found, by_hand)
    remarks: tuple[str, ...] = ()
    if by_hand is not None or options.segmentation is not None:
        remarks = name_remarks(masks, settled=by_hand is not None or options.segmentation_named)
    if not any(mask.vertebra.level in THORACOLUMBAR for mask in masks):
        raise NoSpineInView("no vertebra from T1 to L5 is in view")
    return masks, remarks


def _detected(
    image: Image,
    masks: tuple[VertebraMask, ...],
    measured: tuple[Measurement, ...],
    models: OpenModels,
    options: ChainOptions,
) -> tuple[Measurement, ...]:
    """With the word of a network that knows fractures, where the set has one."""
    if "detector" not in models.manifest.roles:
        return measured
    wanted = options.levels.__contains__
    return detect_fractures(image, masks, measured, models.network("detector"), wanted)


def _with_signs(
    image: Image,
    masks: tuple[VertebraMask, ...],
    findings: tuple[Finding, ...],
    manifest: ModelManifest,
    options: ChainOptions,
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """With the signs of those that are suspected, which change no answer, where these are asked
    for or a network was taught them. Where they are asked for, also of those whose heights can't
    be read, which a sign may be the cause of, and what is to be said of these."""
    if not (options.signs or asks_signs(manifest)):
        return findings, ()
    from vfx_edge.spine.signs import measure_signs, said_of_unread, unread  # most runs do without

    measured = [finding.measurement for finding in findings]

    def wanted(mask: VertebraMask, its: Measurement) -> bool:
        if its.reason in IMPLAUSIBLE:  # the scan itself can't be right
            return False
        level = mask.vertebra.level
        also = options.signs and level in options.levels and unread(mask, its)
        return also or options.chosen(mask.vertebra, its)

    found = measure_signs(image, masks, measured, wanted)
    signed = tuple(
        replace(finding, signs=signs) for finding, signs in zip(findings, found, strict=True)
    )
    return signed, said_of_unread(signed) if options.signs else ()


def _explained(
    image: Image,
    findings: tuple[Finding, ...],
    masks: tuple[VertebraMask, ...],
    models: OpenModels,
    options: ChainOptions,
    clock: StageClock,
) -> tuple[tuple[Finding, ...], tuple[Explanation, ...]]:
    """With the maps of what the classifier's answers depend on, where they are asked for."""
    if not options.explain:
        return findings, ()
    with clock.stage("explain"):
        return explain_findings(image, findings, masks, models.network("classifier"))


def _thresholds(manifest: ModelManifest) -> dict[str, float]:
    classifier = manifest.network("classifier")
    limits = classifier.parameters_of(ClassifierParameters)
    thresholds = {
        "height_loss": manifest.height_loss_suspected,
        "malignant": limits.threshold_malignant,
        "osteoporotic": limits.threshold_osteoporotic,
    }
    if "intact" in classifier.classes:
        thresholds["intact"] = limits.threshold_intact
    if "detector" in manifest.roles:
        detector = manifest.network("detector").parameters_of(DetectorParameters)
        thresholds["detector"] = detector.threshold
    if "fusion" in manifest.roles:
        fused = manifest.network("fusion").parameters_of(FusionParameters)
        thresholds |= {  # it sets the tier; the network's hold where it can't be asked
            "network_malignant": limits.threshold_malignant,
            "network_osteoporotic": limits.threshold_osteoporotic,
            "malignant": fused.threshold_malignant,
            "osteoporotic": fused.threshold_osteoporotic,
        }
    return thresholds


def _calibration(manifest: ModelManifest) -> Calibration | None:
    said = manifest.network("classifier").calibration
    return None if said is None else Calibration(**asdict(said))
