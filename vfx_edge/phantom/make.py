"""Assembly of a phantom: anatomy, painting, scanning, truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vfx_edge.image import Image
from vfx_edge.phantom.arch import Arch, make_arch
from vfx_edge.phantom.body import Body, make_body
from vfx_edge.phantom.bone import BoneTissue, bone_tissue
from vfx_edge.phantom.canvas import F64, U8, Canvas
from vfx_edge.phantom.column import Column, build_column
from vfx_edge.phantom.dents import make_dents, make_spots
from vfx_edge.phantom.field import across, z_range
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.lesion import make_lesion, paint_mass
from vfx_edge.phantom.metal import paint_metal
from vfx_edge.phantom.noise import noise_field
from vfx_edge.phantom.outline import Outline, build_outline
from vfx_edge.phantom.planted import convexity_mm, paint_canal_masses, paint_masses
from vfx_edge.phantom.sacrum import paint_sacrum
from vfx_edge.phantom.scanner import Sampling, sampling, scan
from vfx_edge.phantom.spec import PhantomSpec
from vfx_edge.phantom.surroundings import paint_frame, paint_soft
from vfx_edge.phantom.truth import Truth, level_truth
from vfx_edge.phantom.vertebra import Bone, paint_canal, paint_discs, paint_vertebra
from vfx_edge.study import Scan, SeriesInfo


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic CT with known truth.

    ``hu`` int16, ``labels`` (VerSe numbers) and ``parts`` (:class:`Part`) uint8,
    all (z,y,x) with z to the head, y to the back, x to the patient's left;
    ``affine_zyx_to_lps`` (4,4) maps (z,y,x,1) to (L,P,S) mm.
    """

    hu: npt.NDArray[np.int16]
    labels: U8
    parts: U8
    affine_zyx_to_lps: F64
    truth: Truth

    @property
    def scan(self) -> Scan:
        """The CT as it would be read from a file."""
        spec = self.truth.spec
        spacing = (spec.pixel_mm, spec.pixel_mm, spec.spacing_mm)
        uid = f"1.2.826.0.1.3680043.8.498.{spec.seed}"
        series = SeriesInfo(uid, f"{uid}.1", "CT", len(self.hu), spacing, "axial")
        return Scan(Image(self.hu, self.affine_zyx_to_lps, "CT", "HU"), series)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Stored voxel centres (mm, LPS) and the finer slices that are rendered."""

    x_mm: F64
    y_mm: F64
    z_mm: F64
    fine_z_mm: F64
    steps: Sampling

    def affine(self) -> F64:
        out = np.zeros((4, 4))
        for column, row, line in ((0, 2, self.z_mm), (1, 1, self.y_mm), (2, 0, self.x_mm)):
            out[row, 3] = line[0]
            out[row, column] = line[1] - line[0] if len(line) > 1 else 1.0
        out[3, 3] = 1.0
        return out

    def bounds(self, pixel_mm: float, spacing_mm: float) -> tuple[F64, F64]:
        half = np.array([pixel_mm, pixel_mm, spacing_mm]) / 2
        low = np.array([self.x_mm[0], self.y_mm[0], self.z_mm[0]])
        return low - half, np.array([self.x_mm[-1], self.y_mm[-1], self.z_mm[-1]]) + half


def _grid(spec: PhantomSpec, column: Column, outline: Outline) -> _Grid:
    low, top = z_range(spec, column)
    count = spec.slices or max(1, round(float(top - low) / spec.spacing_mm))
    start = float(0.5 * (top + low) - (count - 1) / 2 * spec.spacing_mm)
    z: F64 = np.asarray(start + np.arange(count) * spec.spacing_mm, dtype=np.float64)
    steps = sampling(spec.spacing_mm, spec.pixel_mm)
    offset = (np.arange(steps.factor) - steps.factor // 2) * steps.step_mm
    fine = (z[:, None] + offset).ravel().astype(np.float64)
    return _Grid(*across(spec, column, outline, z, 12.0), z, fine, steps)


def _bones(spec: PhantomSpec, column: Column, tissue: BoneTissue) -> list[Bone]:
    jitter = Jitter(stream(spec.seed, "vertebrae"), spec.randomness)
    rough = noise_field(jitter.rng, 7.0)
    convex = {s.level for s in spec.lesions if s.convex_posterior_border}
    arches = [make_arch(v, jitter, v is column.last_thoracic) for v in column.vertebrae]
    bones: list[Bone] = []
    for i, vertebra in enumerate(column.vertebrae):
        below: Arch | None = arches[i + 1] if i + 1 < len(arches) else None
        body: Body | None = None
        signs = tuple(s for s in spec.signs if s.level == vertebra.level)
        if vertebra.level != "C1":
            pushed = 3.5 if vertebra.level in convex else 0.0
            pushed += convexity_mm(signs)
            body = make_body(vertebra, spec.degeneration, pushed, jitter, rough)
        lesions = tuple(
            make_lesion(s, vertebra, jitter) for s in spec.lesions if s.level == vertebra.level
        )
        dents = make_dents(vertebra, spec.degeneration, jitter)
        spots = make_spots(vertebra, jitter)
        varied = replace(tissue, spongy_hu=tissue.spongy_hu * jitter.scale(0.06))
        bones.append(Bone(vertebra, body, arches[i], below, dents, spots, lesions, varied, signs))
    return bones


def _paint(
    canvas: Canvas,
    spec: PhantomSpec,
    column: Column,
    outline: Outline,
    bones: list[Bone],
    tissue: BoneTissue,
) -> None:
    """Paint from the outside in: later structures cover earlier ones."""
    paint_soft(canvas, spec, column, outline, tissue)
    for bone in bones:
        for lesion in bone.lesions:
            paint_mass(canvas, lesion)
        paint_masses(canvas, bone.vertebra, bone.signs)
    jitter = Jitter(stream(spec.seed, "skeleton"), spec.randomness)
    paint_frame(canvas, spec, column, outline, tissue, tissue, jitter)
    discs = Jitter(stream(spec.seed, "discs"), spec.randomness)
    paint_discs(canvas, column, [bone.body for bone in bones], spec.degeneration, 78.0, discs)
    paint_canal(canvas, column, jitter)
    for bone in bones:
        paint_canal_masses(canvas, bone.vertebra, bone.signs)
    paint_sacrum(canvas, column, tissue)
    for bone in bones:
        paint_vertebra(canvas, bone)
    paint_metal(canvas, column, spec.metal)


def make_phantom(spec: PhantomSpec) -> Phantom:
    """Synthesise one examination; the same spec always gives the same voxels."""
    column = build_column(spec)
    outline = build_outline(spec, column)
    grid = _grid(spec, column, outline)
    edge = float((spec.pixel_mm**2 * grid.steps.step_mm) ** (1 / 3))
    canvas = Canvas.empty(grid.x_mm, grid.y_mm, grid.fine_z_mm, edge)
    tissue = bone_tissue(spec.bone_density, Jitter(stream(spec.seed, "bone"), spec.randomness))
    bones = _bones(spec, column, tissue)
    _paint(canvas, spec, column, outline, bones, tissue)
    hu = scan(canvas.whole.hu, spec, grid.steps, stream(spec.seed, "scan"))
    keep = slice(grid.steps.factor // 2, None, grid.steps.factor)
    low, high = grid.bounds(spec.pixel_mm, spec.spacing_mm)
    found = [level_truth(bone.vertebra, bone.body, spec, low, high) for bone in bones]
    truth = Truth(spec, tuple(t for t in found if t is not None))
    return Phantom(
        hu,
        np.ascontiguousarray(canvas.whole.labels[keep]),
        np.ascontiguousarray(canvas.whole.parts[keep]),
        grid.affine(),
        truth,
    )
