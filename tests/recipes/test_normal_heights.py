"""The recipe of normal heights, on rows whose answer is known."""

import numpy as np
import pytest

from models.recipes.normal_heights import (
    LEVELS,
    Row,
    left_out,
    normal_sizes,
    published_front,
    robust_curve,
)
from vfx_edge.spine.height_loss import NORMAL_DEPTH_MM, NORMAL_MM
from vfx_edge.spine.measure import PLACES
from vfx_edge.study import Level

TABLE = np.array([[*NORMAL_MM[level], NORMAL_DEPTH_MM[level]] for level in LEVELS])
STATURES = (0.85, 0.95, 1.0, 1.1, 1.2)


def rows(broken: bool) -> list[Row]:
    """A spine of each stature; with a wedge in each, if asked for, never at the same level."""
    out = []
    for case, stature in enumerate(STATURES):
        for level, sizes in enumerate(TABLE * stature):
            wedge = 0.7 if broken and level == 4 + 2 * case else 1.0
            out.append(Row(f"case{case}", level, sizes * [wedge, 1.0, 1.0, 1.0]))
    return out


@pytest.mark.parametrize("broken", [False, True])
def test_intact_spines_give_back_their_table_whatever_their_stature(broken: bool) -> None:
    heights, depths = normal_sizes(rows(broken))
    again = np.column_stack([heights, depths]) / TABLE
    np.testing.assert_allclose(again / np.median(again), 1.0, atol=0.03)


def test_a_median_curve_is_not_moved_from_one_side() -> None:
    x = np.tile(np.arange(len(LEVELS)), 5)
    y = 1 + 0.01 * x
    odd = np.arange(len(x)) % 3 == 0
    curve = robust_curve(x, np.where(odd, 0.7 * y, y), 2)
    np.testing.assert_allclose(curve, 1 + 0.01 * np.arange(len(LEVELS)), atol=1e-3)


def test_published_angles_as_ratios() -> None:
    high, deep = 20.0, 30.0
    ratios = published_front(np.full(len(LEVELS), high), np.full(len(LEVELS), deep))
    span = (PLACES[2].at - PLACES[0].at) * deep  # between where the outer heights are read
    for level, degrees in ((Level.T9, 3.8), (Level.L5, -6.2)):
        lost = high * (1 - ratios[LEVELS.index(level)])
        assert np.degrees(np.arctan(lost / span)) == pytest.approx(degrees)
    assert LEVELS.index(Level.T8) not in ratios


@pytest.mark.parametrize(
    ("case", "level", "out"),
    [
        ("paint_verse010_1", Level.L1, True),
        ("paint_verse010_1", Level.L2, False),
        ("paint_sub-sample0010", Level.L2, True),
        ("real_tl4", Level.L2, False),
        ("real_wholesag", Level.L2, True),
    ],
)
def test_the_fractured_and_the_odd_are_left_out(case: str, level: Level, out: bool) -> None:
    assert left_out(case, level) is out
