"""Painting of vertebrae, discs and the spinal canal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.arch import JOINT_GAP_MM, Arch, canal_point_mm
from vfx_edge.phantom.body import Body
from vfx_edge.phantom.bone import BoneTissue, mark, paint_bone
from vfx_edge.phantom.canvas import F32, FAR_MM, Canvas, Part, Patch, smooth_max, smooth_min
from vfx_edge.phantom.column import Column, Vertebra
from vfx_edge.phantom.dents import Spot, paint_spot
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.lesion import Lesion, paint_lesion
from vfx_edge.phantom.levels import NUMBER_OF
from vfx_edge.phantom.planted import paint_inside
from vfx_edge.phantom.solids import Beam, Solid, beam, bounds, chain, ellipsoid, fill, union
from vfx_edge.phantom.spec import SignSpec


@dataclass(frozen=True, eq=False)
class Bone:
    """One vertebra ready to be painted; ``below`` is the next arch down."""

    vertebra: Vertebra
    body: Body | None
    arch: Arch
    below: Arch | None
    dents: tuple[Solid, ...]
    spots: tuple[Spot, ...]
    lesions: tuple[Lesion, ...]
    tissue: BoneTissue
    signs: tuple[SignSpec, ...] = ()


def _arch_distance(patch: Patch, bone: Bone) -> F32:
    arch = bone.arch
    lower = union(patch, arch.lower_joints, 1.0)
    if bone.below is not None:
        # The joint space: the lower neighbour's process is spared.
        other = union(patch, bone.below.upper_joints)
        lower = np.maximum(lower, np.float32(JOINT_GAP_MM) - other)
    total = union(patch, [*arch.rods, *arch.upper_joints], 3.0)
    total = smooth_min(total, lower, 1.5)
    for hole in arch.holes:
        box = patch.slices(hole.low - 3, hole.high + 3)
        if box is not None:
            total[box] = smooth_max(total[box], -hole.distance(patch.at(box)), 1.0)
    return total


def _body_distance(patch: Patch, bone: Bone) -> F32:
    total = np.full(patch.shape, FAR_MM, np.float32)
    if bone.body is None:
        return total
    margin = 3 * patch.edge_mm
    box = patch.slices(bone.body.low - margin, bone.body.high + margin)
    if box is not None:
        inner = bone.body.distance(patch.at(box))
        for dent in bone.dents:
            inner = smooth_max(inner, -dent.distance(patch.at(box)), 1.0)
        total[box] = inner
    return total


def _spongy(patch: Patch, bone: Bone, d_body: F32) -> F32:
    """Interior HU: texture, denser under the endplates, with the vein's notch."""
    hu = bone.tissue.texture(patch)
    inner = 1 + np.float32(bone.tissue.rise) * np.exp(np.minimum(d_body, 0) / 4.5)
    hu *= np.where(d_body < 0, inner, np.float32(1.3))
    # The arch is nearly compact bone.
    hu += np.clip(d_body * 0.25, 0, 1) * np.float32(150.0 + 0.12 * bone.tissue.cortex_hu)
    broken = bone.vertebra.plates.collapse
    if broken is not None and bone.body is not None:
        up = patch.along(bone.vertebra.frame.up, bone.vertebra.frame.centre_mm)
        line = bone.body.half_height_mm - broken.top_mm - 3.0
        band = np.exp(-(((up - line) / 2.2) ** 2))
        hu += np.float32((130 if broken.recent else 60) * (0.4 + broken.top_mm / 8)) * band
    return hu


def _shell(patch: Patch, bone: Bone, d_body: F32, d_arch: F32) -> F32:
    """Cortex thickness: thin endplate centres, strong rims, strongest arch."""
    base, tissue, size = np.float32(bone.tissue.shell_mm), bone.tissue, bone.vertebra.size
    frame = bone.vertebra.frame
    left, back, up = (patch.along(axis, frame.centre_mm) for axis in frame.axes)
    plates = bone.vertebra.plates
    end = np.clip((np.abs(up) * np.float32(2 / size.height_mm) - 0.45) / 0.25, 0, 1)
    if plates.collapse is not None:
        end = np.maximum(end, 0.6)
    out = (left * np.float32(2 / size.width_mm)) ** 2 + (back * np.float32(2 / size.depth_mm)) ** 2
    plate = np.float32(tissue.plate_share) + np.clip((out - 0.5) * 1.5, 0, 1) * np.float32(0.6)
    wall = base * (np.float32(0.9) + end * (plate - np.float32(0.9)))
    wall *= 1 + np.float32(0.22) * tissue.coarse.on(patch)
    return np.asarray(np.where(d_body < d_arch, wall, 1.7 * base), dtype=np.float32)


def paint_vertebra(canvas: Canvas, bone: Bone) -> None:
    """Draw one vertebra with its labels and parts."""
    pieces: list[Solid] = [*bone.arch.bone]
    if bone.body is not None:
        pieces.append(bone.body)
    for patch in canvas.tiles(*bounds(pieces)):
        d_body, d_arch = _body_distance(patch, bone), _arch_distance(patch, bone)
        whole = smooth_min(d_body, d_arch, 3.0)
        if float(whole.min()) > patch.edge_mm:
            continue
        spongy, shell = _spongy(patch, bone, d_body), _shell(patch, bone, d_body, d_arch)
        paint_bone(patch, whole, spongy, shell, bone.tissue.cortex_hu)
        mark(patch, whole, Part.POSTERIOR, NUMBER_OF[bone.vertebra.level])
        patch.parts[d_body <= 0] = Part.BODY
        _paint_vein(patch, bone, whole)
        for spot in bone.spots:
            paint_spot(patch, spot, whole)
        for lesion in bone.lesions:
            paint_lesion(patch, lesion, whole)
        paint_inside(patch, bone.vertebra, bone.body, bone.signs, whole, d_body)


def _paint_vein(patch: Patch, bone: Bone, whole: F32) -> None:
    """The basivertebral vein's cleft in the back wall."""
    if bone.body is None or bone.vertebra.level.startswith("C"):
        return
    frame, b = bone.vertebra.frame, bone.body.half_depth_mm
    middle = bone.vertebra.plates.mid_centre_mm
    cleft = beam(
        frame.world(0, b + 1, middle),
        frame.world(0, 0.4 * b, middle),
        (3.2, 1.4),
        frame.left,
        (1.2, 0.5),
    )
    margin = patch.edge_mm
    box = patch.slices(cleft.low - margin, cleft.high + margin)
    if box is not None:
        sub = patch.at(box)
        sub.blend(sub.coverage(cleft.distance(sub)) * (whole[box] < 0), 55.0)


def paint_discs(
    canvas: Canvas,
    column: Column,
    bodies: Sequence[Body | None],
    degeneration: float,
    base_hu: float,
    jitter: Jitter,
) -> None:
    """Draw the disc under each body; the bodies painted later cut them to shape."""
    for upper, lower in zip(bodies, [*bodies[1:], None], strict=True):
        hu, gas = base_hu + jitter.shift(8.0), jitter.chance(0.25 * degeneration)
        bulge_mm = abs(jitter.shift(0.8)) + degeneration * jitter.between(0, 2.0)
        if upper is None:
            continue
        a, b = upper.half_width_mm, upper.half_depth_mm
        start = upper.frame.world(0, 0.06 * b, -0.55 * upper.half_height_mm)
        wide = last = (a * 0.97 + bulge_mm, b * 1.0 + bulge_mm)
        end = column.sacrum[0].world(0, 0, 8.0)
        if lower is not None:
            last = (lower.half_width_mm * 0.97 + bulge_mm, lower.half_depth_mm + bulge_mm)
            end = lower.frame.world(0, 0.06 * lower.half_depth_mm, 0.55 * lower.half_height_mm)
        _paint_disc(canvas, beam(start, end, wide, upper.frame.left, last, cap_mm=2.0), hu)
        if gas:
            foot = upper.frame.world(0, 0, -upper.half_height_mm)
            size = (0.5 * a, 0.5 * b, 1.0)
            middle = 0.5 * (foot + 0.5 * (start + end))
            fill(canvas, [ellipsoid(middle, size, upper.frame.axes)], -450.0)


def _paint_disc(canvas: Canvas, disc: Beam, hu: float) -> None:
    for patch in canvas.tiles(disc.low, disc.high):
        d = disc.distance(patch)
        rim = np.float32(25.0) * np.exp(np.minimum(d, 0) / 6.0)
        patch.blend(patch.coverage(d), np.float32(hu) + rim)
        mark(patch, d, Part.DISC)


def paint_canal(canvas: Canvas, column: Column, jitter: Jitter) -> None:
    """Draw epidural fat, the dural sac and the cord."""
    spine = column.vertebrae
    points = np.array([canal_point_mm(v) for v in spine])
    sacral = [f.world(0, 19.0 - 2 * i, 0) for i, f in enumerate(column.sacrum[:3])]
    points = np.vstack([points, *sacral])
    wide = np.array([v.size.canal_width_mm / 2 for v in spine] + [12.0, 9.0, 6.0])
    deep = np.array([v.size.canal_depth_mm / 2 for v in spine] + [7.0, 6.0, 4.0])
    sides = np.array([v.frame.left for v in spine] + [f.left for f in column.sacrum[:3]])
    sac_hu = 22.0 + jitter.shift(8)
    cord_end = next(i for i, v in enumerate(spine) if v.level == "L1") + 1
    for share, hu, stop, part in (
        (1.0, -45.0, None, 0),
        (0.78, sac_hu, None, Part.CANAL),
        (0.42, sac_hu + 16, cord_end, Part.CANAL),
    ):
        radii = np.stack([wide, deep], axis=1)[:stop] * share
        for rod in chain(points[:stop], radii, sides[:stop]):
            for patch in canvas.tiles(rod.low, rod.high):
                d = rod.distance(patch)
                patch.blend(patch.coverage(d), hu)
                if part:
                    mark(patch, d, part)
