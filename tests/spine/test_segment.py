"""Masks: from the segmenter, given centres, and from labels that someone has drawn."""

from dataclasses import replace

import numpy as np
import pytest

from tests.spine.coded import Coded, coded, oracle
from tests.spine.nets import network, spec_of
from tests.spine.world import lumbar, place, turned
from vfx_edge.image import Image
from vfx_edge.manifest import NetworkSpec
from vfx_edge.phantom import Part
from vfx_edge.spine.measure import column_axes, measure_heights
from vfx_edge.spine.segment import body_cm3, masks_from_labels, overlap, segment_vertebrae
from vfx_edge.study import Level, Vertebra, VertebraMask
from vfx_edge.vocabulary import SACRUM

SEGMENTER = network(spec_of("segmenter"), oracle)


@pytest.fixture(scope="module")
def scan() -> Coded:
    return coded(wedges=("L1",), lesions=("L1",))


def vertebrae(scan: Coded, off_mm: tuple[float, float, float] = (0, 0, 0)) -> list[Vertebra]:
    return [
        Vertebra(Level(t.level), place(scan.centre(t.level) + off_mm), 0.9)
        for t in scan.made.truth.levels
        if t.whole_in_view
    ]


def check(scan: Coded, masks: tuple[VertebraMask, ...], within_mm: float = 1.0) -> None:
    for mask in masks:
        gap = scan.centre(mask.vertebra.level.value) - np.array(mask.vertebra.centroid_lps_mm)
        assert np.linalg.norm(gap) < within_mm, mask.vertebra.level


@pytest.mark.parametrize("off_mm", [(0, 0, 0), (4, -5, 5), (-6, 3, -3)])
def test_a_centre_that_is_off_is_put_right(scan: Coded, off_mm: tuple[float, float, float]) -> None:
    masks = segment_vertebrae(scan.volume, vertebrae(scan, off_mm), SEGMENTER)
    assert [m.vertebra.level for m in masks] == [v.level for v in vertebrae(scan)]
    check(scan, masks)
    for mask in masks:
        assert not mask.touches_edge
        assert mask.vertebra.wholly_in_view
        assert (mask.arch > 0.5).sum() > 500
        assert ((mask.body > 0.5) & (mask.arch > 0.5)).sum() == 0


@pytest.mark.parametrize(("off_mm", "looks"), [((0, 0, 0), 1), ((4, -5, 5), 2)])
def test_what_was_looked_at_askew_is_looked_at_again(
    scan: Coded, off_mm: tuple[float, float, float], looks: int
) -> None:
    shown: list[np.ndarray] = []

    def watching(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        shown.extend(batch)
        return oracle(spec, batch)

    known = vertebrae(scan, off_mm)
    segment_vertebrae(scan.volume, known, network(spec_of("segmenter"), watching))
    assert len(shown) == looks * len(known)


def test_a_cavity_in_the_bone_is_bone(scan: Coded) -> None:
    def moth_eaten(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        answer = oracle(spec, batch).copy()
        body = answer[:, spec.output.classes.index("body")]
        for one, soft in zip(answer, body, strict=True):
            z, y, x = np.argwhere(soft > 0.5).mean(0).round().astype(int)
            hole = np.s_[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3]
            for name, channel in zip(spec.output.classes, one, strict=True):
                channel[hole] = name == "background"
        return answer

    known = vertebrae(scan)
    whole = segment_vertebrae(scan.volume, known, SEGMENTER)
    eaten = segment_vertebrae(scan.volume, known, network(spec_of("segmenter"), moth_eaten))
    assert [body_cm3(m) for m in eaten] == pytest.approx([body_cm3(m) for m in whole], rel=0.02)


def test_a_name_without_a_body_is_dropped(scan: Coded) -> None:
    known = vertebrae(scan)
    x, y, z = known[0].centroid_lps_mm
    nowhere = replace(known[0], centroid_lps_mm=(x - 45, y - 20, z))
    masks = segment_vertebrae(scan.volume, [nowhere, *known[1:]], SEGMENTER)
    assert [m.vertebra.level for m in masks] == [v.level for v in known[1:]]


def test_two_names_on_one_body_leave_the_surer_one(scan: Coded) -> None:
    known = vertebrae(scan)
    x, y, z = known[2].centroid_lps_mm
    twin = Vertebra(Level.T13, (x, y, z - 7), 0.3)
    for doubled in (
        [*known[:3], twin, *known[3:]],
        [*known[:2], replace(twin, centroid_lps_mm=(x, y, z + 7)), *known[2:]],
    ):
        masks = segment_vertebrae(scan.volume, doubled, SEGMENTER)
        assert [m.vertebra.level for m in masks] == [v.level for v in known]


def test_no_names_no_masks(scan: Coded) -> None:
    assert segment_vertebrae(scan.volume, [], SEGMENTER) == ()


def test_the_end_of_what_was_measured_cuts_like_the_end_of_the_scan(scan: Coded) -> None:
    """Padding of a resampled stack is inside the array, yet nothing was seen there."""
    known = vertebrae(scan)
    hu = scan.volume.values
    top = int(scan.volume.to_zyx(scan.centre(known[0].level.value)[None])[0, 0]) + 5
    for last, valid in ((top, None), (len(hu), np.ones(hu.shape, bool))):
        if valid is not None:
            valid[top:] = False
        cut = Image(hu[:last].copy(), scan.volume.affine_zyx_to_lps.copy(), "CT", "HU", valid=valid)
        masks = segment_vertebrae(cut, known, SEGMENTER)
        touching = {m.vertebra.level for m in masks if m.touches_edge}
        assert touching == {known[0].level}
        assert not masks[0].vertebra.wholly_in_view


def given_labels() -> tuple[np.ndarray, np.ndarray]:
    """(labels of a phantom's vertebrae, affine): T10 and L5 cut, T11 to L4 whole."""
    made = lumbar()
    return np.where(made.parts <= Part.POSTERIOR, made.labels, 0).astype(np.uint8), (
        made.affine_zyx_to_lps
    )


MOVES = {"axial": np.eye(4), "oblique": np.eye(4)}
MOVES["oblique"][:3, :3] = turned((12.0, 6.0, -8.0)) @ np.eye(3)[::-1]
MOVES["oblique"][:3, 3] = (100.0, -50.0, 900.0)


@pytest.mark.parametrize(("move", "thick"), [("axial", 2), ("oblique", 1)])
def test_drawn_labels_become_masks(move: str, thick: int) -> None:
    made = lumbar()
    labels, affine = given_labels()
    affine = MOVES[move] @ affine
    affine[:3, 0] *= thick
    labels = labels[::thick]
    volume = Image(np.zeros(labels.shape, np.int16), affine, "CT", "HU")
    masks = masks_from_labels(volume, labels)
    assert [m.vertebra.level.value for m in masks] == [t.level for t in made.truth.levels]
    errors = []
    for mask, axis in zip(masks, column_axes(masks), strict=True):
        truth = made.truth.get(mask.vertebra.level.value)
        assert mask.touches_edge == (not truth.whole_in_view)
        assert mask.vertebra.wholly_in_view == truth.whole_in_view
        if not truth.whole_in_view:
            continue
        place = (MOVES[move] @ [*truth.centroid_lps_mm, 1])[:3]
        assert np.linalg.norm(place - np.array(mask.vertebra.centroid_lps_mm)) < 2.5
        true = ((made.labels == truth.label) & (made.parts == Part.BODY)).sum() * 1.5**3 / 1000
        assert body_cm3(mask) == pytest.approx(true, rel=0.12)
        heights = measure_heights(mask, axis)
        assert heights is not None
        got = (heights.anterior_mm, heights.middle_mm, heights.posterior_mm)
        errors.append(np.subtract(got, truth.heights_mm))
    assert np.abs(errors).mean() < (1.0 if thick == 1 else 1.4)


def test_verse_numbers_become_levels_and_the_sacrum_none() -> None:
    made = lumbar()
    labels, affine = given_labels()
    whole = [t.label for t in made.truth.levels if t.whole_in_view]
    wanted = {whole[2]: 28, whole[4]: 25, whole[5]: SACRUM}
    renamed = labels.copy()
    for old, new in wanted.items():
        renamed[labels == old] = new
    volume = Image(np.zeros(labels.shape, np.int16), affine, "CT", "HU")
    levels = [m.vertebra.level for m in masks_from_labels(volume, renamed)]
    assert Level.T13 in levels
    assert Level.L6 in levels
    assert len(levels) == len(made.truth.levels) - 1
    ranks = [level.rank for level in levels]
    assert ranks == sorted(ranks)


def test_no_labels_no_masks() -> None:
    labels = np.zeros((10, 12, 14), np.uint8)
    assert masks_from_labels(Image(labels.astype(np.int16), np.eye(4), "CT", "HU"), labels) == ()


def test_overlap_is_a_share_of_the_smaller_body(scan: Coded) -> None:
    a, b, *_ = segment_vertebrae(scan.volume, vertebrae(scan), SEGMENTER)
    assert overlap(a, a) == pytest.approx(1.0)
    assert overlap(a, b) == 0.0
    half = a.body.copy()
    half[half.shape[0] // 2 :] = 0
    assert overlap(a, replace(a, body=half)) == pytest.approx(1.0, abs=0.02)
    x, y, z = a.origin_lps_mm
    moved = replace(a, origin_lps_mm=(x, y, z + 6.0))
    assert 0.4 < overlap(a, moved) < 0.9
