"""Real vertebra shapes in synthetic bodies, from seeds that no training uses.

The shapes themselves are those of the training: what is new is the body, the column and the scan.
Some of them are compressed, so nothing is said of suspicions.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from models.recipes.cases import Labelled
from models.recipes.generator import ComposeOptions, compose, load_bank
from models.recipes.scorecard.synthetic import Synthetic
from models.recipes.shapes import BODY
from vfx_edge.evaluation.matching import Place
from vfx_edge.image import Image
from vfx_edge.study import Level, Scan, SeriesInfo
from vfx_edge.vocabulary import SACRUM

FIRST_SEED = 95_000
OPTIONS = ComposeOptions(
    views=(("T9", "L5", 1.0), ("C7", "L2", 1.0), ("T4", "L3", 1.0), ("T1", "T10", 1.0)),
    fracture_rate=0.0,
    lesion_rate=0.0,
    transition_rate=0.0,
    screw_rate=0.0,
    wire_rate=0.0,
    circle_rate=0.0,
)


def drawn(shapes: Path, count: int) -> Iterator[Synthetic]:
    """`count` composites of the masks in the folder `shapes`."""
    bank = load_bank(shapes)
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        yield synthetic(compose(seed, bank, OPTIONS))


def synthetic(made: Labelled) -> Synthetic:
    """A composite as a scan with truth: places and outlines, no heights."""
    case = made.case
    assert case.hu is not None
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[::-1] * case.spacing_mm
    affine[:3, 3] = case.origin_lps_mm
    facts = SeriesInfo("1.2.3", "1.2.3.4", "CT", len(case.hu), (case.spacing_mm,) * 3, "axial")
    image = Image(case.hu, affine, "CT", "HU")
    boxes = ndimage.find_objects(np.where(case.part == BODY, case.verse, 0).astype(np.uint8))
    places = {}
    for label, at in made.centres.items():
        x, y, z = (float(v) for v in image.to_lps(np.asarray(at)[None])[0])
        name = "S1" if label == SACRUM else Level.from_verse(label).value
        places[name] = Place((x, y, z), _whole(boxes[label - 1], case.verse.shape))
    labels = np.where(case.part > 0, case.verse, 0).astype(np.uint8)
    return Synthetic(Scan(image, facts), labels, places)


def _whole(box: tuple[slice, ...] | None, shape: tuple[int, ...]) -> bool:
    """Whether a body keeps away from the ends of the picture."""
    return box is not None and all(
        s.start > 0 and s.stop < n for s, n in zip(box, shape, strict=True)
    )
