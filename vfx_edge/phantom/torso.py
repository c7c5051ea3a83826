"""Skin, fat, muscle and the two body cavities with lungs and bowel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfx_edge.phantom.canvas import F32, F64, Canvas, Patch
from vfx_edge.phantom.column import Column
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.noise import NoiseField, noise_field
from vfx_edge.phantom.outline import Outline
from vfx_edge.phantom.solids import SIDES, UP, Beam, beam, unit


@dataclass(frozen=True, eq=False)
class Tissues:
    """Soft-tissue HU and fields of one patient."""

    fat_hu: float
    muscle_hu: float
    lung_hu: float
    bowel_hu: float
    marbling: float
    septa: NoiseField
    loops: NoiseField
    gas: NoiseField
    grain: NoiseField
    fat_share: float
    gas_share: float


@dataclass(frozen=True, eq=False)
class Diaphragm:
    """Two domes: apex (L, P, S) mm each and how fast they fall away."""

    right: F64
    left: F64
    fall_mm: float

    def height(self, patch: Patch) -> F32:
        """S mm of the dome above each (y, x), shape (1,ny,nx)."""
        domes = []
        for apex in (self.right, self.left):
            dx, dy = (patch.x_mm - apex[0]) / 75.0, (patch.y_mm - apex[1]) / 80.0
            domes.append(apex[2] - self.fall_mm * (dx * dx + dy * dy))
        return np.asarray(np.maximum(domes[0], domes[1]), dtype=np.float32)


def make_tissues(jitter: Jitter, body_size: float) -> Tissues:
    """Draw soft-tissue properties."""
    rng = jitter.rng
    # Some patients drink contrast before the scan.
    oral = jitter.between(60, 320)
    swallowed = oral if jitter.chance(0.12) else 0.0
    return Tissues(
        fat_hu=-102 + jitter.shift(6),
        muscle_hu=54 + jitter.shift(7),
        lung_hu=-855 + jitter.shift(25),
        bowel_hu=32 + jitter.shift(10) + swallowed,
        marbling=0.05 * jitter.scale(0.6),
        septa=noise_field(rng, 16.0, 2.5),
        loops=noise_field(rng, 13.0),
        gas=noise_field(rng, 15.0),
        grain=noise_field(rng, 4.0),
        fat_share=-0.2 + 0.9 * (body_size - 1) + jitter.shift(0.4),
        gas_share=1.5 + jitter.shift(0.3),
    )


def make_diaphragm(column: Column, outline: Outline, jitter: Jitter) -> Diaphragm:
    """Right dome a little higher than the left one."""
    z = column.anchor("T10")[2] + 8 + jitter.shift(14)
    _, deep, x0, y0 = (float(v) for v in outline.ribs.at(np.array(z)))
    y = y0 - 0.1 * deep
    return Diaphragm(
        np.array([x0 - 62, y, z + 7]), np.array([x0 + 66, y + 8, z - 8]), 42.0 * jitter.scale(0.15)
    )


def paint_torso(
    canvas: Canvas, outline: Outline, column: Column, tissue: Tissues, dome: Diaphragm
) -> None:
    """Fill the trunk outline from the skin inward."""
    low, high = outline.box()
    spine = column.line_mm
    for patch in canvas.tiles(low, high):
        muscle = outline.muscle.distance(patch)
        skin = muscle - outline.fat(patch)
        if float(skin.min()) > patch.edge_mm:
            continue
        patch.blend(patch.coverage(skin), 10.0)
        patch.blend(patch.coverage(skin, -1.6), tissue.fat_hu)
        patch.blend(patch.coverage(muscle), _muscle(patch, tissue))
        _fill_cavity(patch, outline, tissue, dome, spine)


def _muscle(patch: Patch, tissue: Tissues) -> F32:
    """Muscle crossed by thin sheets of fat."""
    sheets = np.abs(tissue.septa.on(patch))
    share = np.clip(1.2 - sheets / np.float32(tissue.marbling), 0, 0.85)
    return np.asarray(tissue.muscle_hu + share * (tissue.fat_hu - tissue.muscle_hu))


def _fill_cavity(
    patch: Patch, outline: Outline, tissue: Tissues, dome: Diaphragm, spine: F64
) -> None:
    """Fat, bowel loops and gas below the domes; fat and vessels above."""
    inside = patch.coverage(outline.cavity.distance(patch))
    if not inside.any():
        return
    loops = tissue.loops.on(patch)
    soft = np.clip((loops - np.float32(tissue.fat_share)) * 3.0, 0, 1)
    # Beside and behind the chest vertebrae there is muscle, not fat.
    spine_y = np.interp(patch.z_mm, spine[:, 2], spine[:, 1]).astype(np.float32)
    deep = np.clip((patch.y_mm - spine_y - 4) / 6, 0, 1)
    deep = deep * np.clip((patch.z_mm - dome.left[2] + 60) / 20, 0, 1)
    soft = np.maximum(soft, deep)
    hu = tissue.fat_hu + soft * np.float32(tissue.bowel_hu - tissue.fat_hu)
    front = np.asarray(outline.cavity.at(patch.z_mm)[3] - patch.y_mm, dtype=np.float32)
    rise = tissue.gas.on(patch) + np.clip(front * np.float32(0.012), -0.8, 0.6)
    below = np.clip((dome.height(patch) - 25.0 - patch.z_mm) / 4.0, 0, 1)
    gas = np.clip((rise - np.float32(tissue.gas_share)) * 5.0, 0, 1) * below
    hu += gas * (-880.0 - hu)
    patch.blend(inside, hu)


def _mediastinum(patch: Patch, column: Column) -> F32:
    """Half-width (mm) of what lies between the lungs, (nz,ny,1)."""
    spine = column.line_mm
    half = np.array([v.size.width_mm / 2 for v in column.vertebrae])[::-1]
    y0 = np.interp(patch.z_mm, spine[:, 2], spine[:, 1])
    a = np.interp(patch.z_mm, spine[:, 2], half)
    y = patch.y_mm - y0
    wide = np.interp(y, [-150, -95, -60, -28, -12, 6, 22, 60], [5, 12, 24, 17, 2, 2, 5, 11])
    return np.asarray(wide + a * (y > -20) * np.clip((y + 20) / 10, 0, 1), dtype=np.float32)


def paint_lungs(
    canvas: Canvas,
    outline: Outline,
    column: Column,
    tissue: Tissues,
    dome: Diaphragm,
    jitter: Jitter,
) -> None:
    """Draw both lungs above the diaphragm, then their vessels."""
    low, high = outline.box()
    low[2] = dome.left[2] - 130
    high[2] = column.anchor("T1")[2] + 5
    spine = column.line_mm
    for patch in canvas.tiles(low, high):
        x0 = np.interp(patch.z_mm, spine[:, 2], spine[:, 0]).astype(np.float32)
        d = outline.ribs.distance(patch, -8.0)
        np.maximum(d, _mediastinum(patch, column) - np.abs(patch.x_mm - x0), out=d)
        np.maximum(d, dome.height(patch) - patch.z_mm, out=d)
        share = patch.coverage(d)
        if share.any():
            # Lung is denser where it lies lowest: at the back of a supine patient.
            hu = tissue.lung_hu + np.float32(0.35) * (patch.y_mm - low[1] - 110)
            patch.blend(share, hu + 22 * tissue.grain.on(patch))
    for rod in _lung_vessels(column, outline, dome, jitter):
        for patch in canvas.tiles(rod.low, rod.high):
            share = patch.coverage(rod.distance(patch))
            patch.blend(share * (patch.hu < -300), 30.0)


def _lung_vessels(column: Column, outline: Outline, dome: Diaphragm, jitter: Jitter) -> list[Beam]:
    """Branches from each hilum outward, tapering."""
    rods: list[Beam] = []
    rng = jitter.rng
    for side in SIDES:
        root = column.anchor("T6") + np.array([side * 38.0, -28.0, 0.0])
        for _ in range(26):
            way = unit(
                np.array([side * rng.uniform(0.1, 1), rng.normal(0.1, 0.8), rng.normal(-0.15, 0.9)])
            )
            rods += _branch(root, way, rng.uniform(2.0, 4.2), 3, rng)
    return rods


def _branch(start: F64, way: F64, radius: float, left: int, rng: np.random.Generator) -> list[Beam]:
    end = start + way * rng.uniform(18, 38)
    tip = radius * 0.72
    rods = [beam(start, end, (radius, radius), UP, (tip, tip))]
    if left > 0:
        bends = 2 if left < 3 else 1
        for _ in range(bends):
            rods += _branch(end, unit(way + rng.normal(0, 0.45, 3)), tip, left - 1, rng)
    return rods
