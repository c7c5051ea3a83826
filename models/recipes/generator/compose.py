"""One composite: a synthetic body, real vertebra shapes in its column, and a scanner."""

import numpy as np
from scipy import ndimage as ndi

from models.recipes.cases import Labelled
from models.recipes.generator import bones, scanner
from models.recipes.generator.bank import ShapeBank
from models.recipes.generator.hardware import paint_hardware
from models.recipes.generator.options import ComposeOptions
from models.recipes.generator.planning import draw_spec, place_all
from models.recipes.generator.surroundings import empty_canvas, paint_surroundings
from models.recipes.shapes import BODY, Case
from models.recipes.synthetic import case_labels
from vfx_edge.phantom import PhantomSpec
from vfx_edge.phantom.canvas import Canvas
from vfx_edge.phantom.column import Column, build_column
from vfx_edge.phantom.outline import build_outline
from vfx_edge.vocabulary import SACRUM

Array = np.ndarray
MIN_SIZE = 3 * 60  # coordinates of voxels; with less of its body in view there is no centre


def compose(seed: int, bank: ShapeBank, options: ComposeOptions | None = None) -> Labelled:
    """A labelled case from a seed; the same seed, bank and options give the same voxels."""
    options = options or ComposeOptions()
    rng = np.random.default_rng([seed, 3])
    spec = draw_spec(rng, options)
    column = build_column(spec)
    canvas = _paint(rng, spec, column, bank, options)
    protocol = scanner.draw_scanner(rng, options, spec.circular_fov)
    if rng.random() < options.random_contrast_rate:
        scanner.random_contrast(canvas.whole.hu, canvas.whole.parts > 0, rng)
    hu = scanner.acquire(canvas.whole.hu, spec, protocol, seed)
    return _labelled(f"compose{seed}", hu, canvas, column, options.spacing_mm)


def _paint(
    rng: np.random.Generator,
    spec: PhantomSpec,
    column: Column,
    bank: ShapeBank,
    options: ComposeOptions,
) -> Canvas:
    outline = build_outline(spec, column)
    canvas = empty_canvas(spec, column, outline)
    tissue = bones.draw_tissue(spec, options)
    placed = place_all(rng, bank, column, spec, options)
    findings = bones.draw_findings(spec, placed, tissue)
    lesions = [lesion for found in findings for lesion in found.lesions]
    paint_surroundings(canvas, spec, column, outline, tissue, lesions)
    gap_mm = rng.uniform(*options.joint_gap_mm, len(placed))
    marrow = bones.draw_marrow(rng, tissue)
    bones.paint_vertebrae(canvas, placed, findings, marrow, gap_mm)
    wires = bool(rng.random() < options.wire_rate)
    paint_hardware(canvas, column, outline, spec.metal, wires, rng)
    return canvas


def _labelled(name: str, hu: Array, canvas: Canvas, column: Column, spacing_mm: float) -> Labelled:
    whole = canvas.whole
    verse, part = case_labels(whole.labels, whole.parts)
    part[verse == 0] = 0
    origin = np.array([float(a.ravel()[0]) for a in (whole.x_mm, whole.y_mm, whole.z_mm)])
    case = Case(name, spacing_mm, origin, hu, verse, part)
    return Labelled(case, _centres(case, column), False)


def _centres(case: Case, column: Column) -> dict[int, Array]:
    """Centroids of the bodies in view, and the first sacral segment's place."""
    centres = {}
    body = np.where(case.part == BODY, case.verse, 0)
    for value, box in enumerate(ndi.find_objects(body), start=1):
        if box is not None and (inside := np.argwhere(body[box] == value)).size >= MIN_SIZE:
            centres[value] = inside.mean(0) + [s.start for s in box]
    sacrum = (column.sacrum[0].centre_mm - case.origin_lps_mm)[::-1] / case.spacing_mm
    if ((sacrum >= 0) & (sacrum <= np.array(case.verse.shape) - 1)).all():
        centres[SACRUM] = sacrum
    return centres
