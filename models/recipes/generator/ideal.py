"""The phantom's idealised vertebrae as shapes, for levels that no mask of a bank comes near."""

from functools import lru_cache

import numpy as np

from models.recipes.generator.bank import GRID_MM, LEVEL_OF, Shape
from models.recipes.generator.frame import ATLAS, ShapeFrame
from vfx_edge.phantom import PhantomSpec
from vfx_edge.phantom.arch import make_arch
from vfx_edge.phantom.body import make_body
from vfx_edge.phantom.canvas import Canvas, smooth_max
from vfx_edge.phantom.column import Frame, Vertebra, build_column
from vfx_edge.phantom.jitter import Jitter
from vfx_edge.phantom.noise import noise_field
from vfx_edge.phantom.solids import Solid, bounds, union

SOURCE = "phantom"
COUNTS = {25: (12, 6), 28: (13, 5)}  # columns that have an L6, a T13
STANDING = Frame(np.zeros(3), np.eye(3))


def _median(verse: int) -> tuple[Vertebra, bool]:
    """The median adult's vertebra, upright at the origin; whether it is the last with ribs."""
    thoracic, lumbar = COUNTS.get(verse, (12, 5))
    column = build_column(PhantomSpec(thoracic_count=thoracic, lumbar_count=lumbar))
    found = column.get(LEVEL_OF[verse])
    upright = Vertebra(found.level, found.size, STANDING, found.plates)
    return upright, found is column.last_thoracic


@lru_cache(maxsize=32)
def ideal_shape(verse: int) -> Shape:
    """The phantom's vertebra of one level as a shape of a bank."""
    vertebra, last = _median(verse)
    jitter = Jitter(np.random.default_rng(0), 0.0)
    arch = make_arch(vertebra, jitter, last)
    rods: list[Solid] = [*arch.bone]
    body = None
    if vertebra.level != "C1":
        body = make_body(vertebra, 0.0, 0.0, jitter, noise_field(jitter.rng, 7.0))
    low, high = bounds([*rods, body] if body is not None else rods)
    x, y, z = (np.arange(a - 6.0, b + 6.0, GRID_MM) for a, b in zip(low, high, strict=True))
    patch = Canvas.empty(x, y, z, GRID_MM).whole
    sdf = union(patch, rods, 3.0)
    for hole in arch.holes:
        sdf = smooth_max(sdf, -hole.distance(patch), 1.0)
    if body is not None:
        sdf = np.minimum(sdf, body.distance(patch))
    centre = -np.array([z[0], y[0], x[0]]) / GRID_MM
    size = vertebra.size
    frame = ShapeFrame(np.eye(3), centre, size.height_mm, size.depth_mm, _canal_mm(vertebra))
    place = np.array([size.gap_below_mm if verse == ATLAS else 0.0, 0.0, 0.0])
    return Shape(SOURCE, verse, sdf.astype(np.float16), frame, 1.0, place)


def _canal_mm(vertebra: Vertebra) -> float:
    """The atlas has no body: what lies before its ring's front third counts as one."""
    return -6.0 if vertebra.level == "C1" else 0.5 * vertebra.size.depth_mm
