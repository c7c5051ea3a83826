"""Synthetic spine CT with known truth.

Arrays are (z, y, x): z grows to the head, y to the back, x to the patient's
left. Positions are patient millimetres (L, P, S).
"""

from vfx_edge.phantom.canvas import Part
from vfx_edge.phantom.draw import DrawOptions, random_spec
from vfx_edge.phantom.levels import NUMBER_OF, column_levels
from vfx_edge.phantom.make import Phantom, make_phantom
from vfx_edge.phantom.parse import (
    parse_fracture,
    parse_lesion,
    parse_level,
    parse_levels,
    parse_sign,
)
from vfx_edge.phantom.signs import paint_benign_signs, random_fracture, random_lesion
from vfx_edge.phantom.spec import FractureSpec, LesionSpec, PhantomSpec, SignSpec
from vfx_edge.phantom.truth import LevelTruth, Truth

__all__ = [
    "NUMBER_OF",
    "DrawOptions",
    "FractureSpec",
    "LesionSpec",
    "LevelTruth",
    "Part",
    "Phantom",
    "PhantomSpec",
    "SignSpec",
    "Truth",
    "column_levels",
    "make_phantom",
    "paint_benign_signs",
    "parse_fracture",
    "parse_lesion",
    "parse_level",
    "parse_levels",
    "parse_sign",
    "random_fracture",
    "random_lesion",
    "random_spec",
]
