"""Signs planted one by one, of known size: what a measurement of them is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfx_edge.phantom.body import Body
from vfx_edge.phantom.canvas import F32, Canvas, Patch
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.solids import Ellipsoid, ellipsoid, fill
from vfx_edge.phantom.spec import SignSpec

_TISSUE_HU, _GAS_HU, _CANAL_HU = 48.0, -700.0, 65.0
_WALL_MM, _DEEP_MM, _BAND_MM = 2.0, 3.0, 1.0


def back_wall_mm(body: Body) -> float:
    """How far behind the frame's origin the body's back wall lies, mid-sagittal and half way up;
    mm, by the solid itself."""
    back = np.arange(0.0, body.half_depth_mm + 8.0, 0.02, dtype=np.float32)
    zero = np.zeros_like(back)
    inside = body.local_distance(zero, back, zero) <= 0
    return float(back[inside].max())


def convexity_mm(signs: Sequence[SignSpec]) -> float:
    """By how much these push the back wall outward."""
    return sum(sign.size for sign in signs if sign.kind == "convexity")


def paint_masses(canvas: Canvas, vertebra: Vertebra, signs: Sequence[SignSpec]) -> None:
    """Soft tissue beside the body; before the bone, which covers what of it lies inside."""
    for sign in signs:
        if sign.kind == "mass" and sign.size > 0:
            fill(canvas, [_mass(vertebra, sign)], _TISSUE_HU)


def paint_canal_masses(canvas: Canvas, vertebra: Vertebra, signs: Sequence[SignSpec]) -> None:
    """Soft tissue within the canal, before its back wall; after the sac, before the bone."""
    for sign in signs:
        if sign.kind == "canal" and sign.size > 0:
            r = (sign.size * 1000 / (4 / 3 * np.pi * 0.72)) ** (1 / 3)
            at = vertebra.frame.world(0, vertebra.size.depth_mm / 2 + 0.55 * r, 0)
            fill(canvas, [ellipsoid(at, (r, 0.6 * r, 1.2 * r), vertebra.frame.axes)], _CANAL_HU)


def paint_inside(
    patch: Patch,
    vertebra: Vertebra,
    body: Body | None,
    signs: Sequence[SignSpec],
    whole: F32,
    d_body: F32,
) -> None:
    """What changes the bone itself (``whole`` < 0), the body's distance being ``d_body``."""
    for sign in signs:
        if sign.kind == "core":
            patch.hu[...] += patch.coverage(d_body, -_DEEP_MM) * np.float32(sign.size)
        elif sign.kind == "line":
            up = patch.along(vertebra.frame.up, vertebra.frame.centre_mm)
            band = patch.coverage(np.abs(up), _BAND_MM) * patch.coverage(d_body, -_WALL_MM)
            patch.hu[...] += band * np.float32(sign.size)
        elif body is not None and (hole := _hole(vertebra, body, sign)) is not None:
            _dig(patch, hole, sign, whole, d_body)


def _dig(patch: Patch, hole: Ellipsoid, sign: SignSpec, whole: F32, d_body: F32) -> None:
    box = patch.slices(hole.low - 2, hole.high + 2)
    if box is None:
        return
    sub = patch.at(box)
    share = sub.coverage(hole.distance(sub))
    if sign.kind == "gas":
        sub.blend(share * sub.coverage(d_body[box], -_WALL_MM), _GAS_HU)
    else:
        sub.blend(share * sub.coverage(whole[box]), _TISSUE_HU)


def _sign_of(sign: SignSpec) -> float:
    return 1.0 if sign.side == "left" else -1.0


def _mass(vertebra: Vertebra, sign: SignSpec) -> Ellipsoid:
    """Most of it (nine tenths) outside the body."""
    r = float((sign.size / 0.9 * 1000 / (4 / 3 * np.pi)) ** (1 / 3))
    beside = vertebra.size.width_mm / 2 + 0.65 * r
    at = vertebra.frame.world(_sign_of(sign) * beside, 0.0, 0.0)
    return ellipsoid(at, (r, r, r), vertebra.frame.axes)


def _hole(vertebra: Vertebra, body: Body, sign: SignSpec) -> Ellipsoid | None:
    """Where bone is missing; None for a sign that takes none away."""
    frame, side = vertebra.frame, _sign_of(sign)
    if sign.kind == "gas":
        r = float((sign.size * 1000 / (4 / 3 * np.pi * 0.7)) ** (1 / 3))
        at = frame.world(0, -0.1 * body.half_depth_mm, 0)
        return ellipsoid(at, (1.2 * r, r, 0.6 * r), frame.axes)
    if sign.kind == "gap":
        r = float(np.sqrt(sign.size / np.pi))
        return ellipsoid(frame.world(side * _side_wall_mm(body), 0, 0), (3.0, r, r), frame.axes)
    if sign.kind == "pedicle":
        at = frame.world(
            side * (vertebra.size.canal_width_mm / 2 + 4),
            body.half_depth_mm + 6.0,
            0.35 * body.half_height_mm,
        )
        return ellipsoid(at, (8 * sign.size, 12 * sign.size, 9 * sign.size), frame.axes)
    return None


def _side_wall_mm(body: Body) -> float:
    left = np.arange(0.0, body.half_width_mm + 8.0, 0.05, dtype=np.float32)
    zero = np.zeros_like(left)
    return float(left[body.local_distance(left, zero, zero) <= 0].max())
