"""Heights are read at the image's edges near the outline, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from tests.spine.test_measure import UP, block, triple
from tests.spine.world import Floats, volume_of
from vfx_edge.image import Image
from vfx_edge.spine.endplates import Endplates, Frame, edged
from vfx_edge.spine.measure import depth_mm, measure_heights
from vfx_edge.study import Heights, VertebraMask

DISC_HU, BONE_HU = 80.0, 260.0
HEIGHT, DEPTH, WIDTH, PAD = 24, 30, 40, 8


TO_LPS = np.eye(4)[[2, 1, 0, 3]]  # arrays are (z, y, x), points (x, y, z)


def painted(sunken_mm: float, bone_hu: float = BONE_HU) -> Floats:
    """A body as high as `block`'s at its rims, its lower endplate sunken in the middle."""
    hu = np.full((HEIGHT + 2 * PAD, DEPTH + 2 * PAD, WIDTH + 2 * PAD), DISC_HU)
    share = np.linspace(-1, 1, DEPTH)
    for at, sink in enumerate(sunken_mm * (1 - share**2)):
        lowest = PAD + round(float(sink))
        hu[lowest : PAD + HEIGHT, PAD + at, PAD : PAD + WIDTH] = bone_hu
    return hu


def noisy(hu: Floats) -> Image:
    return volume_of(hu + np.random.default_rng(5).normal(0, 25, hu.shape), TO_LPS)


def read(volume: Image | None) -> Heights:
    heights = measure_heights(block((HEIGHT, DEPTH, WIDTH)), UP, volume)
    assert heights is not None
    return heights


@pytest.mark.parametrize("sunken_mm", [3.0, 5.0])
def test_an_outline_that_fills_a_sunken_endplate_is_not_believed(sunken_mm: float) -> None:
    seen = read(noisy(painted(sunken_mm)))
    assert read(None).middle_mm == pytest.approx(HEIGHT, abs=0.3)
    assert seen.middle_mm == pytest.approx(HEIGHT - sunken_mm, abs=0.8)
    assert seen.posterior_mm == pytest.approx(HEIGHT, abs=1.0)


def test_where_the_image_shows_no_edge_the_outline_stands() -> None:
    """Bone as dark as the disc, as in a body that a tumour has replaced."""
    blank = noisy(painted(5.0, bone_hu=DISC_HU))
    np.testing.assert_allclose(triple(read(blank)), triple(read(None)), atol=0.3)


def test_an_edge_out_of_reach_is_another_bodys() -> None:
    """The neighbour's far endplate, or a line deep inside, moves nothing."""
    hu = painted(0.0)
    hu[: PAD - 4] = BONE_HU
    hu[PAD + 9 : PAD + 11] = DISC_HU
    np.testing.assert_allclose(triple(read(noisy(hu))), HEIGHT, atol=0.8)


def sunk_middle(half_width: int) -> Floats:
    """A body whose upper endplate is sunk by 7 mm, to this many mm either side of its middle."""
    hu = painted(0.0)
    top, back, left = PAD + HEIGHT, PAD + DEPTH // 2, PAD + WIDTH // 2
    hu[top - 7 : top, back - 6 : back + 6, left - half_width : left + half_width] = DISC_HU
    return hu


def test_a_node_of_schmorl_is_no_lost_height_and_a_broken_endplate_is() -> None:
    node, broken = (measure_heights(outline_of(hu), UP) for hu in (sunk_middle(6), sunk_middle(18)))
    assert node is not None
    assert broken is not None
    assert node.middle_mm == pytest.approx(HEIGHT, abs=0.5)
    assert broken.middle_mm == pytest.approx(HEIGHT - 7, abs=0.5)


def outline_of(hu: Floats) -> VertebraMask:
    """The painted bone as a mask."""
    whole = block((HEIGHT, DEPTH, WIDTH))
    return replace(whole, body=(hu > (DISC_HU + BONE_HU) / 2).astype(np.float16))


def test_a_hole_in_the_outline_moves_neither_front_wall_nor_endplate() -> None:
    """As networks leave it round a very dense spot near the front wall."""
    whole = block((HEIGHT, DEPTH, WIDTH))
    body = whole.body.copy()
    body[PAD + 12 : PAD + 18, PAD + 3 : PAD + 8, PAD + 12 : PAD + 28] = 0
    seen, true = measure_heights(replace(whole, body=body), UP), measure_heights(whole, UP)
    assert seen is not None
    assert true is not None
    np.testing.assert_allclose(triple(seen), triple(true), atol=0.3)
    assert depth_mm(seen) == pytest.approx(depth_mm(true), abs=0.8)


def test_where_no_endplate_was_read_none_is_moved() -> None:
    nothing = np.full((3, 3), np.nan)
    plates = Endplates(np.arange(3.0), np.arange(3.0), nothing, nothing)
    image = Image(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT", "HU")
    frame = Frame(np.zeros(3), np.eye(3))
    assert edged(plates, frame, image) is plates
