"""Stage 2: every vertebra's name. Each is looked at by itself, then the column is named at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.stages.column import Candidates, level_evidence, name_column
from vfx_edge.stages.feed import as_points, our_shape, run_patches
from vfx_edge.stages.find import Bodies
from vfx_edge.stages.geometry import coarse_copy, grid_about, grid_between, sample
from vfx_edge.stages.locate import NoSpineInView
from vfx_edge.study import Point, Vertebra, Volume

MIN_COLUMN = 0.9  # sum of the vertebrae's scores: a single doubtful one is no spine


def read_levels(
    volume: Volume, centres_lps_mm: Sequence[Point], labeller: Network
) -> NDArray[np.float64]:
    """(n, classes): what the labeller says of the crop about each centre."""
    spec = labeller.spec
    mm, shape = spec.input.spacing_mm, our_shape(spec.input)
    middles = np.add(centres_lps_mm, (0.0, spec.number("backward_mm"), 0.0))
    # the crops overlap manifold: coarsen what they cover once, then cut
    reach = np.array(shape[::-1]) * mm / 2 + mm
    coarse = coarse_copy(volume, grid_between(middles.min(0) - reach, middles.max(0) + reach, mm))
    crops = [
        spec.input.normalise(sample(coarse, grid_about(middle, shape, mm)))[None]
        for middle in as_points(middles)
    ]
    return run_patches(labeller, crops).astype(np.float64)


def label_vertebrae(volume: Volume, bodies: Bodies, labeller: Network) -> tuple[Vertebra, ...]:
    """Named vertebrae from head to feet. Raises NoSpineInView when there is none."""
    points = as_points(bodies.centres_lps_mm)
    if not points:
        raise NoSpineInView
    classes = read_levels(volume, points, labeller)
    names = labeller.spec.output.classes
    elsewhere = classes[:, [i for i, name in enumerate(names) if name in ("background", "sacrum")]]
    score = bodies.score * (1 - elsewhere.sum(1))
    evidence = level_evidence(classes, names)
    named = name_column(Candidates(bodies.centres_lps_mm, score, evidence))
    if score[[n.index for n in named]].sum() < MIN_COLUMN:
        raise NoSpineInView
    return tuple(Vertebra(n.level, points[n.index], n.probability) for n in named)
