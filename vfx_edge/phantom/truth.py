"""What is known about a phantom, ready for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vfx_edge.phantom.body import Body
from vfx_edge.phantom.canvas import F64
from vfx_edge.phantom.column import Vertebra
from vfx_edge.phantom.levels import NUMBER_OF
from vfx_edge.phantom.planted import back_wall_mm
from vfx_edge.phantom.spec import FractureSpec, LesionSpec, PhantomSpec, SignSpec

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class LevelTruth:
    """One vertebra of which some of the body is in view.

    Heights are (anterior, middle, posterior) of the body in mm, perpendicular
    to the vertebra's mid-plane, at 85 % of the half-depth from its centre.
    ``up_lps`` and ``back_lps`` are the vertebra's own axes. C1 has no body:
    its centroid is the centre of the ring at the dens and its heights are 0.
    """

    level: str
    label: int
    centroid_lps_mm: Triple
    up_lps: Triple
    back_lps: Triple
    heights_mm: Triple
    intact_heights_mm: Triple
    body_size_mm: tuple[float, float]
    whole_in_view: bool
    body_share_in_view: float
    fracture: FractureSpec | None
    lesions: tuple[LesionSpec, ...]
    signs: tuple[SignSpec, ...] = ()
    back_wall_lps_mm: Triple | None = None
    """Mid-sagittal and half way up; None for C1."""

    @property
    def loss(self) -> Triple:
        """Fraction of height lost at (anterior, middle, posterior)."""
        if self.intact_heights_mm[0] <= 0:
            return (0.0, 0.0, 0.0)
        a, m, p = (1 - h / i for h, i in zip(self.heights_mm, self.intact_heights_mm, strict=True))
        return (a, m, p)


@dataclass(frozen=True)
class Truth:
    """Everything known about one phantom."""

    spec: PhantomSpec
    levels: tuple[LevelTruth, ...]

    def get(self, level: str) -> LevelTruth:
        """Truth of one level in view; KeyError when it is not."""
        for found in self.levels:
            if found.level == level:
                return found
        raise KeyError(level)

    def to_json_able(self) -> dict[str, Any]:
        """Plain dictionary of numbers, strings, booleans and lists."""
        levels = [{**asdict(v), "loss": list(v.loss)} for v in self.levels]
        return {"spec": self.spec.to_json_able(), "levels": levels}


def _triple(vector: F64) -> Triple:
    return (round(float(vector[0]), 4), round(float(vector[1]), 4), round(float(vector[2]), 4))


def level_truth(
    vertebra: Vertebra, body: Body | None, spec: PhantomSpec, low: F64, high: F64
) -> LevelTruth | None:
    """Truth of one vertebra given the volume's (L,P,S) bounds, None when out of view."""
    size, plates = vertebra.size, vertebra.plates
    if body is None:
        points = np.array(
            [vertebra.frame.world(x, y, 0.0) for x in (-22, 0, 22) for y in (-10, 0, 34)]
        )
        centre, heights, intact = vertebra.frame.centre_mm, (0.0,) * 3, (0.0,) * 3
    else:
        points = body.inside_points_mm()
        centre, heights = points.mean(axis=0), plates.heights_mm()
        intact = plates.intact().heights_mm()
    inside = np.all((points >= low) & (points <= high), axis=1)
    if not inside.any():
        return None
    share = float(inside.mean())
    return LevelTruth(
        vertebra.level,
        NUMBER_OF[vertebra.level],
        _triple(centre),
        _triple(vertebra.frame.up),
        _triple(vertebra.frame.back),
        _triple(np.array(heights)),
        _triple(np.array(intact)),
        (round(size.width_mm, 3), round(size.depth_mm, 3)),
        share >= 1.0,
        round(share, 4),
        next((f for f in spec.fractures if f.level == vertebra.level), None),
        tuple(s for s in spec.lesions if s.level == vertebra.level),
        tuple(s for s in spec.signs if s.level == vertebra.level),
        None if body is None else _triple(vertebra.frame.world(0, back_wall_mm(body), 0)),
    )
