"""Stage 2: every vertebra's name. Each is looked at by itself, then the column is named at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.stages.column import Candidates, level_evidence, name_column
from vfx_edge.stages.feed import as_points, our_shape, run_patches
from vfx_edge.stages.find import Bodies
from vfx_edge.stages.geometry import grid_about, sample
from vfx_edge.stages.locate import NoSpineInView
from vfx_edge.study import Point, Vertebra, Volume


def read_levels(
    volume: Volume, centres_lps_mm: Sequence[Point], labeller: Network
) -> NDArray[np.float64]:
    """(n, classes): what the labeller says of the crop about each centre."""
    spec = labeller.spec
    shape = our_shape(spec.input)
    backward = spec.number("backward_mm")
    crops = [
        spec.input.normalise(
            sample(volume, grid_about((x, y + backward, z), shape, spec.input.spacing_mm))
        )[None]
        for x, y, z in centres_lps_mm
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
    if not named:
        raise NoSpineInView
    return tuple(Vertebra(n.level, points[n.index], n.probability) for n in named)
