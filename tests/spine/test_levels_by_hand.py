"""A person's word on the names."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfx_edge import vocabulary as levels
from vfx_edge.errors import InputError
from vfx_edge.spine.levels_by_hand import renamed
from vfx_edge.study import Anchor, Level, Shift, Vertebra, VertebraMask

PLAIN = list(levels.PLAIN)


def column(levels: Sequence[str | Level], apart_mm: float = 30.0) -> tuple[VertebraMask, ...]:
    """Bodies 20 mm high below each other, the first at z = 0."""
    body = np.ones((20, 4, 4), np.float16)
    return tuple(
        VertebraMask(
            Vertebra(Level(level), (0.0, 0.0, -apart_mm * i), 0.6),
            body, np.zeros_like(body), (0.0, 0.0, -apart_mm * i - 9.5), 1.0,
        )
        for i, level in enumerate(levels)
    )  # fmt: skip


def names(masks: Sequence[VertebraMask]) -> list[str]:
    return [mask.vertebra.level.value for mask in masks]


@given(st.integers(0, 23), st.integers(1, 12), st.integers(-4, 4))
def test_a_shift_and_back_changes_no_name(first: int, count: int, by: int) -> None:
    levels = PLAIN[first : first + count]
    there = column(levels)
    try:
        moved = renamed(there, Shift(by))
    except InputError:
        assert first + by < 0 or first + len(levels) - 1 + by > len(PLAIN)
        return
    assert all(m.vertebra.label_probability == 1.0 and not m.vertebra.alternatives for m in moved)
    assert [m.body is o.body for m, o in zip(moved, there, strict=True)] == [True] * len(levels)
    ranks = [[*PLAIN, Level.L6].index(m.vertebra.level) for m in moved]
    assert ranks == [first + i + by for i in range(len(levels))]
    assert names(renamed(moved, Shift(-by))) == [level.value for level in levels]


@pytest.mark.parametrize(
    ("before", "by", "after"),
    [
        ("T11 T12 L1", 1, "T12 L1 L2"),
        ("T11 T12 L1", -1, "T10 T11 T12"),
        ("L3 L4 L5", 1, "L4 L5 L6"),
        ("T10 T12 L1", 1, "T11 L1 L2"),  # a gap stays a gap
        ("T11 T12 T13 L1", 1, "T12 T13 L1 L2"),  # the column keeps its thirteenth
        ("T11 T12 T13 L1", -1, "T10 T11 T12 T13"),
        ("T10 T11 L1 L2", -1, "T9 T10 T11 L1"),  # … and its want of a twelfth
        ("C1 C2 C3", 7, "T1 T2 T3"),
        ("L4 L5 L6", -1, "L3 L4 L5"),
    ],
)
def test_shifts(before: str, by: int, after: str) -> None:
    assert names(renamed(column(before.split()), Shift(by))) == after.split()


@pytest.mark.parametrize(("levels", "by"), [("C1 C2", -1), ("L5 L6", 1), ("T1", 40)])
def test_a_shift_out_of_the_spine_is_refused(levels: str, by: int) -> None:
    with pytest.raises(InputError, match=f"--shift-levels {by} .* leave C1 to L6"):
        renamed(column(levels.split()), Shift(by))


@pytest.mark.parametrize(
    ("levels", "anchor", "after"),
    [
        ("T12 L1 L2", Anchor(Level.L3, -58.0), "L1 L2 L3"),
        ("T12 L1 L2", Anchor(Level.L3, -45.5), "L1 L2 L3"),  # in the disc: the nearer one
        ("T12 L1 L2", Anchor(Level.T12, 4.0), "T12 L1 L2"),
        ("C1 C2 C3", Anchor(Level.L5, -60.0), "L3 L4 L5"),  # a viewer's own numbers
        ("C3 C2 C1", Anchor(Level.L5, -60.0), "L3 L4 L5"),  # … from the feet
        ("C2 C3 C1", Anchor(Level.T12, 0.0), "T12 L1 L2"),  # … in the order they were drawn
        ("T11 T12 L1", Anchor(Level.T13, -60.0), "T11 T12 T13"),
    ],
)
def test_anchors(levels: str, anchor: Anchor, after: str) -> None:
    assert names(renamed(column(levels.split()), anchor)) == after.split()


def test_where_numbers_say_nothing_a_hole_is_counted() -> None:
    drawn = column(["C5", "C1", "C2", "C3", "C6"])
    holed = (*drawn[:3], drawn[4])
    assert names(renamed(holed, Anchor(Level.L5, -120.0))) == ["L1", "L2", "L3", "L5"]


def test_an_anchor_beside_the_column_is_refused() -> None:
    with pytest.raises(InputError, match="between -60 and 0 mm"):
        renamed(column(["L1", "L2", "L3"]), Anchor(Level.L5, -700.0))


def test_a_shift_of_names_in_disorder_is_refused() -> None:
    with pytest.raises(InputError, match="--anchor"):
        renamed(column(["L3", "L2", "L1"]), Shift(1))


def test_without_a_word_nothing_changes() -> None:
    masks = column(["L1", "L2"])
    assert renamed(masks, None) == masks
