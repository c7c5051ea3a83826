"""Vertebrae painted from placed shapes: marrow, shell, endplates, findings, labels."""

from dataclasses import dataclass, replace

import numpy as np

from models.recipes.generator.options import ComposeOptions
from models.recipes.generator.placing import Field, Placed, part_neighbours
from vfx_edge.phantom.bone import BoneTissue, bone_tissue, mark, paint_bone
from vfx_edge.phantom.canvas import F32, Canvas, Part, Patch, Slices, smooth_max
from vfx_edge.phantom.dents import Spot, make_dents, make_spots, paint_spot
from vfx_edge.phantom.jitter import Jitter, stream
from vfx_edge.phantom.lesion import Lesion, make_lesion, paint_lesion
from vfx_edge.phantom.noise import NoiseField, noise_field
from vfx_edge.phantom.solids import Solid, beam
from vfx_edge.phantom.spec import PhantomSpec

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Findings:
    """What one vertebra holds besides bone."""

    dents: tuple[Solid, ...]
    spots: tuple[Spot, ...]
    lesions: tuple[Lesion, ...]
    tissue: BoneTissue


@dataclass(frozen=True, eq=False)
class Marrow:
    """Texture of one patient's marrow: patches of fat, and grain stretched along the body."""

    patches: NoiseField
    grain: NoiseField
    patch_share: float
    grain_hu: float
    arch_hu: float
    arch_shell: float
    plate_hu: float


def draw_tissue(spec: PhantomSpec, options: ComposeOptions) -> BoneTissue:
    """Bone of one patient; its cancellous HU spread evenly from osteoporotic to young."""
    rng = stream(spec.seed, "composite bone")
    tissue = bone_tissue(spec.bone_density, Jitter(rng, 1.0))
    spongy = float(rng.uniform(*options.cancellous_hu))
    dense = (spongy - options.cancellous_hu[0]) / np.ptp(options.cancellous_hu)
    return replace(
        tissue,
        spongy_hu=spongy,
        cortex_hu=float(rng.uniform(480, 760) + 260 * dense),
        shell_mm=float(rng.uniform(0.45, 0.85) + 0.25 * dense),
    )


def draw_marrow(rng: np.random.Generator, tissue: BoneTissue) -> Marrow:
    """Grain and patches, stronger where the bone is dense."""
    return Marrow(
        patches=noise_field(rng, float(rng.uniform(4, 9))),
        grain=noise_field(rng, float(rng.uniform(1.5, 2.4)), float(rng.uniform(1.0, 2.2))),
        patch_share=float(rng.uniform(0.05, 0.28)),
        grain_hu=float(rng.uniform(8, 30) + 0.06 * tissue.spongy_hu),
        arch_hu=float(rng.uniform(80, 330)),
        arch_shell=float(rng.uniform(1.7, 3.2)),
        plate_hu=float(rng.uniform(0, 90)),
    )


def draw_findings(spec: PhantomSpec, placed: list[Placed], tissue: BoneTissue) -> list[Findings]:
    """Schmorl's nodes, islands, angiomas and deposits, per level."""
    jitter = Jitter(stream(spec.seed, "findings"), spec.randomness)
    out = []
    for p in placed:
        v = p.vertebra
        lesions = tuple(make_lesion(s, v, jitter) for s in spec.lesions if s.level == v.level)
        varied = replace(tissue, spongy_hu=tissue.spongy_hu * jitter.scale(0.08))
        dents = make_dents(v, spec.degeneration, jitter) if p.verse > 2 else ()
        out.append(Findings(dents, make_spots(v, jitter), lesions, varied))
    return out


def _interior(patch: Patch, field: Field, found: Findings, marrow: Marrow, placed: Placed) -> F32:
    """HU inside the shell: denser near endplates and in the arch."""
    tissue, size = found.tissue, placed.vertebra.size
    hu = marrow.patches.on(patch) * np.float32(marrow.patch_share * tissue.spongy_hu)
    hu += marrow.grain.on(patch) * np.float32(marrow.grain_hu)
    hu += np.float32(tissue.spongy_hu)
    toward = np.clip((np.abs(field.up) * np.float32(2 / size.height_mm) - 0.5) * 2, 0, 1)
    body = np.clip(0.5 - field.behind / 4, 0, 1)
    hu += np.float32(marrow.plate_hu) * toward * body
    hu += np.float32(marrow.arch_hu) * (1 - body)
    broken = placed.vertebra.plates.collapse
    if broken is not None:
        line = 0.5 * size.height_mm - broken.top_mm - 3.0
        band = np.exp(-(((field.up - line) / 2.2) ** 2)) * body
        hu += np.float32((130 if broken.recent else 60) * (0.4 + broken.top_mm / 8)) * band
    return np.asarray(hu, dtype=np.float32)


def _shell(patch: Patch, field: Field, found: Findings, marrow: Marrow, placed: Placed) -> F32:
    """Cortex thickness, mm: thin about the body, stronger at its rims, thick in the arch."""
    tissue, size = found.tissue, placed.vertebra.size
    body = np.clip(0.5 - field.behind / 3, 0, 1)
    rim = np.clip((np.abs(field.up) * np.float32(2 / size.height_mm) - 0.6) / 0.3, 0, 1)
    thick = 0.85 + np.float32(tissue.plate_share) * 0.6 * rim
    thick = body * thick + (1 - body) * np.float32(marrow.arch_shell)
    thick *= np.float32(tissue.shell_mm) * (1 + np.float32(0.2) * tissue.coarse.on(patch))
    return np.asarray(thick, dtype=np.float32)


def _vein(patch: Patch, field: Field, placed: Placed) -> None:
    """The basivertebral vein's cleft in the middle of the back wall."""
    if placed.vertebra.level[0] == "C":
        return
    frame = placed.vertebra.frame
    b = placed.shape.frame.canal_mm * float(placed.scale[1])
    cleft = beam(frame.world(0, b + 1, 0), frame.world(0, 0.35 * b, 0), (3.0, 1.3), frame.left)
    margin = patch.edge_mm
    box = patch.slices(cleft.low - margin, cleft.high + margin)
    if box is not None:
        sub = patch.at(box)
        sub.blend(sub.coverage(cleft.distance(sub)) * (field.sdf[box] < 0), 55.0)


def _cut_dents(patch: Patch, field: Field, dents: tuple[Solid, ...]) -> None:
    for dent in dents:
        box = patch.slices(dent.low - 3, dent.high + 3)
        if box is not None:
            field.sdf[box] = smooth_max(field.sdf[box], -dent.distance(patch.at(box)), 1.0)


def _soften_ribs(patch: Patch, sdf: F32) -> None:
    """A joint space where a rib meets the vertebra: cartilage instead of bone on bone."""
    joint = (patch.parts == Part.RIB) & (sdf > 0) & (sdf < 1.4)
    patch.hu[joint] = 0.45 * patch.hu[joint] + 0.55 * 60.0


def fields_of(
    canvas: Canvas, placed: list[Placed], findings: list[Findings], gap_mm: Array
) -> list[tuple[int, Slices, Field]]:
    """(index of the vertebra, its box, its field) for all in view, joints cut free."""
    out = []
    for i, p in enumerate(placed):
        box = canvas.whole.slices(*p.bounds_mm())
        if box is not None and min(s.stop - s.start for s in box) > 1:
            patch = canvas.whole.at(box)
            field = p.on(patch)
            _cut_dents(patch, field, findings[i].dents)
            out.append((i, box, field))
    part_neighbours([(box, f) for _, box, f in out], gap_mm[[i for i, _, _ in out]])
    return out


def paint_vertebrae(
    canvas: Canvas,
    placed: list[Placed],
    findings: list[Findings],
    marrow: Marrow,
    gap_mm: Array,
) -> None:
    """Draw every vertebra with its label and its parts."""
    for i, box, field in fields_of(canvas, placed, findings, gap_mm):
        patch, found = canvas.whole.at(box), findings[i]
        _soften_ribs(patch, field.sdf)
        inside = _interior(patch, field, found, marrow, placed[i])
        shell = _shell(patch, field, found, marrow, placed[i])
        paint_bone(patch, field.sdf, inside, shell, found.tissue.cortex_hu)
        mark(patch, field.sdf, Part.POSTERIOR, placed[i].verse)
        patch.parts[(field.sdf <= 0) & (field.behind < 0)] = Part.BODY
        _vein(patch, field, placed[i])
        for spot in found.spots:
            paint_spot(patch, spot, field.sdf)
        for lesion in found.lesions:
            paint_lesion(patch, lesion, field.sdf)
