"""Pictures of the report: grey values with outlines, level names and height lines over them.

A `Picture` is plain data in picture millimetres; templates/picture.svg.j2 draws it.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vfx_edge.outputs.report import views
from vfx_edge.outputs.report.contours import VertebraOutline, outline
from vfx_edge.outputs.report.views import FloatArray, Sheet
from vfx_edge.outputs.vertebra_status import Status, is_card, status_of, to_look_at
from vfx_edge.parallel import map_computing
from vfx_edge.study import Analysis, Finding, Level, VertebraMask
from vfx_edge.vocabulary import Reason

_SPINE_STEP_MM = 0.6
CROP_STEP_MM = 0.4
CROP_SIDE_MM = 100.0
_NEAR_MM = 85.0
_JPEG_QUALITY = 88
_HALF_BODY_MM = 18.0
_TAG_GAP_MM, _TAG_RIM_MM, _TAG_HALF_MM, _TAG_OFF_MM = 3.0, 1.5, 6.5, 12.0
_LETTER_MM, _ICON_MM = 6.0, 8.6
_ROOM_FOR_MARK_MM = 18.0
_LINE_NAMES = ("A", "M", "P")
_LEAST_COSINE = 0.5
"""A vertebra's axes farther than 60 degrees from the patient's are a bad outline, not a tilt."""


@dataclass(frozen=True)
class Stroke:
    """An outline to draw. kind: CSS classes."""

    path: str
    kind: str


@dataclass(frozen=True)
class Tag:
    """A level's name beside its vertebra: left edge, middle height and width of its box."""

    text: str
    left: float
    y: float
    width: float
    status: Status
    marked: bool
    icon: bool


@dataclass(frozen=True)
class Ruler:
    """A height line in picture mm."""

    name: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Heat:
    """Colours over the CT. uri: a PNG that fills the picture; rim: SVG path about what it knows;
    at: the place it is about, picture mm; None where none counts."""

    uri: str
    rim: str
    at: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Picture:
    """One view. gray: (rows, columns) the scan. marks: the letters at the left, right, top and
    bottom edge; the first two at `sides_mm` from the top, where no level's name is. is_crop:
    about one vertebra."""

    name: str
    gray: NDArray[np.uint8]
    width_mm: float
    height_mm: float
    marks: tuple[str, str, str, str]
    sides_mm: float
    is_crop: bool = False
    strokes: tuple[Stroke, ...] = ()
    tags: tuple[Tag, ...] = ()
    rulers: tuple[Ruler, ...] = ()
    heat: Heat | None = None

    @property
    def data_uri(self) -> str:
        """`gray` as JPEG, for the page."""
        return _data_uri(self.gray)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What goes over a view: the sheet, and where it cuts every vertebra."""

    analysis: Analysis
    sheet: Sheet
    outlines: Mapping[Level, VertebraOutline] = field(default_factory=dict)


MARKS = {
    "sagittal": ("A", "P", "H", "F"),
    "coronal": ("R", "L", "H", "F"),
    "axial": ("R", "L", "A", "P"),
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """Of a study: along the spine, and of each vertebra to look at."""

    spine: tuple[Picture, Picture]
    crops: Mapping[Level, tuple[Picture, ...]]


_MADE: "WeakKeyDictionary[Analysis, Pictures]" = WeakKeyDictionary()


def pictures_of(analysis: Analysis) -> Pictures:
    """The study's pictures: one set for page and captures, kept as long as the analysis."""
    if analysis not in _MADE:
        shown = to_look_at(analysis.result)
        crops = {f.vertebra.level: crop_pictures(analysis, f) for f in shown}
        _MADE[analysis] = Pictures(spine_pictures(analysis), crops)
    return _MADE[analysis]


def spine_pictures(analysis: Analysis) -> tuple[Picture, Picture]:
    """The sagittal and the coronal view along the whole spine."""
    trusted = _trusted(analysis.result.findings)
    line = views.midline(analysis.scan.image, [f.vertebra.centroid_lps_mm for f in trusted])
    sagittal = views.sagittal(analysis.scan.image, line, _SPINE_STEP_MM)
    coronal = views.coronal(analysis.scan.image, line, _SPINE_STEP_MM)
    return (
        _spine_picture("sagittal", _scene(analysis, sagittal, analysis.masks)),
        _spine_picture("coronal", _scene(analysis, coronal, analysis.masks)),
    )


def _trusted(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those that the line through the spine may follow: no sliver at the end of the scan.

    Of a vertebra that the scan cuts, little more than the arch may be left, and its centroid
    would drag the view out of the bodies.
    """
    first = int(len(findings) > 3 and findings[0].measurement.reason == Reason.TRUNCATED)
    last = int(len(findings) > 3 and findings[-1].measurement.reason == Reason.TRUNCATED)
    return findings[first : len(findings) - last]


def crop_pictures(analysis: Analysis, finding: Finding) -> tuple[Picture, ...]:
    """Three planes through the vertebra's centroid: sagittal, coronal, axial.

    They follow the vertebra's own axes where these were measured: in a kyphosis the patient's
    coronal and axial planes run through two vertebrae at once. The sagittal one stays upright.
    """
    centre = finding.vertebra.centroid_lps_mm
    to_left, to_back, to_feet = _own_axes(finding)
    upright = views.HEAD_TO_FEET - (views.HEAD_TO_FEET @ to_left) * to_left
    upright /= np.linalg.norm(upright)
    directions = {
        "sagittal": (np.cross(to_left, upright), upright),
        "coronal": (to_left, to_feet),
        "axial": (to_left, to_back),
    }
    pictures = []
    for name, (across, down) in directions.items():
        sheet = views.plane(centre, across, down, CROP_SIDE_MM, CROP_STEP_MM)
        rulers = () if name == "axial" else _rulers(finding, sheet, middle_only=name == "coronal")
        pictures.append(plane_picture(analysis, finding, name, sheet, rulers))
    return tuple(pictures)


def plane_picture(
    analysis: Analysis,
    finding: Finding,
    name: str,
    sheet: Sheet,
    rulers: tuple[Ruler, ...] = (),
) -> Picture:
    """A plane near a vertebra, its outline and its neighbours' over it."""
    centre = finding.vertebra.centroid_lps_mm
    near = [m for m in analysis.masks if _distance_mm(m, centre) < _NEAR_MM]
    return _picture(name, _scene(analysis, sheet, near), tags=(), rulers=rulers, only=finding)


def _own_axes(finding: Finding) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors to the vertebra's left, back and feet; the patient's where it has none."""
    patients = (views.RIGHT_TO_LEFT, views.FRONT_TO_BACK, views.HEAD_TO_FEET)
    heights = finding.measurement.heights
    if heights is None or len(heights.landmarks_lps_mm) < len(_LINE_NAMES):
        return patients
    ends = np.array(heights.landmarks_lps_mm)  # line from front to back; upper, lower; x, y, z
    to_feet = (ends[:, 1] - ends[:, 0]).sum(0)
    to_feet /= max(float(np.linalg.norm(to_feet)), 1e-6)
    to_back = (ends[-1] - ends[0]).sum(0)
    to_back -= (to_back @ to_feet) * to_feet
    to_back /= max(float(np.linalg.norm(to_back)), 1e-6)
    own = (np.cross(to_feet, to_back), to_back, to_feet)
    plausible = all(a @ b > _LEAST_COSINE for a, b in zip(own, patients, strict=True))
    return own if plausible else patients


def _scene(
    analysis: Analysis, sheet: Sheet, masks: tuple[VertebraMask, ...] | list[VertebraMask]
) -> _Scene:
    outlines = map_computing(lambda mask: outline(mask, sheet), masks)
    levels = [mask.vertebra.level for mask in masks]
    return _Scene(analysis, sheet, dict(zip(levels, outlines, strict=True)))


def _spine_picture(name: str, scene: _Scene) -> Picture:
    findings = scene.analysis.result.findings
    centres = np.array([f.vertebra.centroid_lps_mm for f in findings]).reshape(-1, 3)
    near = scene.sheet.off_mm(centres) < _TAG_OFF_MM
    tags = tuple(_tag(f, scene, name) for f, shown in zip(findings, near, strict=True) if shown)
    rulers = tuple(
        ruler
        for finding in findings
        if name == "sagittal" and is_card(finding, scene.analysis.result.triage)
        for ruler in _rulers(finding, scene.sheet)
    )
    return _picture(name, scene, tags, rulers)


def _picture(
    name: str,
    scene: _Scene,
    tags: tuple[Tag, ...],
    rulers: tuple[Ruler, ...],
    only: Finding | None = None,
) -> Picture:
    """`only`: the vertebra the picture is about; the others' outlines stay in the background."""
    sheet = scene.sheet
    return Picture(
        name=name,
        gray=views.sample(scene.analysis.scan.image, sheet),
        width_mm=round(sheet.width_mm, 1),
        height_mm=round(sheet.height_mm, 1),
        marks=MARKS[name],
        sides_mm=_sides_mm(sheet.height_mm, tags),
        is_crop=only is not None,
        strokes=_strokes(scene, only),
        tags=tags,
        rulers=rulers,
    )


def _sides_mm(height_mm: float, tags: tuple[Tag, ...]) -> float:
    """The gap between two names that is nearest to the middle."""
    places = sorted(tag.y for tag in tags)
    gaps = [(a + b) / 2 for a, b in pairwise(places) if b - a > _ROOM_FOR_MARK_MM]
    middle = height_mm / 2
    nearest: float = min(gaps or [middle], key=lambda y: abs(y - middle))
    return round(nearest, 1)


def _strokes(scene: _Scene, only: Finding | None) -> tuple[Stroke, ...]:
    """The others first, so that the marked outlines lie on top."""
    result = scene.analysis.result
    others: list[Stroke] = []
    on_top: list[Stroke] = []
    for index, finding in enumerate(result.findings):
        cut = scene.outlines.get(finding.vertebra.level)
        if cut is None:
            continue
        marked = is_card(finding, result.triage) if only is None else finding is only
        kind = f"marked s-{status_of(finding)}" if marked else _other_kind(finding, index)
        target = on_top if marked else others
        target.extend(
            Stroke(part.path, f"{kind} {role}")
            for part, role in ((cut.arch, "arch"), (cut.body, "body"))
            if part.path
        )
    return (*others, *on_top)


def _other_kind(finding: Finding, index: int) -> str:
    """Two colours in turn, so that neighbours differ."""
    unknown = status_of(finding) in (
        *(Status.NOT_ASSESSABLE, Status.TRUNCATED, Status.NOT_EXAMINED),
    )
    return "other unknown" if unknown else f"other turn{index % 2}"


def _tag(finding: Finding, scene: _Scene, name: str) -> Tag:
    """Sagittal: in front of the body; coronal: on the patient's left of it."""
    text, status = finding.vertebra.level.value, status_of(finding)
    text += "?" if finding.vertebra.alternatives else ""
    marked = is_card(finding, scene.analysis.result.triage)
    icon = marked or status is Status.NOT_ASSESSABLE
    width = _LETTER_MM * len(text) + (_ICON_MM if icon else 0.0) + 2 * _TAG_RIM_MM
    first, last, middle = _extent(finding, scene)
    left = first - _TAG_GAP_MM - width if name == "sagittal" else last + _TAG_GAP_MM
    left = min(max(left, 1.0), scene.sheet.width_mm - width - 1.0)
    y = min(max(middle, _TAG_HALF_MM), scene.sheet.height_mm - _TAG_HALF_MM)
    return Tag(text, round(left, 1), round(y, 1), round(width, 1), status, marked, icon)


def _extent(finding: Finding, scene: _Scene) -> tuple[float, float, float]:
    """Left and right edge of the body and the height of its centre, picture mm."""
    places = scene.sheet.project(np.array([finding.vertebra.centroid_lps_mm]))
    x, y = (float(v) for v in places[0])
    cut = scene.outlines.get(finding.vertebra.level)
    if cut is None or cut.body.box_mm is None:
        return x - _HALF_BODY_MM, x + _HALF_BODY_MM, y
    left, _, right, _ = cut.body.box_mm
    return left, right, y


def _rulers(finding: Finding, sheet: Sheet, middle_only: bool = False) -> tuple[Ruler, ...]:
    heights = finding.measurement.heights
    if heights is None:
        return ()
    named = list(zip(_LINE_NAMES, heights.landmarks_lps_mm, strict=False))
    if middle_only:
        named = [pair for pair in named if pair[0] == "M"]
    return tuple(_ruler(name, sheet.project(np.array(ends))) for name, ends in named)


def _ruler(name: str, ends: FloatArray) -> Ruler:
    (x1, y1), (x2, y2) = ((round(float(x), 1), round(float(y), 1)) for x, y in ends)
    return Ruler(name, x1, y1, x2, y2)


def _distance_mm(mask: VertebraMask, place: tuple[float, float, float]) -> float:
    return float(np.linalg.norm(np.array(mask.vertebra.centroid_lps_mm) - np.array(place)))


def _data_uri(gray: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
