"""Random cuts of the field of view, and how names under them are counted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.recipes.scorecard.cuts import cut, field_of, random_boxes
from tests.examples import examples
from vfx_edge.image import Image

CENTRES = np.array([[40.0, 50.0, z] for z in range(30, 300, 30)])


def tilted_volume() -> Image:
    """Voxels that hold their own number, on an anisotropic grid with its axes LPS."""
    hu = np.arange(80 * 30 * 24, dtype=np.int64).reshape(80, 30, 24) % 30000
    affine = np.eye(4)
    affine[:3, :3] = np.diag([3.5, 3.4, 4.0])[:, ::-1]
    affine[:3, 3] = (0.0, 0.0, 5.0)
    return Image(hu.astype(np.int16), affine, "CT", "HU")


@examples(30)
@given(seed=st.integers(0, 10**6))
def test_a_cut_shows_the_same_patient_in_less_of_a_field(seed: int) -> None:
    volume = tilted_volume()
    low, high = field_of(volume)
    ((first, last),) = random_boxes(low, high, CENTRES, 1, seed)
    part = cut(volume, (first, last))
    corner = part.to_lps(np.zeros((1, 3)))
    there = np.rint(volume.to_zyx(corner)[0]).astype(int)
    z, y, x = part.values.shape
    same = volume.values[there[0] : there[0] + z, there[1] : there[1] + y, there[2] : there[2] + x]
    np.testing.assert_array_equal(part.values, same)
    inside = ((first <= CENTRES) & (last >= CENTRES)).all(1)
    assert inside.sum() >= 2
    own_low, own_high = field_of(part)
    whole = np.array(part.values.shape) == np.array(volume.values.shape)
    assert (own_low >= first - 1e-6).all() or whole.any()
    assert (own_high <= last + 4.1).all()
