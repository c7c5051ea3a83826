"""All signs of the vertebrae that are asked for, each beside its norm.

They are shown beside the probability and never change it: docs/signs.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.image import Image
from vfx_edge.spine.measure import column_axes
from vfx_edge.spine.signs import (
    cortex,
    inside,
    paravertebral,
    pedicles,
    posterior_border,
    soft_tissue,
)
from vfx_edge.spine.signs.local import Local, local_view
from vfx_edge.spine.signs.norms import norm_of
from vfx_edge.study import Level, Measurement, Sign, VertebraMask
from vfx_edge.vocabulary import SIGNS, Reason

REACH = 2
"""Neighbours above and below that are asked."""
COARSEST_MM = {"cortical_gap": 2.6, "fracture_line": 2.6, "fracture_line_tilt": 2.6}
COARSEST_OTHERS_MM = 5.1
FINE_DIGITS = 2

Wanted = Callable[[VertebraMask, Measurement], bool]


@dataclass(frozen=True, eq=False)
class _Views:
    """Local views, made once each."""

    image: Image
    masks: Sequence[VertebraMask]
    measured: Sequence[Measurement]
    axes: Sequence[np.ndarray]
    made: dict[int, Local]

    def of(self, number: int) -> Local:
        if number not in self.made:
            near = [
                m for i, m in enumerate(self.masks) if 0 < abs(i - number) <= 1 and m.is_outlined
            ]
            self.made[number] = local_view(
                self.image, self.masks[number], self.measured[number], self.axes[number], near
            )
        return self.made[number]


def measure_signs(
    image: Image,
    masks: Sequence[VertebraMask],
    measured: Sequence[Measurement],
    wanted: Wanted,
) -> tuple[tuple[Sign, ...], ...]:
    """For each mask its signs, empty where it is not wanted; in the order of vocabulary.SIGNS.

    masks, measured: of the same vertebrae, head to feet. A sign that could not be told has a
    reason in place of a value.
    """
    views = _Views(image, masks, measured, column_axes(masks), {})
    return tuple(
        _signs(views, number) if wanted(mask, measured[number]) else ()
        for number, mask in enumerate(masks)
    )


def _signs(views: _Views, number: int) -> tuple[Sign, ...]:
    reason, level = _unreadable(views, number), views.masks[number].vertebra.level
    if reason is not None:
        return tuple(_sign(name, level, None, reason) for name in SIGNS)
    own = views.of(number)
    places = [(float(i - number), views.of(i)) for i in _neighbours(views, number)]
    near = [local for _, local in places]
    values = _values(own, [(down, local) for down, local in places if not local.metal])
    coarsest = float(views.image.spacing_zyx_mm.max())
    signs = []
    for name in SIGNS:
        coarse = coarsest > COARSEST_MM.get(name, COARSEST_OTHERS_MM)
        why = Reason.SPACING_TOO_COARSE if coarse else _why_not(name, own, near)
        signs.append(_sign(name, level, None if coarse else values[name], why))
    return tuple(signs)


def _unreadable(views: _Views, number: int) -> str | None:
    mask = views.masks[number]
    if not mask.is_outlined:
        return Reason.NOT_OUTLINED
    if mask.touches_edge or not mask.vertebra.wholly_in_view:
        return Reason.TRUNCATED
    return Reason.METAL if views.of(number).metal else None


def _neighbours(views: _Views, number: int) -> list[int]:
    """The nearest intact ones above and below; suspected ones where there are no others."""
    near = [
        i
        for i in range(number - REACH, number + REACH + 1)
        if i != number
        and 0 <= i < len(views.masks)
        and views.masks[i].is_outlined
        and not views.masks[i].touches_edge
    ]
    intact = [i for i in near if not views.measured[i].suspected_fracture]
    return intact or near


def _why_not(name: str, own: Local, near: Sequence[Local]) -> str:
    """Why there is no value. The back wall's curve needs neighbours above and below."""
    one_sided = name == "convexity" and own.back_wall_mm is not None
    return Reason.LOW_CONFIDENCE if near and not one_sided else Reason.NO_NEIGHBOURS


def _values(own: Local, places: Sequence[tuple[float, Local]]) -> dict[str, float | None]:
    near = [local for _, local in places]
    marrow, band = inside.core(own, near), inside.line(own)
    return {
        "convexity": posterior_border.convexity_mm(own, near),
        "cortical_gap": cortex.gap_mm2(own, near),
        "paravertebral_tissue": paravertebral.beside_ml(own, places),
        "canal_tissue": soft_tissue.canal_ml(own, near),
        "gas": inside.gas_ml(own),
        "pedicle_left": pedicles.pedicle_bone(own, near, 1.0),
        "pedicle_right": pedicles.pedicle_bone(own, near, -1.0),
        "core_density": None if marrow is None else marrow.difference_hu,
        "core_sclerotic": None if marrow is None else marrow.sclerotic,
        "core_lytic": None if marrow is None else marrow.lytic,
        "fracture_line": None if band is None else band[0],
        "fracture_line_tilt": None if band is None else band[1],
    }


def _sign(name: str, level: Level, value: float | None, why: str) -> Sign:
    low, high = norm_of(name, level)
    if value is None:
        return Sign(name, None, SIGNS[name], low, high, str(why))
    return Sign(name, round(value, FINE_DIGITS) + 0.0, SIGNS[name], low, high)
