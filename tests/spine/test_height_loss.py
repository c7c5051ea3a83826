"""What heights mean: loss, grade, suspicion, and when nothing can be said."""

from dataclasses import replace

import numpy as np
import pytest

from tests.spine.world import (
    ANOTHER_BODY,
    SCOLIOTIC,
    affine_of,
    broken,
    lumbar,
    masks_of,
    thrice_broken,
    volume_of,
)
from vfx_edge.phantom import Phantom
from vfx_edge.spine import height_loss
from vfx_edge.spine.height_loss import (
    NORMAL_MM,
    genant_grade,
    height_losses,
    measure_vertebrae,
)
from vfx_edge.study import Heights, Level, Measurement, VertebraMask

LEVELS = [level for level in Level if Level.T8 <= level <= Level.L4 and level != Level.T13]
SUSPECTED_FROM = 0.20


def normal(level: Level, *shares: float, stature: float = 1.0) -> Heights:
    """Heights at the given shares (front, middle, back) of the level's norm."""
    shares = shares or (1.0, 1.0, 1.0)
    a, m, p = (s * n * stature for s, n in zip(shares, NORMAL_MM[level], strict=True))
    return Heights(a, m, p)


@pytest.mark.parametrize(
    ("loss", "grade"),
    [(0.0, 0), (0.1999, 0), (0.20, 1), (0.2499, 1), (0.25, 2), (0.3999, 2), (0.40, 3), (1.0, 3)],
)
def test_grades_at_their_borders(loss: float, grade: int) -> None:
    assert genant_grade(loss) == grade


@pytest.mark.parametrize("stature", [0.8, 1.0, 1.2])
def test_a_normal_column_has_lost_nothing(stature: float) -> None:
    losses = height_losses(LEVELS, [normal(level, stature=stature) for level in LEVELS])
    assert losses == pytest.approx([0.0] * len(losses), abs=1e-9)


@pytest.mark.parametrize("stature", [0.8, 1.2])
@pytest.mark.parametrize(
    ("shares", "loss"),
    [
        ((0.7, 0.85, 1.0), 0.30),
        ((0.95, 0.75, 1.0), 0.25),
        ((0.6, 0.6, 0.6), 0.40),  # only its neighbours tell
        ((1.0, 1.0, 0.75), 0.0),  # low behind alone: lordosis
        ((0.8, 0.9, 1.1), 0.27),  # against its own back wall
        ((1.05, 1.05, 1.05), 0.0),  # higher than its neighbours
    ],
)
def test_loss_against_its_own_back_wall_and_its_neighbours(
    shares: tuple[float, float, float], loss: float, stature: float
) -> None:
    heights: list[Heights | None] = [normal(level, stature=stature) for level in LEVELS]
    at = LEVELS.index(Level.T12)
    heights[at] = normal(Level.T12, *shares, stature=stature)
    losses = height_losses(LEVELS, heights)
    assert losses.pop(at) == pytest.approx(loss, abs=1e-3)
    assert losses == pytest.approx([0.0] * len(losses), abs=1e-9)


def test_a_broken_neighbour_does_not_mislead() -> None:
    heights: list[Heights | None] = [normal(level) for level in LEVELS]
    for level in (Level.T11, Level.T12):
        heights[LEVELS.index(level)] = normal(level, 0.6, 0.6, 0.6)
    losses = height_losses(LEVELS, heights)
    assert losses[LEVELS.index(Level.T11)] == pytest.approx(0.4)
    assert losses[LEVELS.index(Level.T12)] == pytest.approx(0.4)
    assert losses[LEVELS.index(Level.L1)] == pytest.approx(0.0)


@pytest.mark.parametrize(
    "crushed", [LEVELS[:1], LEVELS[-1:], LEVELS[:2], LEVELS[-2:], LEVELS[3:6], LEVELS[::3]]
)
def test_the_crushed_are_held_against_those_that_are_not(crushed: list[Level]) -> None:
    heights = [
        normal(level, 0.65, 0.6, 0.65) if level in crushed else normal(level) for level in LEVELS
    ]
    losses = dict(zip(LEVELS, height_losses(LEVELS, heights), strict=True))
    for level in LEVELS:
        assert losses[level] == pytest.approx(0.4 if level in crushed else 0.0), level


def test_unknown_heights_stay_unknown() -> None:
    heights = [normal(level) for level in LEVELS[:3]]
    assert height_losses(LEVELS[:3], [None, *heights[1:]])[0] is None
    assert height_losses([Level.C5], [Heights(12, 12, 12)]) == [None]
    alone = height_losses([Level.L1], [normal(Level.L1, 0.7, 1.0, 1.0)])
    assert alone == [pytest.approx(0.3)]
    assert height_losses([], []) == []


def scanned(made: Phantom) -> dict[str, Measurement]:
    volume = volume_of(made.hu, made.affine_zyx_to_lps)
    masks = masks_of(made)
    got = measure_vertebrae(volume, masks, SUSPECTED_FROM)
    return {m.vertebra.level.value: one for m, one in zip(masks, got, strict=True)}


@pytest.mark.parametrize("loss", [0.28, 0.4, 0.55])
def test_broken_phantoms_are_suspected_and_their_neighbours_are_not(loss: float) -> None:
    got = scanned(thrice_broken(loss))
    assert {level for level, one in got.items() if one.suspected_fracture} == {"T8", "T12", "L3"}
    for level in ("T8", "T12", "L3"):
        one = got[level]
        assert one.height_loss is not None
        assert one.height_loss == pytest.approx(loss, abs=0.07)
        assert one.genant_grade == genant_grade(one.height_loss)
        assert one.reason is None


@pytest.mark.parametrize("more", [{"spacing_mm": 1.0}, SCOLIOTIC, ANOTHER_BODY, {"stature": 0.85}],
                         ids=["plain", "scoliotic", "another body", "small"])  # fmt: skip
def test_intact_phantoms_are_not_suspected(more: dict) -> None:
    got = scanned(lumbar(**more))
    losses = {k: one.height_loss for k, one in got.items() if one.height_loss is not None}
    assert len(losses) >= 5
    assert max(losses.values()) < SUSPECTED_FROM, losses
    assert not any(one.suspected_fracture for one in got.values())


def test_the_threshold_is_the_manifests() -> None:
    made = thrice_broken(0.35)
    volume = volume_of(made.hu, made.affine_zyx_to_lps)
    masks = masks_of(made)
    loss = max(one.height_loss or 0 for one in measure_vertebrae(volume, masks, 0.2))
    for threshold, expected in ((loss, True), (loss + 1e-6, False)):
        found = measure_vertebrae(volume, masks, threshold)
        assert any(one.suspected_fracture for one in found) == expected


def test_a_cut_vertebra_is_truncated_and_never_a_fracture() -> None:
    made = lumbar(margin_mm=(-8.0, -8.0))
    got = scanned(made)
    cut = [t.level for t in made.truth.levels if not t.whole_in_view]
    assert cut
    for level in cut:
        assert got[level] == Measurement(None, None, None, None, "truncated")
    whole = [one for level, one in got.items() if level not in cut]
    assert not any(one.suspected_fracture for one in whole)


def test_metal_is_said_to_be_in_the_way() -> None:
    made = lumbar(levels=("L1", "L4"), metal=("L2",))
    got = scanned(made)
    assert got["L2"].reason == "metal"
    assert got["L2"].suspected_fracture is None
    assert got["L2"].height_loss is None
    assert got["L4"].suspected_fracture is False


@pytest.mark.parametrize(("share", "suspected"), [(0.9, False), (0.75, None), (0.6, True)])
def test_above_t4_only_a_loss_beyond_doubt_is_judged(share: float, suspected: bool | None) -> None:
    """Bodies of the upper thoracic spine are outlined less well: a small loss is told only."""
    made = lumbar()
    volume = volume_of(made.hu, made.affine_zyx_to_lps)
    masks = [m for m in masks_of(made) if not m.touches_edge][:5]
    levels = [Level.T1, Level.T2, Level.T3, Level.T4, Level.T5]
    heights = [normal(level) for level in levels]
    for level in (Level.T2, Level.T5):
        heights[levels.index(level)] = normal(level, share, 1.0, 1.0)
    renamed = [replace(m, vertebra=replace(m.vertebra, level=level))
               for m, level in zip(masks, levels, strict=True)]  # fmt: skip
    queue = iter(heights)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(height_loss, "measure_heights", lambda *_: next(queue))
        got = measure_vertebrae(volume, renamed, SUSPECTED_FROM)
    high, low = got[1], got[4]
    assert high.height_loss == pytest.approx(1 - share)
    assert high.suspected_fracture is suspected
    assert (high.genant_grade is None) == (suspected is None)
    assert high.reason == ("low_confidence" if suspected is None else None)
    assert low.suspected_fracture is (share < 0.8)
    assert got[0].suspected_fracture is False


def forward(mask: VertebraMask, by_mm: float) -> VertebraMask:
    """The mask as it is when it leaves the body in front, by a slope from its full height."""
    body = mask.body.copy()
    z, y, x = np.argwhere(body > 0.5).T
    middle, front, centre = int(np.median(z)), int(np.quantile(y, 0.02)), int(np.median(x))
    wide, steps = 12, round(by_mm / mask.spacing_mm)
    for step in range(-4, steps + 1):
        high = round(8 - 5 * max(step, 0) / steps)
        rows = np.s_[middle - high : middle + high, front - step, centre - wide : centre + wide]
        body[rows] = 1
    return replace(mask, body=body)


def judged(masks: list[VertebraMask]) -> dict[str, Measurement]:
    """By the outlines alone: in an image that shows nothing."""
    made = lumbar()
    blank = volume_of(np.full_like(made.hu, 60), made.affine_zyx_to_lps)
    got = measure_vertebrae(blank, masks, SUSPECTED_FROM)
    return {m.vertebra.level.value: one for m, one in zip(masks, got, strict=True)}


def test_a_mask_that_leaves_the_body_in_front_is_no_wedge() -> None:
    masks = [forward(m, 9.0) if m.vertebra.level == Level.L2 else m
             for m in masks_of(lumbar(margin_mm=(20.0, 20.0)))]  # fmt: skip
    got = judged(masks)
    assert got["L2"].height_loss is not None
    assert got["L2"].height_loss >= SUSPECTED_FROM
    assert got["L2"].suspected_fracture is None
    assert got["L2"].reason == "low_confidence"
    assert not any(one.suspected_fracture for one in got.values())


def test_a_crushed_body_may_be_broad() -> None:
    """What has lost height behind as well is broken, however deep it is."""
    made = broken("L2:crush:0.45")
    wider = [forward(m, 8.0) if m.vertebra.level == Level.L2 else m for m in masks_of(made)]
    assert judged(wider)["L2"].suspected_fracture is True


def test_slices_too_far_apart() -> None:
    made = lumbar()
    coarse = volume_of(made.hu[::5], affine_of((7.5, 1.5, 1.5), (0, 0, 0), made.hu[::5].shape))
    for one in measure_vertebrae(coarse, masks_of(made), SUSPECTED_FROM):
        assert one.reason in ("spacing_too_coarse", "truncated")
        assert one.suspected_fracture is None


def test_a_mask_that_cannot_be_read_is_of_low_confidence() -> None:
    made = lumbar()
    volume = volume_of(made.hu, made.affine_zyx_to_lps)
    masks = list(masks_of(made))
    thin = masks[3].body.copy()
    thin[:, ::6] = 0  # only planes are left
    thin[:, 1::6] = thin[:, 2::6] = thin[:, 3::6] = thin[:, 4::6] = 0
    masks[3] = replace(masks[3], body=thin)
    got = measure_vertebrae(volume, masks, SUSPECTED_FROM)
    assert got[3] == Measurement(None, None, None, None, "low_confidence")
    assert got[2].suspected_fracture is False


def test_a_cervical_vertebra_has_no_norm() -> None:
    made = lumbar()
    volume = volume_of(made.hu, made.affine_zyx_to_lps)
    masks = [m for m in masks_of(made) if not m.touches_edge][:1]
    neck = [replace(masks[0], vertebra=replace(masks[0].vertebra, level=Level.C5))]
    (got,) = measure_vertebrae(volume, neck, SUSPECTED_FROM)
    assert got.reason == "no_norm_for_level"
    assert got.heights is not None
    assert got.suspected_fracture is None


def test_a_patient_squeezed_by_the_file_is_not_judged() -> None:
    """Slice distances that lie (here sideways) spoil proportions: heights are not trusted then."""
    made = lumbar()
    masks = masks_of(made)
    squeezed = [
        replace(m, body=m.body[:, :, ::2].copy(), arch=m.arch[:, :, ::2].copy()) for m in masks
    ]
    got = measure_vertebrae(volume_of(made.hu, made.affine_zyx_to_lps), squeezed, SUSPECTED_FROM)
    whole = [g for g, m in zip(got, masks, strict=True) if not m.touches_edge]
    assert {g.reason for g in whole} <= {"implausible_spacing", "low_confidence"}
    assert all(g.suspected_fracture is None for g in got)


def test_outlines_that_jump_from_one_body_to_the_next_are_not_judged() -> None:
    made = lumbar()
    masks = [m for m in masks_of(made) if not m.touches_edge]
    assert len(masks) >= 5
    jumpy = [
        replace(m, body=np.repeat(m.body, 2, 2), arch=np.repeat(m.arch, 2, 2)) if i % 2 else m
        for i, m in enumerate(masks)
    ]
    got = measure_vertebrae(volume_of(made.hu, made.affine_zyx_to_lps), jumpy, SUSPECTED_FROM)
    assert {g.reason for g in got} <= {"low_confidence", "implausible_spacing"}
    assert all(g.suspected_fracture is None for g in got)


def ranged(loss: float, name_probability: float = 1.0) -> tuple[Measurement, Measurement]:
    """A T12 that lost this much in front, and an intact L1, in an image that shows nothing."""
    made = lumbar()
    masks = [m for m in masks_of(made) if not m.touches_edge][:5]
    levels = [Level.T10, Level.T11, Level.T12, Level.L1, Level.L2]
    heights = iter([normal(v, 1 - loss, 1.0, 1.0) if v == Level.T12 else normal(v) for v in levels])
    named = [
        replace(m, vertebra=replace(m.vertebra, level=v, label_probability=name_probability))
        for m, v in zip(masks, levels, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(height_loss, "measure_heights", lambda *_: next(heights))
        got = measure_vertebrae(volume_of(made.hu, made.affine_zyx_to_lps), named, SUSPECTED_FROM)
    return got[2], got[3]


@pytest.mark.parametrize(
    ("loss", "grades"), [(0.05, (0, 0)), (0.15, (0, 2)), (0.30, (0, 3)), (0.60, (3, 3))]
)
def test_a_loss_comes_with_what_it_may_as_well_be(loss: float, grades: tuple[int, int]) -> None:
    one, intact = ranged(loss)
    assert one.height_loss_range is not None
    low, high = one.height_loss_range
    assert low < loss < high
    assert 0.1 < high - low < 0.3
    assert one.genant_grade == genant_grade(loss)
    assert one.genant_range is not None
    assert grades[0] <= one.genant_range[0] <= one.genant_grade <= one.genant_range[1] <= grades[1]
    assert intact.grade_words == "0"


def test_a_doubtful_name_widens_the_range_and_decides_nothing() -> None:
    for sure, doubted in zip(ranged(0.3), ranged(0.3, 0.55), strict=True):
        assert doubted.suspected_fracture is sure.suspected_fracture
        assert doubted.height_loss == sure.height_loss
        assert sure.height_loss_range is not None
        assert doubted.height_loss_range is not None
        assert doubted.height_loss_range[0] <= sure.height_loss_range[0]
        assert doubted.height_loss_range[1] >= sure.height_loss_range[1]


@pytest.mark.parametrize("loss", [0.0, 0.25, 0.45])
def test_nine_in_ten_true_losses_lie_in_their_range(loss: float) -> None:
    true = {"T8", "T12", "L3"}
    got = scanned(thrice_broken(loss) if loss else lumbar())
    told = {k: m.height_loss_range for k, m in got.items() if m.height_loss_range is not None}
    within = [a <= (loss if k in true and loss else 0.0) <= b for k, (a, b) in told.items()]
    assert sum(within) >= 0.9 * len(within)


@pytest.mark.parametrize(("share", "expected"), [(1.0, False), (0.6, None)])
def test_a_body_cut_at_a_rim_alone_is_judged_unless_it_seems_broken(
    share: float, expected: bool | None
) -> None:
    """What the edge took away lowers a height: a loss may be that, full heights can't."""
    made = lumbar()
    masks = [m for m in masks_of(made) if not m.touches_edge][:5]
    levels = [Level.T10, Level.T11, Level.T12, Level.L1, Level.L2]
    named = [replace(m, vertebra=replace(m.vertebra, level=v), touches_edge=i == 2)
             for i, (m, v) in enumerate(zip(masks, levels, strict=True))]  # fmt: skip
    centre = named[2].vertebra.centroid_lps_mm
    ends = tuple(
        ((centre[0], centre[1] + y, centre[2] + 9.0), (centre[0], centre[1] + y, centre[2] - 9.0))
        for y in (-12.0, 0.0, 12.0)
    )
    heights = iter([normal(v, share if v == Level.T12 else 1.0, 1.0, 1.0) for v in levels])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            height_loss, "measure_heights",
            lambda *_: replace(next(heights), landmarks_lps_mm=ends),
        )  # fmt: skip
        got = measure_vertebrae(volume_of(made.hu, made.affine_zyx_to_lps), named, SUSPECTED_FROM)
    assert got[2].suspected_fracture is expected
    assert got[2].reason == ("truncated" if expected is None else None)
