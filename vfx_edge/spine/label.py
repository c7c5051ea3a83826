"""Every vertebra's name. Each is looked at by itself, then the column is named at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image, Point
from vfx_edge.image.grids import FloatArray, coarse_copy, grid_about, grid_between, sample
from vfx_edge.inference.patches import as_points, our_shape, run_patches
from vfx_edge.manifest import LabellerParameters, NetworkSpec
from vfx_edge.spine.column import Candidates, Weights, level_evidence, name_column
from vfx_edge.spine.find import Bodies
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.study import Vertebra

MIN_COLUMN = 0.9  # sum of the vertebrae's scores: a single doubtful one is no spine
CUT_OFF_MM, SHOWN_MM, HARDLY = 2.0, 14.0, 0.1  # from a body's centre to the scan's end
RIB = "rib"  # the class, where a labeller has it: this vertebra carries a rib


def read_levels(
    image: Image, centres_lps_mm: Sequence[Point], labeller: Network
) -> NDArray[np.float64]:
    """(n, classes): what the labeller says of the crop about each centre."""
    crops = crops_about(image, centres_lps_mm, labeller.spec)
    return run_patches(labeller, crops).astype(np.float64)


def crops_about(
    image: Image, centres_lps_mm: Sequence[Point], spec: NetworkSpec
) -> list[FloatArray]:
    """The labeller's input for each centre, (1, z, y, x), ready in numbers."""
    mm, shape = spec.input.spacing_mm, our_shape(spec.input)
    middles = np.add(centres_lps_mm, (0.0, spec.parameters_of(LabellerParameters).backward_mm, 0.0))
    # the crops overlap manifold: coarsen what they cover once, then cut
    reach = np.array(shape[::-1]) * mm / 2 + mm
    coarse = coarse_copy(image, grid_between(middles.min(0) - reach, middles.max(0) + reach, mm))
    return [
        spec.input.normalise(sample(coarse, grid_about(middle, shape, mm)))[None]
        for middle in as_points(middles)
    ]


def label_vertebrae(image: Image, bodies: Bodies, labeller: Network) -> tuple[Vertebra, ...]:
    """Named vertebrae from head to feet. Raises NoSpineInView when there is none."""
    points = as_points(bodies.centres_lps_mm)
    if not points:
        raise NoSpineInView
    spec = labeller.spec
    answers = read_levels(image, points, labeller)
    candidates = candidates_of(bodies, answers, weight_in_view(image, bodies.centres_lps_mm), spec)
    named = name_column(candidates, weights_of(spec))
    if candidates.score[[n.index for n in named]].sum() < MIN_COLUMN:
        raise NoSpineInView
    return tuple(
        Vertebra(
            n.level, points[n.index], n.probability, alternatives=n.alternatives, column_fit=n.fit
        )
        for n in named
    )


def weights_of(spec: NetworkSpec) -> Weights:
    """How much this labeller's answers count."""
    parameters = spec.parameters_of(LabellerParameters)
    return Weights(parameters.evidence_weight, parameters.rib_weight, parameters.overlap_exponent)


def weight_in_view(image: Image, centres_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) 0..1: how much a body counts that lies so near to the scan's end. What is cut off, the
    head of a rib for one, looks as if it were not there."""
    index = image.to_zyx(centres_lps_mm)
    ends = np.minimum(index + 0.5, np.array(image.shape) - 0.5 - index)
    mm = (ends * image.spacing_zyx_mm).min(1)
    return np.asarray(np.clip((mm - CUT_OFF_MM) / (SHOWN_MM - CUT_OFF_MM), HARDLY, 1.0))


def candidates_of(
    bodies: Bodies,
    answers: NDArray[np.float64],
    seen: NDArray[np.float64],
    spec: NetworkSpec,
) -> Candidates:
    """What the column is named from. answers: (n, classes) of the labeller; seen: (n,)
    as of `weight_in_view`."""
    names = spec.classes
    elsewhere = answers[:, [i for i, name in enumerate(names) if name in ("background", "sacrum")]]
    score = bodies.score * (1 - elsewhere.sum(1))
    rib = answers[:, names.index(RIB)] if RIB in names else None
    return Candidates(bodies.centres_lps_mm, score, level_evidence(answers, names), rib, seen)
