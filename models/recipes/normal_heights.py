"""Normal heights of vertebral bodies by level, from the masks of intact vertebrae.

    python -m models.recipes.normal_heights CASES_FOLDER

Prints the table that `vfx_edge/stages/fracture.py` holds. Robust: each case is scaled to the
others, each curve is a low polynomial over the levels fitted without the outliers.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from models.recipes.cases import Labelled, load
from models.recipes.shapes import ARCH, BODY
from vfx_edge.stages.measure import column_axes, measure_heights
from vfx_edge.study import Level, Vertebra, VertebraMask

LEVELS = [level for level in Level if Level.T1 <= level <= Level.L5 and level != Level.T13]
MARGIN = 8
# One CT is squeezed in its file; two masks hold the neck and rough upper thoracic bodies.
ODD = {"wholesag", "ct_whole_spine_sagittal_dicom", "gl003", "gl017"}
# Fractured by eye or by the data sheet.
LEFT_OUT = {("sub-sample001", "L1"), ("sub-sample001", "L2"), ("verse010", "L1")} | {
    ("sub-verse004", level) for level in ("T9", "T10", "L1")
}


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


def measured(folder: Path) -> list[tuple[str, int, np.ndarray]]:
    """(case, level number, (anterior, middle, posterior) mm) of everything intact."""
    rows = []
    for path in sorted(folder.glob("*.npz")):
        # of the painted copies of one mask the first will do
        if not (path.name.startswith("real_") or path.stem.endswith(("_1", "0"))):
            continue
        name = path.stem.split("_")[1].rstrip("0")
        if name in ODD:
            continue
        masks = masks_of(load(path))
        for mask, axis in zip(masks, column_axes(masks), strict=True):
            heights = measure_heights(mask, axis)
            if heights and (name, mask.vertebra.level.value) not in LEFT_OUT:
                values = (heights.anterior_mm, heights.middle_mm, heights.posterior_mm)
                rows.append((name, LEVELS.index(mask.vertebra.level), np.array(values)))
    return rows


def robust_curve(x: np.ndarray, y: np.ndarray, degree: int) -> np.ndarray:
    """Values over all levels of a polynomial fitted twice, the second time without outliers."""
    fit = np.polyfit(x, y, degree)
    rest = np.abs(y - np.polyval(fit, x))
    keep = rest <= np.quantile(rest, 0.85)
    return np.asarray(np.polyval(np.polyfit(x[keep], y[keep], degree), np.arange(len(LEVELS))))


def main(folder: Path) -> None:
    rows = measured(folder)
    x = np.array([level for _, level, _ in rows])
    heights = np.array([h for _, _, h in rows])
    cases = [name for name, _, _ in rows]
    log = np.log(heights[:, 2])
    offset = dict.fromkeys(cases, 0.0)
    for _ in range(10):  # posterior heights: one curve for all, one stature for each case
        curve = robust_curve(x, log - np.array([offset[c] for c in cases]), 3)
        for case in offset:
            own = [log[i] - curve[x[i]] for i, c in enumerate(cases) if c == case]
            offset[case] = float(np.median(own))
    posterior = np.exp(curve)
    front = robust_curve(x, heights[:, 0] / heights[:, 2], 3)
    middle = robust_curve(x, heights[:, 1] / heights[:, 2], 3)
    for i, level in enumerate(LEVELS):
        a, m, p = posterior[i] * front[i], posterior[i] * middle[i], posterior[i]
        sys.stdout.write(f"    Level.{level.value}: ({a:.1f}, {m:.1f}, {p:.1f}),\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
