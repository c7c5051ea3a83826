"""Made-up analyses: a CT of ellipsoids, or any volume with ellipsoid masks about given centres."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vfx_edge.image import Image
from vfx_edge.spine.height_loss import genant_grade
from vfx_edge.spine.triage import triage
from vfx_edge.study import (
    THORACOLUMBAR,
    Analysis,
    Assessment,
    BackendUse,
    CauseNotClassified,
    Classified,
    Finding,
    Heights,
    Level,
    Measurement,
    ModelUse,
    NotAssessable,
    NotClassified,
    Point,
    RunInfo,
    Scan,
    SeriesInfo,
    SkippedSeries,
    StudyResult,
    Tier,
    Triage,
    Vertebra,
    VertebraMask,
)

SHA = "0123456789abcdef" * 4
DEMONSTRATION = "demonstration"
RECOMMENDATION = "Urgent: contrast-enhanced MRI and work-up for malignancy are recommended."

Case = tuple[Assessment, float | None, int | None]
"""Assessment, height loss, Genant grade."""
MALIGNANT: Case = (Classified(Tier.MALIGNANT, 0.06, 0.94), 0.38, 2)
OSTEOPOROTIC: Case = (Classified(Tier.OSTEOPOROTIC, 0.97, 0.03), 0.27, 2)
UNCERTAIN: Case = (Classified(Tier.UNCERTAIN, 0.55, 0.45), 0.22, 1)
UNCLASSIFIED: Case = (CauseNotClassified("level_outside_model_range"), 0.31, 2)
TRUNCATED: Case = (NotAssessable("truncated"), None, None)
METAL: Case = (NotAssessable("metal"), None, None)
OVERRULED: Case = (NotClassified("intact", 0.91), 0.24, 1)
NORMAL: Case = (NotClassified("no_fracture_suspected"), 0.04, 0)

SERIES = SeriesInfo(
    study_uid="1.2.826.0.1.3680043.8.498.1",
    series_uid="1.2.826.0.1.3680043.8.498.2",
    modality="CT",
    slices=200,
    spacing_mm=(0.78, 0.78, 1.25),
    orientation="axial",
    description="Spine 1.25 B70",
    kernel="B70f",
    contrast=False,
    slice_thickness_mm=1.25,
    others=(
        SkippedSeries("1.2.826.0.1.3680043.8.498.3", "a scout: 2 images"),
        SkippedSeries("1.2.826.0.1.3680043.8.498.4", "thicker slices (5.0 mm)"),
    ),
    warnings=("2 slices are missing at 40 % of the height; the gap was filled by interpolation.",),
)

BACKEND = BackendUse(
    requested="auto",
    used="openvino",
    device="AMD EPYC 9554P",
    precision="bf16",
    skipped=(
        ("tensorrt", "libnvinfer.so.10 was not found"),
        ("cuda", "no NVIDIA driver"),
    ),
    passed_over=(("tensorrt", "libnvinfer.so.10 was not found"),),
    failed=(("tensorrt-rtx", "the GPU was lost"),),
)

RUN = RunInfo(
    version="0.1.0",
    started_at="2026-03-04T03:12:45+01:00",
    model_set="default",
    intended_use=DEMONSTRATION,
    models=tuple(
        ModelUse(role, f"{role}-unet", SHA)
        for role in ("locator", "finder", "labeller", "segmenter", "classifier")
    ),
    backend=BACKEND,
    seconds={
        "read": 0.62,
        "locate": 0.74,
        "label": 1.9,
        "segment": 3.31,
        "measure": 0.2,
        "classify": 0.12,
        "write": 0.0,
        "total": 7.1,
    },
    peak_rss_mib=1402.4,
    peak_vram_mib=None,
    warnings=("Slices are 1.25 mm apart.",),
    thresholds={"malignant": 0.85, "osteoporotic": 0.95, "height_loss": 0.20},
)


def axis_aligned(
    origin_lps_mm: Sequence[float], spacing_zyx_mm: Sequence[float]
) -> NDArray[np.float64]:
    """affine_zyx_to_lps of an LPS-aligned grid."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing_zyx_mm
    affine[:3, 3] = origin_lps_mm
    affine[3, 3] = 1
    return affine


def tilted(affine: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """The grid turned about the x axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(4)
    turn[1:3, 1:3] = [[c, -s], [s, c]]
    return turn @ affine


def half_axes(level: Level) -> NDArray[np.float64]:
    """Half width, depth, height (x, y, z) in mm of a vertebral body."""
    return np.array([16.0, 12.0, 8.5]) + level.rank / 23 * np.array([8.0, 6.0, 5.0])


def mask_of(
    level: Level, centre: Point, scale_z: float = 1.0, probability: float = 1.0
) -> VertebraMask:
    """An ellipsoid body with a block of arch behind it."""
    half = half_axes(level) * (1, 1, scale_z)
    spacing = 1.5
    size = np.array([56, 80, 44])  # x, y, z
    origin = np.array(centre) - size / 2 * spacing
    z, y, x = np.meshgrid(*(np.arange(n) * spacing for n in size[::-1]), indexing="ij")
    place = np.stack([x, y, z], -1) + origin - np.array(centre)
    body = np.clip(1.5 - ((place / half) ** 4).sum(-1), 0, 1)
    arch_centre = np.array([0, half[1] + 16, -3])
    arch = np.clip(1.5 - (((place - arch_centre) / (15, 14, 7)) ** 2).sum(-1), 0, 1)
    return VertebraMask(
        vertebra=Vertebra(level, centre, probability),
        body=body.astype(np.float16),
        arch=np.minimum(arch, 1 - body).astype(np.float16),
        origin_lps_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing_mm=spacing,
    )


def heights_of(level: Level, centre: Point, loss: float) -> Heights:
    """A wedge: the front has lost most."""
    half = half_axes(level)
    full = 2 * half[2]
    values = (full * (1 - loss), full * (1 - loss * 0.7), full)
    landmarks = []
    for value, y in zip(values, (-half[1] * 0.8, 0.0, half[1] * 0.8), strict=True):
        top = (centre[0], centre[1] + y, centre[2] + value / 2)
        bottom = (centre[0], centre[1] + y, centre[2] - value / 2)
        landmarks.append((top, bottom))
    anterior, middle, posterior = (float(v) for v in values)
    return Heights(anterior, middle, posterior, tuple(landmarks))


def finding_of(level: Level, centre: Point, case: Case, probability: float = 0.97) -> Finding:
    assessment, loss, grade = case
    if loss is None:
        measured = Measurement(None, None, None, None, getattr(assessment, "reason", None))
    else:
        ends = round(max(loss - 0.1, 0.0), 2), round(min(loss + 0.1, 1.0), 2)
        low, high = map(genant_grade, ends)
        heights = heights_of(level, centre, loss)
        measured = Measurement(heights, loss, grade, loss >= 0.20, None, ends, (low, high))
    return Finding(Vertebra(level, centre, probability), measured, assessment)


def triage_of(findings: Sequence[Finding]) -> Triage:
    """As the chain has it, with a recommendation that no other place says."""
    verdict = triage(findings, THORACOLUMBAR)
    return replace(verdict, recommendation=RECOMMENDATION) if verdict.levels else verdict


def analysis_of(
    seen: Image | Scan,
    centres: Mapping[Level, Point],
    cases: Mapping[Level, Case],
    with_masks: bool = True,
) -> Analysis:
    """Vertebrae at `centres`; what is not in `cases` is normal."""
    findings = tuple(
        finding_of(level, centre, cases.get(level, NORMAL)) for level, centre in centres.items()
    )
    masks = tuple(mask_of(level, centre) for level, centre in centres.items()) if with_masks else ()
    scan = seen if isinstance(seen, Scan) else Scan(seen, SERIES)
    return Analysis(StudyResult(scan.series, triage_of(findings), findings, RUN), scan, masks)


def curved_centres(levels: Sequence[Level], scoliosis_mm: float = 0.0) -> dict[Level, Point]:
    """A kyphotic column, the lowest vertebra at z = 40 mm, swinging left by `scoliosis_mm`."""
    places: dict[Level, Point] = {}
    z = 40.0
    for level in reversed(levels):
        phase = len(places) / max(len(levels) - 1, 1) * np.pi
        places[level] = (
            float(scoliosis_mm * np.sin(phase)),
            float(30 * np.sin(phase) - 10),
            float(z),
        )
        z += 2 * half_axes(level)[2] + 9.0
    return dict(sorted(places.items()))


def ellipsoid_volume(
    centres: Mapping[Level, Point], spacing_zyx_mm: tuple[float, float, float] = (2.0, 1.5, 1.5)
) -> Image:
    """A CT with a bright ellipsoid for every body; the patient's left half is a little brighter."""
    places = np.array(list(centres.values()) or [(0.0, 0.0, 40.0)])
    low = places.min(0) - np.array([90, 70, 55])
    high = places.max(0) + np.array([90, 95, 55])
    shape = np.ceil((high - low)[::-1] / spacing_zyx_mm).astype(int)
    affine = axis_aligned(low, spacing_zyx_mm)
    z, y, x = (np.arange(n) * s for n, s in zip(shape, spacing_zyx_mm, strict=True))
    hu = np.full(shape, 40, dtype=np.int16)
    hu[:, :, low[0] + x > 0] = 70
    for level, centre in centres.items():
        half = half_axes(level)
        square = [
            (((axis + low[i] - centre[i]) / half[i]) ** 4) for i, axis in enumerate((x, y, z))
        ]
        inside = square[2][:, None, None] + square[1][None, :, None] + square[0][None, None, :] < 1
        hu[inside] = 320
    return Image(hu, affine, "CT", "HU")


LEVELS = [level for level in Level if Level.T6 <= level <= Level.L5 and level is not Level.T13]

EXAMPLE_CASES: dict[Level, Case] = {
    Level.T6: TRUNCATED,
    Level.T8: UNCERTAIN,
    Level.T10: MALIGNANT,
    Level.T12: UNCLASSIFIED,
    Level.L2: OSTEOPOROTIC,
    Level.L5: METAL,
}


@cache
def example(scoliosis_mm: float = 25.0) -> Analysis:
    """One of each: malignant, osteoporotic, uncertain, not classified, cut off, metal, normal."""
    centres = curved_centres(LEVELS, scoliosis_mm)
    return analysis_of(ellipsoid_volume(centres), centres, EXAMPLE_CASES)
