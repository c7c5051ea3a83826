"""Whether a scan can be one of a human spine: numbers, slices, distances and orientation.

A file that lies about one of them gives measurements as sharp as any other. So what is seen is
held against anatomy in absolute terms, with limits so wide that hardly any patient meets them. What
fails is said in a sentence, and nothing is judged: neither a fracture nor its absence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.image.slices import (
    Continuity,
    coarse_stack,
    continuity,
    slices_per_measured,
    stretch,
)
from vfx_edge.image.tissue import not_hounsfield
from vfx_edge.spine.body_and_arch import vertebra_frame
from vfx_edge.spine.column import NEXT_MM
from vfx_edge.spine.height_loss import NORMAL_DEPTH_MM, NORMAL_MM
from vfx_edge.spine.measure import column_axes
from vfx_edge.spine.slice_distance import (
    MIN_JUDGED,
    MIN_POINTS,
    NARROW,
    NORMAL_WIDTH,
    SLICE_AXIS,
    WIDE,
    usual_share,
    width_shares,
)
from vfx_edge.study import Level, Measurement, VertebraMask
from vfx_edge.vocabulary import PLAIN, Reason

Array = NDArray[np.float64]

# Limits, each beside what sound scans reach: 17 real CTs and phantoms of men, women and fractures.
SMALL, LARGE = 0.63, 1.25  # of an adult's sizes: 0.91 to 1.10, phantoms of small women 0.72
FLAT, TALL = -0.20, 0.38  # logarithm of height for width: -0.13 to 0.17, phantoms to 0.30
SQUEEZED = 0.87  # `stretch`: 0.64 to 0.85; 0.88 to 1.08 where slices lie at half their distance
SQUEEZED_NECK = 1.0  # the shoulders change fast along z: 0.82, a phantom 0.93
GROWS = (-0.065, -0.3)  # logarithm of a body's area a level, and over all: -0.034, -0.13
MIN_GROWING = 4  # bodies
UNLIKE = 1.7  # `Vertebra.column_fit`: 2.4 to 5.4, mostly above 3.3
FIRST_STEADY = Level.T4  # above, bodies lie oblique and are outlined less well
SPREAD = float(np.sqrt(12))  # of a box, over its standard deviation

SEND_AGAIN = "send the series again as the scanner made it."
CHECK_DISTANCES = "check the file's pixel spacing and slice distance against the scanner's."
CHECK_ORIENTATION = "check the file's orientation and distances against the scanner's."


class ImplausibleScan(InputError):
    """No spine was found in a scan that can't be right anyway."""

    def __init__(self, doubt: "Doubt") -> None:
        fact = doubt.fact[0].lower() + doubt.fact[1:].rstrip(".")
        super().__init__(f"no spine was found in the scan, and {fact}: {doubt.advice}")


@dataclass(frozen=True)
class Doubt:
    """Why nothing can be judged. reason: that stands beside every vertebra; fact: a sentence;
    advice: what to do, the end of one."""

    reason: Reason
    fact: str
    advice: str

    @property
    def sentence(self) -> str:
        """Where the networks found the vertebrae."""
        return f"{self.fact} No vertebra was judged: {self.advice}"

    @property
    def remark(self) -> str:
        """Where a person outlined them, having seen the images."""
        return f"{self.fact} What was outlined by hand was judged all the same: {self.advice}"


@dataclass(frozen=True)
class ScanLook:
    """What the voxels say. doubts: why they can't be right; slice_mm: the distance of measured
    slices, where others were made between them, else 0; stretch: as of `image/slices.py`."""

    doubts: tuple[Doubt, ...] = ()
    slice_mm: float = 0.0
    stretch: float | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Of whole bodies from T4 down, head to feet: each as a share of its level's normal size."""

    place: Array
    height: Array
    depth: Array
    width: Array
    gaps: Array


def look_at_scan(image: Image, plane: str) -> ScanLook:
    """plane: of the stored slices."""
    if image.unit != "HU":
        return ScanLook()
    axis = SLICE_AXIS.get(plane, 0)
    stack = coarse_stack(image, axis)
    each = slices_per_measured(image, axis)
    doubts = []
    if (why := not_hounsfield(stack.values)) is not None:
        fact = f"The numbers can't be Hounsfield units of a body, as {why}."
        doubts.append(Doubt(Reason.IMPLAUSIBLE_VALUES, fact, SEND_AGAIN))
    if (where := _broken(continuity(stack, each), image.shape[axis])) is not None:
        fact = (
            f"Neighbouring slices do not continue each other, {where}: they lie in a wrong order "
        )
        fact += "or belong to different scans."
        doubts.append(Doubt(Reason.IMPLAUSIBLE_SLICES, fact, SEND_AGAIN))
    stated = float(image.spacing_zyx_mm[axis])
    slice_mm = each * stated if each > 1 else 0.0
    remarks = (_made_between(stated, slice_mm),) if each > 1 else ()
    return ScanLook(tuple(doubts), slice_mm, stretch(stack), remarks)


def _made_between(stated: float, slice_mm: float) -> str:
    return (
        f"The file's slices lie {stated:.2f} mm apart, but most are copies of their neighbours or "
        f"the mean of two: vertebrae were judged as in slices {slice_mm:.1f} mm apart; send the "
        "slices that were measured."
    )


def _broken(found: Continuity, count: int) -> str | None:
    """Where, as the middle of a sentence; None where all continue."""
    if found.disorder:
        return "all along the scan"
    places = [f"{at + 1} and {at + 2}" for at in found.seams[:3]]
    more = len(found.seams) - len(places)
    words = ", ".join(places) + (f" and {more} more" if more > 0 else "")
    return f"at slices {words} of {count}" if places else None


def column_doubts(masks: Sequence[VertebraMask], look: ScanLook) -> tuple[Doubt, ...]:
    """What speaks against the distances and the orientation. masks: head to feet, as the networks
    found them."""
    found = (_unlike_a_spine(masks), _upside_down(masks), *_wrong_distances(masks, look))
    return tuple(doubt for doubt in found if doubt is not None)


def _unlike_a_spine(masks: Sequence[VertebraMask]) -> Doubt | None:
    fits = [m.vertebra.column_fit for m in masks if m.vertebra.column_fit is not None]
    if not fits or float(np.median(fits)) >= UNLIKE:
        return None
    fact = "What was found hardly looks like a human spine from head to feet."
    return Doubt(Reason.IMPLAUSIBLE_SPINE, fact, CHECK_ORIENTATION)


def _upside_down(masks: Sequence[VertebraMask]) -> Doubt | None:
    """Bodies grow towards the feet; where names say so and sizes do not, the head is there."""
    sizes = _sizes(masks, Level.T1)
    if len(sizes.place) < MIN_GROWING:
        return None
    area = np.log(sizes.depth * sizes.width)
    i, j = np.triu_indices(len(area), 1)
    each = float(np.median((area[j] - area[i]) / (sizes.place[j] - sizes.place[i])))
    if each > GROWS[0] or each * float(np.ptp(sizes.place)) > GROWS[1]:
        return None
    fact = "The vertebrae grow smaller towards the feet: head and feet seem swapped."
    return Doubt(Reason.IMPLAUSIBLE_SPINE, fact, CHECK_ORIENTATION)


def _wrong_distances(masks: Sequence[VertebraMask], look: ScanLook) -> tuple[Doubt | None, ...]:
    usual = usual_share(width_shares(masks), masks)
    if usual is not None and not NARROW <= usual <= WIDE:
        return (_distances(f"bodies are {usual:.2f} times as wide for their depth as others"),)
    sizes = _sizes(masks, FIRST_STEADY)
    neck = min((m.vertebra.level for m in masks), default=Level.L6) < Level.C6
    squeezed = look.stretch is not None and look.stretch > (SQUEEZED_NECK if neck else SQUEEZED)
    if len(sizes.place) < MIN_JUDGED or not len(sizes.gaps):
        return (_squeezed(),) if squeezed else ()
    height, depth, width, gap = (
        float(np.median(np.log(v))) for v in (sizes.height, sizes.depth, sizes.width, sizes.gaps)
    )
    tall = (height + gap - depth - width) / 2
    size = float(np.exp((height + gap + depth + width) / 4))
    if not FLAT < tall < TALL:
        return (
            _distances(f"bodies are {np.exp(tall):.2f} times as tall for their width as others"),
        )
    if squeezed:
        return (_squeezed(),)
    return (None if SMALL < size < LARGE else _wrong_size(size),)


def _distances(what: str) -> Doubt:
    fact = f"The distances stored in the file can't be right: {what}."
    return Doubt(Reason.IMPLAUSIBLE_SPACING, fact, CHECK_DISTANCES)


def _squeezed() -> Doubt:
    return _distances("the body changes too fast from slice to slice")


def _wrong_size(size: float) -> Doubt:
    child = ", unless the patient is a small child, for whom there is no norm here"
    times = f"the vertebrae are {size:.2f} times as large as an adult's"
    return _distances(times + (child if size < 1 else ""))


def _sizes(masks: Sequence[VertebraMask], first: Level) -> _Sizes:
    rows = []
    for at, (mask, up) in enumerate(zip(masks, column_axes(masks), strict=True)):
        level = mask.vertebra.level
        if level < first or level not in NORMAL_MM or mask.touches_edge:
            continue
        points = np.argwhere(mask.body > 0.5) * mask.spacing_mm
        if len(points) < MIN_POINTS:
            continue
        axes = vertebra_frame(up[::-1])
        normal = NORMAL_DEPTH_MM[level]
        usual = (float(np.mean(NORMAL_MM[level])), normal, normal * NORMAL_WIDTH[level])
        spread = ((points - points.mean(0)) @ axes.T).std(0) * SPREAD
        rows.append((float(at), *(spread / usual)))
    place, height, depth, width = np.array(rows).reshape(-1, 4).T
    return _Sizes(place, height, depth, width, _gaps(masks))


def _gaps(masks: Sequence[VertebraMask]) -> Array:
    """From each vertebra to the next, as a share of the usual distance."""
    shares = []
    for above, below in pairwise(masks):
        levels = [v for v in PLAIN if above.vertebra.level <= v < below.vertebra.level]
        usual = sum(NEXT_MM[level] for level in levels)
        apart = np.subtract(above.vertebra.centroid_lps_mm, below.vertebra.centroid_lps_mm)
        if usual:
            shares.append(max(float(np.linalg.norm(apart)), 1.0) / usual)
    return np.array(shares)


def nothing_judged(
    measured: Sequence[Measurement], doubts: Sequence[Doubt]
) -> tuple[Measurement, ...]:
    """What was measured, without what rests on a scan that can't be right; what the edge of the
    scan cuts is still cut."""
    if not doubts:
        return tuple(measured)
    why = doubts[0].reason
    empty = Measurement(None, None, None, None, why)
    return tuple(m if m.reason == Reason.TRUNCATED else empty for m in measured)
