"""Where the spine runs and where its bodies are, with networks that read a coded scan."""

import numpy as np
import pytest

from tests.spine.coded import Coded, coded, oracle
from tests.spine.nets import network, spec_of
from tests.spine.world import Floats, affine_of, places, volume_of
from vfx_edge.image import Image
from vfx_edge.manifest import NetworkSpec
from vfx_edge.spine.find import APART_MM, MAX_CANDIDATES, MIN_HEAT, find_bodies
from vfx_edge.spine.locate import NoSpineInView, SpineRegion, locate_spine

LOCATOR, FINDER = spec_of("locator"), spec_of("finder")


def locate(volume: Image) -> SpineRegion:
    return locate_spine(volume, network(LOCATOR, oracle))


@pytest.fixture(scope="module")
def scan() -> Coded:
    return coded(wedges=("L1",), lesions=("L1",))


def test_the_centreline_passes_every_vertebra(scan: Coded) -> None:
    line = locate(scan.volume).centreline_lps_mm
    assert (np.diff(line[:, 2]) < 0).all()  # from head to feet
    for truth in scan.made.truth.levels:
        if truth.whole_in_view:
            gap = np.abs(line - np.array(truth.centroid_lps_mm))[
                np.abs(line[:, 2] - truth.centroid_lps_mm[2]).argmin()
            ]
            assert gap[0] < 5  # sideways
            assert gap[1] < 25  # the arch pulls it back


def test_every_body_is_found_once_from_head_to_feet(scan: Coded) -> None:
    bodies = find_bodies(scan.volume, locate(scan.volume), network(FINDER, oracle))
    centres = bodies.centres_lps_mm
    assert (np.diff(centres[:, 2]) < 0).all()
    whole = [t for t in scan.made.truth.levels if t.whole_in_view]
    for truth in whole:
        gaps = np.linalg.norm(centres - np.array(truth.centroid_lps_mm), axis=1)
        assert gaps.min() < 1.5, truth.level
        assert (gaps < 15).sum() == 1, truth.level
        assert bodies.score[gaps.argmin()] > 0.3
    assert len(centres) <= len(scan.made.truth.levels)


SHAPE, MIDDLE = (100, 60, 60), (0.0, 0.0, 0.0)
AFFINE = affine_of((3.0, 3.0, 3.0), MIDDLE, SHAPE)
AT = places(AFFINE, SHAPE)


def rod(x: float, low: float, high: float, radius: float = 14.0) -> Floats:
    """Bone along z between two heights (mm)."""
    near = np.hypot(AT[..., 0] - x, AT[..., 1]) < radius
    return (near & (AT[..., 2] > low) & (AT[..., 2] < high)).astype(float)


def scan_of(*rods: Floats) -> Image:
    return volume_of(np.where(np.any(rods, axis=0), 1000, 40), AFFINE)


def test_no_bone_no_spine() -> None:
    with pytest.raises(NoSpineInView):
        locate(scan_of(rod(0, 500, 600)))


def test_a_splinter_is_no_spine() -> None:
    with pytest.raises(NoSpineInView):
        locate(scan_of(rod(0, -5, 5)))


def test_a_piece_that_continues_the_spine_belongs_to_it() -> None:
    line = locate(scan_of(rod(0, -140, 20), rod(6, 60, 140))).centreline_lps_mm
    assert line[0, 2] > 125
    assert line[-1, 2] < -125


def test_a_piece_beside_the_spine_does_not() -> None:
    line = locate(scan_of(rod(0, -140, 140), rod(70, -60, 60, 8))).centreline_lps_mm
    assert np.abs(line[:, 0]).max() < 6


ROOM = (20, 90, 120)
ROOM_AT = places(affine_of((6.0, 6.0, 6.0), MIDDLE, ROOM), ROOM)


def tiles_and_course(x: float, y: float, soft_hu: float = 40) -> tuple[int, Floats]:
    """Tiles that the locator asks about, and the course it finds, for a spine at (x, y) in a body
    of 480 by 240 mm in a room of 720 by 540 mm."""
    tiles: list[int] = []

    def watching(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        tiles.append(len(batch))
        return oracle(spec, batch)

    body = (np.abs(ROOM_AT[..., 0]) < 240) & (np.abs(ROOM_AT[..., 1]) < 120)
    spine = np.hypot(ROOM_AT[..., 0] - x, ROOM_AT[..., 1] - y) < 20
    hu = np.where(spine, 1000, np.where(body, soft_hu, -1000))
    volume = volume_of(hu, affine_of((6.0, 6.0, 6.0), MIDDLE, ROOM))
    line = locate_spine(volume, network(LOCATOR, watching)).centreline_lps_mm
    return sum(tiles), line


@pytest.mark.parametrize("y", [-90.0, 60.0])
@pytest.mark.parametrize("x", [-210.0, -60.0, 0.0, 130.0, 220.0])
def test_the_spine_is_found_wherever_in_the_body_it_runs(x: float, y: float) -> None:
    _, line = tiles_and_course(x, y)
    assert len(line) == ROOM[0]
    np.testing.assert_allclose(line[:, :2], [(x, y)] * len(line), atol=2)


def test_all_is_tiled_only_where_the_back_of_the_body_does_not_show_the_spine() -> None:
    in_the_middle, at_the_side, in_doubt = (
        tiles_and_course(0, 60)[0],
        tiles_and_course(220, 60)[0],
        tiles_and_course(0, 60, soft_hu=-700)[0],
    )
    assert in_the_middle == 2
    assert in_the_middle < at_the_side == in_doubt


def heat_of(*peaks: tuple[float, float, float, float]) -> Floats:
    """Gaussian bumps: (z in mm, height, sigma in mm, x in mm)."""
    heat = np.zeros(SHAPE)
    for z, height, sigma, x in peaks:
        far = (AT[..., 0] - x) ** 2 + AT[..., 1] ** 2 + (AT[..., 2] - z) ** 2
        heat = np.maximum(heat, height * np.exp(-0.5 * far / sigma**2))
    return heat


def found(heat: Floats) -> tuple[Floats, Floats]:
    def function(_: object, batch: np.ndarray) -> np.ndarray:
        hu = batch * FINDER.input.hu_scale - FINDER.input.hu_offset
        return np.concatenate([hu / 1000] + [0 * hu] * (len(FINDER.output.classes) - 1), 1)

    line = SpineRegion(np.stack([np.zeros(50), np.zeros(50), np.linspace(145, -145, 50)], 1))
    bodies = find_bodies(volume_of(1000 * heat, AFFINE), line, network(FINDER, function))
    return bodies.centres_lps_mm, bodies.score


def test_peaks_are_found_with_their_height() -> None:
    centres, score = found(heat_of((101.3, 0.9, 6.0, 2.2), (60.8, 0.5, 6.0, -4.1)))
    np.testing.assert_allclose(centres, [(2.2, 0, 101.3), (-4.1, 0, 60.8)], atol=0.3)
    np.testing.assert_allclose(score, [0.9, 0.5], atol=0.08)


def test_faint_peaks_and_twins_are_left_out() -> None:
    faint, twin = (50, MIN_HEAT / 2, 6.0, 0), (0, 0.8, 2.0, APART_MM - 3)
    centres, _ = found(heat_of((100, 0.9, 4.0, 0), faint, (0, 0.9, 4.0, 0), twin))
    np.testing.assert_allclose(centres[:, 2], [100, 0], atol=2)


def test_no_tile_is_asked_about_twice() -> None:
    seen: list[bytes] = []

    def watching(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        seen.extend(tile.tobytes() for tile in batch)
        return oracle(spec, batch)

    column = coded(levels=("T10", "L2"))  # which goes on beyond what the locator is said to see
    line = SpineRegion(locate(column.volume).centreline_lps_mm[3:-3])
    assert len(find_bodies(column.volume, line, network(FINDER, watching)).score) >= 4
    assert len(set(seen)) == len(seen)


def test_no_peak_no_body() -> None:
    centres, score = found(heat_of())
    assert centres.shape == (0, 3)
    assert score.shape == (0,)


def test_a_speckled_answer_gives_a_bounded_number_of_candidates() -> None:
    centres, _ = found(np.random.default_rng(0).uniform(0, 1, SHAPE))
    assert len(centres) <= MAX_CANDIDATES
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + 1e3 * np.eye(len(centres))
    assert gaps.min() > APART_MM
