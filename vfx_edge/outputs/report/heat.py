"""What an answer depends on, over the CT: a sagittal and a coronal slice with the map in colours.

Orange speaks for malignant, blue against: two colours that everybody can tell apart. The scale is
one for all vertebrae of a page, or small changes would look like large ones.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from vfx_edge.outputs.report import colours, views
from vfx_edge.outputs.report.contours import rim
from vfx_edge.outputs.report.pictures import (
    CROP_SIDE_MM,
    CROP_STEP_MM,
    Heat,
    Picture,
    plane_picture,
)
from vfx_edge.outputs.report.views import Sheet
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Analysis, Explanation, Finding

HEAT_STEP_MM = 1.0
LEAST_SCALE = 0.1
"""The scale reaches this far at least: less than that is no change worth a strong colour."""
LEAST_SEEN = 0.05
"""Where nothing changes by as much, the page says so, and marks no place."""
STRONGEST = 0.7
"""Opacity at the ends of the scale: the bone is to be seen below."""
FOR_RGB, AGAINST_RGB = (tuple(bytes.fromhex(c[1:])) for c in (colours.FOR, colours.AGAINST))
_PLANES = {
    "sagittal": (views.FRONT_TO_BACK, views.HEAD_TO_FEET, 0),
    "coronal": (views.RIGHT_TO_LEFT, views.HEAD_TO_FEET, 1),
}
"""Across, down, and the axis of LPS that the slice is moved along."""


@dataclass(frozen=True)
class Shown:
    """A card's part about its map. ends: the scale's numbers, from against to for. told: what
    was found, in sentences."""

    pictures: tuple[Picture, ...]
    alts: dict[str, str]
    ends: tuple[str, str, str]
    told: tuple[str, ...]


def shown(analysis: Analysis, finding: Finding, t: Wording) -> Shown | None:
    """What the card says and shows; None where there is no map."""
    level = finding.vertebra.level
    maps = {one.level: one for one in analysis.explanations}
    if level not in maps:
        return None
    scale = scale_of(analysis.explanations)
    pictures = _pictures(analysis, finding, maps[level], scale)
    alts = {p.name: t("explain.alt", view=t(f"view.{p.name}"), level=level) for p in pictures}
    end = t.number(scale, 2)
    return Shown(pictures, alts, (f"−{end}", "0", f"+{end}"), _told(maps[level], t))


def limits(maps: Sequence[Explanation], t: Wording) -> str | None:
    """What such maps can't show, once for all of a page; None where there is none."""
    return t("explain.limits", box=t.number(maps[0].said.box_mm, 0)) if maps else None


def scale_of(maps: Sequence[Explanation]) -> float:
    """The change at the ends of the colours, in twentieths."""
    largest = max(abs(one.said.largest_change) for one in maps)
    return float(max(np.ceil(largest * 20 - 1e-6) / 20, LEAST_SCALE))


def _told(explanation: Explanation, t: Wording) -> tuple[str, ...]:
    said = explanation.said
    falls = said.largest_change > 0
    found = t(
        "explain.falls" if falls else "explain.rises",
        whole=t.number(said.p_malignant, 2),
        hidden=t.number(said.p_malignant - said.largest_change, 2),
    )
    lines = [found]
    if not _counts(explanation):
        lines = [t("explain.nowhere", limit=t.number(LEAST_SEEN, 2))]
    if said.unlike:
        lines.append(t("explain.unlike", share=t.percent(said.unlike)))
    return tuple(lines)


def _counts(explanation: Explanation) -> bool:
    return abs(explanation.said.largest_change) >= LEAST_SEEN


def _pictures(
    analysis: Analysis, finding: Finding, explanation: Explanation, scale: float
) -> tuple[Picture, ...]:
    """Planes of the patient through the place of the largest change, about the vertebra."""
    place = explanation.said.largest_at_lps_mm
    made = []
    for name, (across, down, axis) in _PLANES.items():
        centre = list(finding.vertebra.centroid_lps_mm)
        centre[axis] = place[axis]
        x, y, z = centre
        sheet = views.plane((x, y, z), across, down, CROP_SIDE_MM, CROP_STEP_MM)
        coarse = views.plane((x, y, z), across, down, CROP_SIDE_MM, HEAT_STEP_MM)
        change = on_sheet(explanation, coarse)
        right, low = (round(float(v), 1) for v in sheet.project(np.array([place]))[0])
        known = rim(np.isfinite(change), HEAT_STEP_MM)
        at = (right, low) if _counts(explanation) else None
        heat = Heat(_png(coloured(change, scale)), known, at)
        made.append(replace(plane_picture(analysis, finding, name, sheet), heat=heat))
    return tuple(made)


def on_sheet(explanation: Explanation, sheet: Sheet) -> NDArray[np.float32]:
    """(rows, columns) the map where the sheet cuts it, NaN beside it."""
    rows = sheet.points_lps_mm(slice(None), slice(None))
    zyx = explanation.change.to_zyx(rows.reshape(-1, 3)).T
    values = ndimage.map_coordinates(
        explanation.change.values, zyx, order=1, mode="constant", cval=np.nan
    )
    return np.asarray(values.reshape(rows.shape[:2]), np.float32)


def coloured(change: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """(rows, columns) changes -> (rows, columns, 4) RGBA: the colour by the sign, its strength by
    how large the change is; clear where there is none."""
    share = np.clip(np.nan_to_num(change) / scale, -1, 1)
    ink = np.where(share[..., None] > 0, FOR_RGB, AGAINST_RGB)
    strength = np.rint(np.abs(share) * STRONGEST * 255)
    return np.concatenate([ink, strength[..., None]], -1).astype(np.uint8)


def _png(rgba: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
