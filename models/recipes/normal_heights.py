"""Normal heights of vertebral bodies by level, from the masks of intact vertebrae.

    python -m models.recipes.normal_heights CASES_FOLDER

Prints tables like those that `vfx_edge/spine/height_loss.py` holds. Robust: each case is scaled to
the others, each curve is a low polynomial through the medians. The cases are few, so published
wedging of 240 intact spines weighs as much as they do where there is any.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from models.recipes.cases import Labelled, load
from models.recipes.shapes import ARCH, BODY
from vfx_edge.spine.measure import PLACES, column_axes, depth_mm, measure_heights
from vfx_edge.study import Level, Vertebra, VertebraMask
from vfx_edge.vocabulary import T1_TO_L5

LEVELS = T1_TO_L5
MARGIN = 8
# Masks of the levels above are too rough to tell a shape: they get the shape of this one.
FIRST_SHAPED = LEVELS.index(Level.T4)
# Parts of the names of cases. One CT is squeezed in its file; two masks hold the neck and rough
# upper thoracic bodies.
ODD = ("wholesag", "ct_whole_spine_sagittal_dicom", "gl003", "gl017")
# Fractured by eye or by the data sheet.
FRACTURED = {
    "sample001": ("L1", "L2"),
    "verse010": ("L1",),
    "verse004": ("T9", "T10", "L1"),
}
# Angle between the endplates, degrees, positive where the front is lower; means of 120 women and
# 120 men on CT (Masharawi et al., Eur Spine J 2010;19:768, table 1).
WEDGING_DEG = {
    Level.T9: (2.8, 4.8),
    Level.T10: (2.6, 3.8),
    Level.T11: (4.6, 5.4),
    Level.T12: (3.5, 4.9),
    Level.L1: (2.6, 4.1),
    Level.L2: (0.7, 2.6),
    Level.L3: (-1.1, 1.3),
    Level.L4: (-3.1, -0.7),
    Level.L5: (-7.8, -4.6),
}


@dataclass(frozen=True, eq=False)
class Row:
    """One vertebra: anterior, middle, posterior height and depth; `level` counts LEVELS."""

    case: str
    level: int
    sizes_mm: np.ndarray


def masks_of(labelled: Labelled) -> list[VertebraMask]:
    """The case's vertebrae as the product's own type, head to feet."""
    case, out = labelled.case, []
    for level in LEVELS:
        body = (case.verse == level.verse) & (case.part == BODY)
        if body.sum() < 800:
            continue
        box = ndimage.find_objects(body.astype(np.uint8))[0]
        start = np.array([s.start for s in box]) - MARGIN
        stop = np.array([s.stop for s in box]) + MARGIN + [0, 25, 0]
        if (start < 0).any() or (stop[[0, 2]] > np.array(case.verse.shape)[[0, 2]]).any():
            continue  # cut, or too near the end to tell
        cut = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        soft = ndimage.gaussian_filter(body[cut].astype(np.float32), 0.5)
        arch = (case.verse[cut] == level.verse) & (case.part[cut] == ARCH)
        origin = case.origin_lps_mm + case.spacing_mm * start[::-1]
        centre = np.argwhere(body[cut]).mean(0)[::-1] * case.spacing_mm + origin
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        corner = (float(origin[0]), float(origin[1]), float(origin[2]))
        half = soft.astype(np.float16), arch.astype(np.float16)
        out.append(VertebraMask(Vertebra(level, place, 1.0), *half, corner, case.spacing_mm))
    return out


def left_out(case: str, level: Level) -> bool:
    """Whether a case, named like its file, says nothing of the intact at this level."""
    fractured = [levels for part, levels in FRACTURED.items() if part in case]
    return any(part in case for part in ODD) or any(level.value in levels for levels in fractured)


def measured(folder: Path) -> list[Row]:
    """Anterior, middle, posterior height and depth, mm, of everything intact."""
    rows = []
    for path in sorted(folder.glob("*.npz")):
        # of the painted copies of one mask the first will do; made-up anatomy shows nothing
        painted = path.name.startswith("paint_") and path.stem.endswith(("_1", "0"))
        if not (path.name.startswith("real_") or painted) or left_out(path.stem, LEVELS[0]):
            continue
        masks = masks_of(load(path))
        for mask, axis in zip(masks, column_axes(masks), strict=True):
            heights = measure_heights(mask, axis)
            if heights and not left_out(path.stem, mask.vertebra.level):
                values = (heights.anterior_mm, heights.middle_mm, heights.posterior_mm)
                sizes = np.array([*values, depth_mm(heights)])
                rows.append(Row(path.stem, LEVELS.index(mask.vertebra.level), sizes))
    return rows


def robust_curve(
    x: np.ndarray, y: np.ndarray, degree: int, weight: np.ndarray | None = None
) -> np.ndarray:
    """Values over all levels of the polynomial with the least sum of absolute residuals.

    A median, not a mean: slight wedges that nobody noticed lie on one side only.
    """
    weight = np.ones(len(x)) if weight is None else weight
    rest = np.ones(len(x))
    for _ in range(50):
        fit = np.polyfit(x, y, degree, w=np.sqrt(weight / np.maximum(rest, 1e-3)))
        rest = np.abs(y - np.polyval(fit, x))
    return np.asarray(np.polyval(fit, np.arange(len(LEVELS))))


def curve_of_sizes(rows: list[Row], column: int) -> np.ndarray:
    """One curve of a size over the levels for all cases, and one stature for each case."""
    x = np.array([row.level for row in rows])
    log = np.log([row.sizes_mm[column] for row in rows])
    offset = {row.case: 0.0 for row in rows}
    for _ in range(10):
        curve = robust_curve(x, log - np.array([offset[row.case] for row in rows]), 3)
        for case in offset:
            own = [log[i] - curve[x[i]] for i, row in enumerate(rows) if row.case == case]
            offset[case] = float(np.median(own))
    return np.asarray(np.exp(curve))


def published_front(posterior: np.ndarray, depth: np.ndarray) -> dict[int, float]:
    """Level number -> anterior over posterior height, from published angles."""
    span = PLACES[2].at - PLACES[0].at
    at = {LEVELS.index(level): float(np.mean(deg)) for level, deg in WEDGING_DEG.items()}
    return {
        i: float(1 - span * depth[i] * np.tan(np.radians(deg)) / posterior[i])
        for i, deg in at.items()
    }


def normal_sizes(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Heights (levels, 3) and depths (levels), mm."""
    x = np.array([row.level for row in rows])
    sizes = np.array([row.sizes_mm for row in rows])
    posterior, depth = curve_of_sizes(rows, 2), curve_of_sizes(rows, 3)
    known = published_front(posterior, depth)
    cases = np.maximum(np.bincount(x, minlength=len(LEVELS)), 1)
    weight = np.append(np.ones(len(x)), cases[list(known)])
    levels = np.append(x, list(known))
    ratios = np.append(sizes[:, 0] / sizes[:, 2], list(known.values()))
    sound = levels >= FIRST_SHAPED
    front = robust_curve(levels[sound], ratios[sound], 3, weight[sound])
    sound = x >= FIRST_SHAPED
    middle = robust_curve(x[sound], (sizes[:, 1] / sizes[:, 2])[sound], 3)
    shaped = np.maximum(np.arange(len(LEVELS)), FIRST_SHAPED)
    heights = [posterior * front[shaped], posterior * middle[shaped], posterior]
    return np.stack(heights, axis=1), depth


def main(folder: Path) -> None:
    heights, depths = normal_sizes(measured(folder))
    for level, (a, m, p) in zip(LEVELS, heights, strict=True):
        sys.stdout.write(f"    Level.{level.value}: ({a:.1f}, {m:.1f}, {p:.1f}),\n")
    for level, depth in zip(LEVELS, depths, strict=True):
        sys.stdout.write(f"    Level.{level.value}: {depth:.1f},\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit("usage: python -m models.recipes.normal_heights FOLDER_OF_CASES")
    main(Path(sys.argv[1]))
