"""The nouns: what flows between inputs, stages and outputs.

Arrays are z, y, x with z towards the head, y towards the back, x towards the patient's left.
Places are millimetres in the DICOM patient frame LPS, as (x, y, z) = (left, posterior, superior).
A type that holds an array has `eq=False`, and the array is read-only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vfx_edge.explanation import Explained as Explained
from vfx_edge.explanation import Explanation as Explanation
from vfx_edge.image.image import Grid, Image, frozen_array
from vfx_edge.image.image import Point as Point
from vfx_edge.measurement import Detection as Detection
from vfx_edge.measurement import Heights as Heights
from vfx_edge.measurement import Measurement as Measurement
from vfx_edge.run_info import Anchor as Anchor
from vfx_edge.run_info import BackendRequest as BackendRequest
from vfx_edge.run_info import BackendUse as BackendUse
from vfx_edge.run_info import ByHand as ByHand
from vfx_edge.run_info import Calibration as Calibration
from vfx_edge.run_info import ModelUse as ModelUse
from vfx_edge.run_info import RunInfo as RunInfo
from vfx_edge.run_info import ServedModel as ServedModel
from vfx_edge.run_info import ServerUse as ServerUse
from vfx_edge.run_info import Shift as Shift
from vfx_edge.second_reader import NOTHING_KNOWN as NOTHING_KNOWN
from vfx_edge.second_reader import Clinical as Clinical
from vfx_edge.second_reader import ReaderAnswer as ReaderAnswer
from vfx_edge.sign import Sign as Sign
from vfx_edge.slice_answer import SliceAnswer as SliceAnswer
from vfx_edge.vocabulary import THORACOLUMBAR as THORACOLUMBAR
from vfx_edge.vocabulary import Level as Level


class Tier(StrEnum):
    """The study's verdict, most urgent first."""

    MALIGNANT = "malignant"
    UNCERTAIN = "uncertain"
    OSTEOPOROTIC = "osteoporotic"
    NOT_ASSESSABLE = "not_assessable"
    NONE_SUSPECTED = "none_suspected"


@dataclass(frozen=True)
class SkippedSeries:
    """A series that was there and not taken, and why."""

    series_uid: str
    reason: str


@dataclass(frozen=True)
class SeriesInfo:
    """Facts about the chosen series that may be shown: nothing that identifies a patient."""

    study_uid: str
    series_uid: str
    modality: str
    slices: int
    spacing_mm: tuple[float, float, float]
    """x (columns), y (rows), z (between slice centres), as acquired."""
    orientation: str
    """"axial", "sagittal", "coronal" or "oblique": the plane of the stored slices."""
    description: str = ""
    kernel: str | None = None
    contrast: bool | None = None
    slice_thickness_mm: float | None = None
    others: tuple[SkippedSeries, ...] = ()
    warnings: tuple[str, ...] = ()
    """What was odd about the series and how it was handled: one sentence each."""


@dataclass(frozen=True)
class Plane:
    """What a slice's header says of itself. position_mm: of its first pixel, LPS. shared: what the
    slices of a series have alike as a rule, in a fixed order. file: its state when it was read."""

    position_mm: Point | None
    instance: int | None
    shared: tuple[object, ...]
    file: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scan:
    """A series as it was read: its image, never resampled except where a sheared or uneven stack
    left no other way, and the facts about it.

    sources: (path, SOP instance UID) of the slices in z order, where known: for DICOM outputs that
    refer to their source. planes: of each of these, where each is a file. frame_of_reference: the
    UID that places of this scan belong to; None where the input was no DICOM. clinical: what the
    header says of age and sex, for a network that wants them; it never goes into a result.
    """

    image: Image
    series: SeriesInfo
    sources: tuple[tuple[str, str], ...] = ()
    planes: tuple[Plane, ...] = ()
    frame_of_reference: str | None = None
    clinical: Clinical = NOTHING_KNOWN


@dataclass(frozen=True, eq=False)
class DicomSource:
    """Headers of the files a scan was read from, without pixels, in the order of
    `Scan.sources`: for results that carry their source's patient and study (DICOM PS3.3 C.7).

    Text is decoded, whatever the source's character set was, and is to be written as UTF-8.
    `instances[0]` holds all that its file states before the pixels, the others what tells them
    apart; an enhanced file is one instance with its functional groups. Type 2 attributes of
    patient and study are always there; dates, times and a sex that the standard does not allow
    are left empty.
    """

    instances: tuple[Any, ...]
    """Data sets of pydicom, which this module does not know."""

    @property
    def first(self) -> Any:
        """The header to copy patient, study and frame of reference from."""
        return self.instances[0]


@dataclass(frozen=True)
class Vertebra:
    """A located and named vertebra; the centroid is that of the body."""

    level: Level
    centroid_lps_mm: Point
    label_probability: float
    wholly_in_view: bool = True
    alternatives: tuple[tuple[Level, float], ...] = ()
    """Other names it could as well have, and how probable each is, the likeliest first."""
    column_fit: float | None = None
    """How well a spine explains all that was found, as of `spine/column.py`; None where the names
    come from elsewhere."""


@dataclass(frozen=True, eq=False)
class VertebraMask:
    """Soft segmentation of one vertebra on its own small isotropic LPS-aligned grid.

    body, arch: (z, y, x) float16 probabilities 0..1; of a vertebra that was named and not
    outlined a single voxel of 0. Voxel (0, 0, 0) lies at `origin_lps_mm`.
    touches_edge: the vertebra's body meets the end of the scanned field.
    """

    vertebra: Vertebra
    body: NDArray[np.float16]
    arch: NDArray[np.float16]
    origin_lps_mm: Point
    spacing_mm: float
    touches_edge: bool = False

    def __post_init__(self) -> None:
        frozen_array(self.body)
        frozen_array(self.arch)

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        z, y, x = self.body.shape
        return Grid(self.origin_lps_mm, self.spacing_mm, (z, y, x))

    @property
    def is_outlined(self) -> bool:
        """Whether there is anything in it."""
        return self.body.size > 1

    @property
    def bone(self) -> NDArray[np.bool_]:
        """(z, y, x) what is body or arch."""
        return np.asarray(self.body.astype(np.float32) + self.arch > 0.5)


@dataclass(frozen=True)
class Classified:
    """The classifier looked and answered. tier: osteoporotic, malignant or uncertain."""

    tier: Tier
    p_osteoporotic: float
    p_malignant: float
    possible: tuple[str, ...] | None = None
    """The causes not ruled out at the calibration's coverage; None without a calibration that
    has limits for it."""
    slices: tuple[SliceAnswer, ...] = ()
    """From right to left, of a network that sees slices."""
    parts: tuple[ReaderAnswer, ...] = ()
    """What each reader said, where the set has others beside the network."""
    kind: str = field(default="classified", init=False)


@dataclass(frozen=True)
class CauseNotClassified:
    """A fracture is suspected and no network tells its cause, which is therefore uncertain.

    because: level_outside_model_range, out_of_distribution, not_requested.
    """

    because: str
    tier: Tier = field(default=Tier.UNCERTAIN, init=False)
    reason: str = field(default="cause_not_classified", init=False)
    kind: str = field(default="not_classified", init=False)


@dataclass(frozen=True)
class NotClassified:
    """Nothing to classify: no fracture suspected, level outside the model's range, …

    p_intact: with the reason "intact", how sure the classifier is that this is no fracture of the
    kinds that it knows; None where it was not asked.
    """

    reason: str
    p_intact: float | None = None
    kind: str = field(default="not_classified", init=False)


@dataclass(frozen=True)
class NotAssessable:
    """It cannot be told: truncated, metal, low_confidence, spacing_too_coarse, …"""

    reason: str
    kind: str = field(default="not_assessable", init=False)


OnStage = Callable[[str], None]
"""Called with each stage's name when it begins."""

Assessment = Classified | CauseNotClassified | NotClassified | NotAssessable


def tier_of(assessment: Assessment) -> Tier | None:
    """A vertebra's tier; None where no fracture is suspected, or where it can't be told."""
    return assessment.tier if isinstance(assessment, Classified | CauseNotClassified) else None


@dataclass(frozen=True)
class Finding:
    """All that is known of one vertebra."""

    vertebra: Vertebra
    measurement: Measurement
    assessment: Assessment
    signs: tuple[Sign, ...] = ()
    """Empty where they were not asked for; no probability depends on them."""
    explained: Explained | None = None

    @property
    def suspected_fracture(self) -> bool | None:
        """As measured, unless the classifier was asked and sees no fracture: its word ends a
        suspicion, but does not stand in for heights that could not be read."""
        if not self.seen_intact:
            return self.measurement.suspected_fracture
        return None if self.measurement.suspected_by_heights is None else False

    @property
    def seen_intact(self) -> bool:
        """Whether the classifier was asked and says that it is intact."""
        return isinstance(self.assessment, NotClassified) and self.assessment.p_intact is not None

    @property
    def overruled(self) -> bool:
        """Whether heights or detector spoke for a fracture, and the classifier sees none."""
        return self.seen_intact and bool(self.measurement.suspected_fracture)


@dataclass(frozen=True)
class Coverage:
    """Of the levels asked for, T1 to L6: what the verdict rests on. Each from head to feet."""

    assessed: tuple[Level, ...] = ()
    cut: tuple[Level, ...] = ()
    """Not wholly in view: only the edge of the scan shows them, and they decide nothing."""
    unread: tuple[tuple[Level, str], ...] = ()
    """Wholly in view and not judged, each with the reason."""

    @property
    def complete(self) -> bool:
        """Whether all that is wholly in view was judged."""
        return not self.unread


@dataclass(frozen=True)
class Triage:
    """The study's verdict. `levels`: those that drive the tier."""

    tier: Tier
    recommendation: str
    levels: tuple[Level, ...]
    coverage: Coverage = Coverage()


@dataclass(frozen=True)
class StudyResult:
    """The whole answer; holds no voxels."""

    series: SeriesInfo
    triage: Triage
    findings: tuple[Finding, ...]
    """From head to feet."""
    run: RunInfo


@dataclass(frozen=True, eq=False)
class Analysis:
    """A result with the scan and masks it came from, for writers that draw or store them."""

    result: StudyResult
    scan: Scan
    masks: tuple[VertebraMask, ...]
    explanations: tuple[Explanation, ...] = ()

    @property
    def triage(self) -> Triage:
        """The study's verdict."""
        return self.result.triage

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is known of each vertebra, from head to feet."""
        return self.result.findings

    @property
    def run(self) -> RunInfo:
        """How it came about."""
        return self.result.run

    def with_run(self, run: RunInfo) -> "Analysis":
        """The same with another record of the run."""
        return replace(self, result=replace(self.result, run=run))


class Answer(Protocol):
    """What a task returns: `Analysis`, or a type of another task's own."""

    @property
    def scan(self) -> Scan:
        """What was analysed."""

    @property
    def run(self) -> RunInfo:
        """How it came about."""

    def with_run(self, run: RunInfo) -> "Answer":
        """The same with another record of the run."""
