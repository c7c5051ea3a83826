"""The body as it would be without what is missing of it: outlines leave gas and gaps out."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]

DIRECTIONS = 36
NEAR_ROWS = 2
"""A section is closed with so many above and below it: of the section of a large pocket little
may be left."""


def body_hull(inside: Bool) -> Bool:
    """What lies between the endplates of `inside` (up, back, left) and within the convex outline
    of its sections. Endplates and waist stay hollow where they are: discs are no body."""
    if not inside.any():
        return inside
    rows = np.flatnonzero(inside.any((1, 2)))
    hull = inside.copy()
    columns = _filled_columns(inside)
    for row in range(int(rows[0]), int(rows[-1]) + 1):
        section = np.asarray(inside[max(row - NEAR_ROWS, 0) : row + NEAR_ROWS + 1].any(0))
        hull[row] |= columns[row] & _convex(section)
    return np.asarray(ndimage.binary_fill_holes(hull))


def _filled_columns(inside: Bool) -> Bool:
    """With what lies between the lowest and the highest place of each column."""
    below = np.logical_or.accumulate(inside, axis=0)
    above = np.logical_or.accumulate(inside[::-1], axis=0)[::-1]
    return np.asarray(below & above)


def _convex(section: Bool) -> Bool:
    """The section's convex outline, by as many tangents as DIRECTIONS."""
    place = np.argwhere(section).astype(np.float64)
    if not len(place):
        return section
    angles = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    back, left = np.arange(section.shape[0])[:, None], np.arange(section.shape[1])[None]
    out = np.ones(section.shape, np.bool_)
    for normal in np.stack([np.cos(angles), np.sin(angles)], axis=1):
        out &= back * normal[0] + left * normal[1] <= (place @ normal).max() + 1e-6
    return out
