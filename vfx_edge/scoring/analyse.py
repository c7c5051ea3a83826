"""One study through the chain, or from a result that is there, against what is known of it."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.scoring.answers import CHAIN, EXPERT, Answer, Seen, Task
from vfx_edge.scoring.compared import compared
from vfx_edge.scoring.perturb import OUTLINE, perturbed
from vfx_edge.scoring.results import Result, read_result
from vfx_edge.scoring.truth import Truth, read_truth
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.study import (
    THORACOLUMBAR,
    CauseNotClassified,
    Classified,
    Clinical,
    Finding,
    Level,
    NotAssessable,
    NotClassified,
    Scan,
    Tier,
    VertebraMask,
)

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.spine.chain import ChainOptions

GIVEN = "given"
MASKS = (CHAIN, GIVEN)
"""Whose outlines are classified: the chain's, or those that come with the data."""


class NoMaskGiven(InputError):
    """The experts' masks were to be used, and this study has none."""

    def __init__(self) -> None:
        super().__init__(
            "the study has no expert's mask, which --masks given needs: draw one, or leave "
            "--masks out."
        )


def answer(task: Task, models: "OpenModels | None", masks: str, radiomics: bool = False) -> Answer:
    """models: None where a result is read. masks: one of MASKS. radiomics: whether they are
    measured; a result has them or not. VfxError leaves."""
    scan = load_scan(task.path)
    if task.perturbation:
        scan = perturbed(scan, task.perturbation)
    truth = read_truth(task.mask, task.centres, scan)
    if task.result is not None:
        found = read_result(task.result, scan)
    else:
        assert models is not None, "a study without a result needs networks"
        moved_by = OUTLINE.seed if task.perturbation == OUTLINE.name else None
        measured = _Radiomics(radiomics, moved_by)
        found = _analysed(scan, truth, models, masks, measured, task.clinical)
    matched = compared(found.seen, found.labels, truth, scan.image)
    thick = scan.series.slice_thickness_mm or scan.series.spacing_mm[2]
    return Answer(
        seen=found.seen,
        known=matched.known,
        tier=found.tier,
        mask_by=EXPERT if masks == GIVEN and task.result is None else CHAIN,
        slice_mm=round(float(thick), 3),
        contrast=scan.series.contrast,
        doubled=matched.doubled,
        invented=matched.invented,
        seconds=found.seconds,
        failure=found.failure,
    )


@dataclass(frozen=True)
class _Radiomics:
    """Whether they are wanted, and of which outline: the chain's, or one that is moved."""

    wanted: bool
    moved_by: int | None

    def of(self, image: Image, mask: VertebraMask) -> dict[str, float]:
        """What is defined."""
        if not self.wanted:
            return {}
        from vfx_edge.radiomics import measured

        features = measured(image, mask, self.moved_by).features
        return {name: value for name, value in features.items() if math.isfinite(value)}


def _analysed(
    scan: Scan,
    truth: Truth,
    models: "OpenModels",
    masks: str,
    radiomics: _Radiomics,
    clinical: Clinical,
) -> Result:
    """Every vertebra of T1 to L6 goes to the classifier by its name, the product's own verdict
    is that of the suspected ones."""
    from vfx_edge.outputs.labels import label_map
    from vfx_edge.spine.chain import analyze
    from vfx_edge.spine.classify import without_request
    from vfx_edge.spine.triage import triage

    try:
        options = replace(_options(truth, masks), clinical=clinical)
        analysis = models.answer(lambda: analyze(scan, models, options))
    except NoSpineInView as error:  # every vertebra that is known counts as missed
        nothing = np.zeros(scan.image.shape, np.uint8)
        return Result((), Tier.NOT_ASSESSABLE, nothing, failure=error.nameless)
    findings = analysis.findings
    own = without_request(findings, models.manifest.network("classifier"))
    return Result(
        seen=tuple(
            replace(_seen(finding), features=radiomics.of(scan.image, mask))
            for finding, mask in zip(findings, analysis.masks, strict=True)
        ),
        tier=triage(own, THORACOLUMBAR).tier,
        labels=label_map(scan.image, analysis.masks),
        seconds=round(float(analysis.run.seconds["total"]), 3),
    )


def _options(truth: Truth, masks: str) -> "ChainOptions":
    from vfx_edge.spine.chain import ChainOptions

    if masks != GIVEN:
        return ChainOptions(classify=THORACOLUMBAR, outline=tuple(Level))
    if truth.labels is None:
        raise NoMaskGiven
    return ChainOptions(classify=THORACOLUMBAR, segmentation=truth.labels, segmentation_named=True)


def _seen(finding: Finding) -> Seen:
    vertebra, measured = finding.vertebra, finding.measurement
    heights = measured.heights
    mm = (heights.anterior_mm, heights.middle_mm, heights.posterior_mm) if heights else (None,) * 3
    anterior, middle, posterior = (None if v is None else round(float(v), 2) for v in mm)
    x, y, z = (round(float(v), 2) for v in vertebra.centroid_lps_mm)
    return Seen(
        level=vertebra.level.value,
        lps_mm=(x, y, z),
        probability=float(vertebra.label_probability),
        whole=bool(vertebra.wholly_in_view),
        anterior_mm=anterior,
        middle_mm=middle,
        posterior_mm=posterior,
        height_loss=None if measured.height_loss is None else float(measured.height_loss),
        suspected=None
        if measured.suspected_fracture is None
        else bool(measured.suspected_fracture),
        **_cause(finding),
    )


def _cause(finding: Finding) -> dict[str, Any]:
    match finding.assessment:
        case Classified(tier, p_osteoporotic, p_malignant, slices=slices, parts=parts):
            by_name = {f"p_{part.name}": float(part.p_malignant) for part in parts}
            return {
                "tier": tier.value,
                "p_osteoporotic": float(p_osteoporotic),
                "p_malignant": float(p_malignant),
                "p_malignant_slices": tuple(float(one.p_malignant) for one in slices),
                **{key: by_name[key] for key in ("p_network", "p_tabular") if key in by_name},
            }
        case CauseNotClassified(because=because) as it:
            return {"tier": it.tier.value, "reason": because}
        case NotAssessable(reason):
            return {"tier": Tier.NOT_ASSESSABLE.value, "reason": reason}
        case NotClassified(reason):
            return {"reason": reason}
