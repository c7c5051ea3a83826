"""Bone of each pedicle, against the neighbours'."""

from collections.abc import Sequence

import numpy as np

from vfx_edge.spine.signs.local import STEP_MM, Local

INNER_MM, OUTER_MM = 7.0, 22.0
BACK_MM = (1.0, 9.0)
UP_SHARE = (-0.1, 0.5)
BONE_HU = 180.0


def pedicle_bone(own: Local, neighbours: Sequence[Local], side: float) -> float | None:
    """Bone of the pedicle on this side (1 left, -1 right), in per cent of its neighbours' there;
    None where no back wall can be read."""
    theirs = [bone for n in neighbours if (bone := _bone_mm3(n, side)) is not None]
    mine = _bone_mm3(own, side)
    if mine is None or not theirs or np.median(theirs) < 100.0:
        return None
    return 100 * mine / float(np.median(theirs))


def _bone_mm3(local: Local, side: float) -> float | None:
    wall = local.back_wall_mm
    if wall is None:
        return None
    tall = local.height_mm
    up = (local.up_mm >= UP_SHARE[0] * tall) & (local.up_mm <= UP_SHARE[1] * tall)
    back = (local.back_mm >= wall + BACK_MM[0]) & (local.back_mm <= wall + BACK_MM[1])
    left = (side * local.left_mm >= INNER_MM) & (side * local.left_mm <= OUTER_MM)
    box = np.ix_(up, back, left)
    return float(((local.hu[box] > BONE_HU) & ~local.others[box]).sum()) * STEP_MM**3
