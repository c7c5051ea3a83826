"""Malignant change inside a vertebra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F32, Canvas, Patch
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.noise import NoiseField, noise_field
from vfx_edge.phantom.solids import Solid, bounds, ellipsoid, union
from vfx_edge.phantom.spec import LesionSpec


@dataclass(frozen=True, eq=False)
class Lesion:
    """Where bone is replaced (``sites``), by what, and the mass outside it."""

    spec: LesionSpec
    sites: tuple[Solid, ...]
    mass: tuple[Solid, ...]
    warp: NoiseField
    grain: NoiseField
    warp_mm: float
    hu: float
    dense_hu: float


def make_lesion(spec: LesionSpec, vertebra: Vertebra, jitter: Jitter) -> Lesion:
    """Place ``spec`` in ``vertebra``, eccentric as real deposits are."""
    size, frame = vertebra.size, vertebra.frame
    a, b, h = size.width_mm / 2, size.depth_mm / 2, size.height_mm / 2
    side = 1.0 if jitter.rng.random() < 0.5 else -1.0
    share = spec.extent ** (1 / 3)
    offset = (1 - share) * 0.8
    at = frame.world(side * a * offset, b * (0.5 * offset + 0.1 * share), 0.0)
    sites: list[Solid] = [
        ellipsoid(at, (a * share * 1.1, b * share * 1.15, h * share * 1.15), frame.axes)
    ]
    if spec.destroys_pedicle:
        where = frame.world(side * (size.canal_width_mm / 2 + 4), b + 6.0, 0.35 * h)
        sites.append(ellipsoid(where, (8.0, 12.0, 9.0), frame.axes))
    return Lesion(
        spec,
        tuple(sites),
        tuple(_mass(spec, vertebra, side)),
        noise_field(jitter.rng, 6.0),
        noise_field(jitter.rng, 3.0),
        1.6,
        jitter.between(15.0, 60.0),
        jitter.between(420.0, 850.0),
    )


def _mass(spec: LesionSpec, vertebra: Vertebra, side: float) -> list[Solid]:
    size, frame = vertebra.size, vertebra.frame
    a, b, h = size.width_mm / 2, size.depth_mm / 2, size.height_mm / 2
    found: list[Solid] = []
    if spec.soft_tissue_mass:
        grow = 0.7 + 0.6 * spec.extent
        found.append(
            ellipsoid(
                frame.world(side * (a + 2), 0.1 * b, 0.0),
                (11 * grow, b * grow, h * 1.05 * grow),
                frame.axes,
            )
        )
    if spec.convex_posterior_border:
        found.append(
            ellipsoid(frame.world(side * 1.5, b, 0.0), (0.6 * a, 5.5, 0.8 * h), frame.axes)
        )
    return found


def paint_mass(canvas: Canvas, lesion: Lesion) -> None:
    """Draw the soft tissue outside the bone (before the bone itself)."""
    if not lesion.mass:
        return
    low, high = bounds(lesion.mass)
    for patch in canvas.tiles(low - 3, high + 3):
        d = union(patch, lesion.mass, 4.0) + lesion.warp.on(patch) * np.float32(lesion.warp_mm)
        patch.blend(patch.coverage(d), lesion.hu + 8.0)


def paint_lesion(patch: Patch, lesion: Lesion, whole: F32) -> None:
    """Replace bone (``whole`` < 0) inside the lesion's sites."""
    low, high = bounds(lesion.sites)
    box = patch.slices(low - 4, high + 4)
    if box is None:
        return
    sub, bone = patch.at(box), whole[box]
    d = union(sub, lesion.sites, 3.0) + lesion.warp.on(sub) * np.float32(lesion.warp_mm)
    share = sub.coverage(d)
    # An intact cortex stays as a thin rim; a destroyed one goes with the marrow.
    rim = 0.0 if lesion.spec.destroys_cortex else 1.2
    share *= sub.coverage(bone, -rim)
    sub.blend(share, _content(sub, lesion))


def _content(patch: Patch, lesion: Lesion) -> F32:
    grain = lesion.grain.on(patch)
    if lesion.spec.kind == "lytic":
        return np.asarray(lesion.hu + 6 * grain, dtype=np.float32)
    dense = lesion.dense_hu * (1 + np.float32(0.12) * grain)
    if lesion.spec.kind == "sclerotic":
        return np.asarray(dense, dtype=np.float32)
    mix = 1 / (1 + np.exp(-3 * lesion.warp.on(patch)))
    return np.asarray(mix * dense + (1 - mix) * lesion.hu, dtype=np.float32)
