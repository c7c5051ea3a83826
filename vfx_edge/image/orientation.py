"""Turning a stored grid to the patient's axes: by swapping and reversing axes only."""

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_Scalar = TypeVar("_Scalar", bound=np.generic)
_S_P_L = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Turn:
    """A stored grid seen along (z, y, x) = (superior, posterior, left).

    order[k]: the stored axis that becomes axis k. flipped[k]: whether axis k runs backwards.
    shape, affine: of the turned grid; affine maps (z, y, x, 1) to LPS mm.
    """

    order: tuple[int, ...]
    flipped: tuple[bool, ...]
    shape: tuple[int, ...]
    affine: Floats

    def apply(self, stored: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The stored array as a turned view."""
        return stored.transpose(self.order)[self._slices()]

    def as_stored(self, turned: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The turned array as a view in stored order, to write slices into."""
        return turned[self._slices()].transpose(np.argsort(self.order))

    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if f else 1) for f in self.flipped)


def turn_to_spl(affine: Floats, shape: tuple[int, ...]) -> Turn:
    """The turn that brings a grid's axes nearest to superior, posterior, left.

    affine: (4, 4) from stored index to LPS mm.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    along = _S_P_L @ directions  # [patient axis, stored axis]
    order = max(permutations(range(3)), key=lambda p: sum(abs(along[k, p[k]]) for k in range(3)))
    flipped = tuple(bool(along[k, order[k]] < 0) for k in range(3))
    turned = np.eye(4)
    turned[:3, 3] = affine[:3, 3]
    for k, axis in enumerate(order):
        step = affine[:3, axis]
        if flipped[k]:
            turned[:3, 3] += step * (shape[axis] - 1)
            step = -step
        turned[:3, k] = step
    return Turn(order, flipped, tuple(shape[axis] for axis in order), turned)
