"""Why a slice can't be part of an image: two tables, read from top to bottom.

The first line that holds names the fault; a slice without one has all numbers the reader needs,
within what a scanner writes.
"""

from collections.abc import Callable

import numpy as np

from vfx_edge.inputs.headers import BIG_ENDIAN, DECODABLE, UNCOMPRESSED, Slice
from vfx_edge.inputs.modality import Modality
from vfx_edge.inputs.words import modality_shown, syntax_shown

SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
SEGMENTATIONS = "1.2.840.10008.5.1.4.1.1.66"
NO_ANATOMY = {
    *("SCREEN SAVE", "SCREENSHOT", "REPORT", "RESULTS", "DOSE", "DOSE_INFO", "PATIENT_INFO"),
    *("REF_SURVIEW", "PROTOCOL"),
}
MASK_TYPES = {"SEGMENTATION", "MASK", "OVERLAY", "LABELMAP"}

SMALLEST_EDGE, LARGEST_EDGE = 16, 4096
SPACING_MM = (0.05, 12.0)
SLOPES, INTERCEPTS = (1e-3, 100.0), (-1e5, 1e5)
FARTHEST_MM = 1e5

SCOUT = "a scout (localizer) image"


def _types(words: set[str]) -> Callable[[Slice, Modality], bool]:
    return lambda s, _: not words.isdisjoint(s.image_type)


def _outside(value: float, limits: tuple[float, float]) -> bool:
    return not limits[0] <= value <= limits[1]


def _no_axes(s: Slice) -> bool:
    """Orientation cosines of which no right-angled pair of unit vectors can be made."""
    if s.orientation is None:
        return True
    row, column = np.array(s.orientation[:3]), np.array(s.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    return bool(max(abs(n - 1) for n in lengths) > 0.05 or abs(row @ column) > 0.02)


def _bits_wrong(s: Slice) -> bool:
    p = s.pixels
    stored = 1 <= p.bits_stored <= p.bits_allocated and p.bits_stored - 1 <= p.high_bit
    return p.bits_allocated not in (8, 16, 32) or not stored or p.high_bit >= p.bits_allocated


def _rescale_wrong(s: Slice) -> bool:
    return _outside(s.pixels.slope, SLOPES) or _outside(s.pixels.intercept, INTERCEPTS)


_Test = Callable[[Slice], bool]

_Kind = Callable[[Slice, Modality], bool]

_SOMETHING_ELSE: tuple[tuple[_Kind, str], ...] = (
    (
        lambda s, _: s.modality == "SEG" or s.sop_class.startswith(SEGMENTATIONS),
        "a segmentation, not a {wanted}",
    ),
    (
        lambda s, _: s.sop_class.startswith(SECONDARY_CAPTURES),
        "a secondary capture (a screen shot or a report), not a {wanted}",
    ),
    (lambda s, m: s.modality not in (m.name, ""), "of {modality}, not {wanted}"),
    (
        lambda s, m: s.sop_class not in m.sop_classes,
        "not a {wanted} image, though its modality says {wanted}",
    ),
    (_types({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW"}), SCOUT),
    (_types(NO_ANATOMY), "a report image, not a {wanted} slice"),
    (_types(MASK_TYPES), "a mask, not a {wanted}"),
    (
        lambda s, m: not m.projection_types.isdisjoint(s.image_type),
        "a projection (MIP or rendering), not a {wanted} slice",
    ),
    (
        lambda s, m: not m.computed_types.isdisjoint(s.image_type),
        "a computed map that is not in {unit}",
    ),
    (
        lambda s, m: m.rescale_types is not None and s.pixels.rescale_type not in m.rescale_types,
        "an image that is not in {unit}",
    ),
    (lambda s, _: s.pixels.lut, "an image with a lookup table instead of a rescale slope"),
    (
        lambda s, _: s.pixels.photometric not in ("MONOCHROME1", "MONOCHROME2", ""),
        "a colour picture, not a {wanted} slice",
    ),
    (lambda s, _: s.pixels.samples != 1, "an image of more than one value a pixel"),
    (lambda s, _: s.pixels.element.kind == "float", "an image with floating-point pixels"),
)

_DAMAGE: tuple[tuple[_Test, str], ...] = (
    (lambda s: s.pixels.element.kind == "none", "a file without pixel data"),
    (
        lambda s: any(_outside(n, (SMALLEST_EDGE, LARGEST_EDGE)) for n in (s.rows, s.columns)),
        "an image of a size no {wanted} has",
    ),
    (_bits_wrong, "an image whose bit depth makes no sense"),
    (
        lambda s: s.pixels.syntax not in DECODABLE | UNCOMPRESSED,
        "compressed in a way that can't be read here ({syntax})",
    ),
    (
        lambda s: s.pixels.syntax == BIG_ENDIAN and s.pixels.bits_allocated == 8,
        "8-bit big-endian, which can't be read reliably",
    ),
    (lambda s: s.pixels.element.bytes_missing > 0, "a truncated file"),
    (_rescale_wrong, "an image whose rescale slope or intercept makes no sense"),
    (lambda s: s.pixel_spacing_mm is None, "an image without pixel spacing"),
    (
        lambda s: any(_outside(v, SPACING_MM) for v in s.pixel_spacing_mm or ()),
        "an image whose pixel spacing makes no sense",
    ),
    (_no_axes, "an image without a usable orientation"),
    (
        lambda s: s.position_mm is None or max(map(abs, s.position_mm)) > FARTHEST_MM,
        "an image without a usable position",
    ),
)


def fault(slice_: Slice, wanted: Modality) -> str | None:
    """What keeps the slice out of an image, as the end of "This is …"; None: nothing does."""
    name = next((name for holds, name in _SOMETHING_ELSE if holds(slice_, wanted)), None)
    if name is None:
        return damage(slice_, wanted)
    modality = modality_shown(slice_.modality)
    return name.format(modality=modality, wanted=wanted.name, unit=wanted.unit_name)


def damage(slice_: Slice, wanted: Modality) -> str | None:
    """What is broken about a slice of the modality wanted."""
    name = next((name for holds, name in _DAMAGE if holds(slice_)), None)
    return name and name.format(wanted=wanted.name, syntax=syntax_shown(slice_.pixels.syntax))
