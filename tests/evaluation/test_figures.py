"""Figures of names and of a classifier on a handful of cases, counted by hand."""

import numpy as np
import pytest

from vfx_edge.evaluation.calibration import Bin, expected_error, reliability
from vfx_edge.evaluation.classification import Answers
from vfx_edge.evaluation.level_names import Named, agreement, counted
from vfx_edge.evaluation.level_names import reliability as name_bins
from vfx_edge.evaluation.rates import Confusion

P = np.array([0.05, 0.05, 0.45, 0.45, 0.95, 0.95], np.float32)
TRUTH = np.array([False, False, False, True, True, False])


def test_what_is_counted_of_names() -> None:
    right = Named("L1", "L1", 0.95, ())
    other = Named("L2", "L1", 0.60, ("L2",))
    wrong = Named("L3", "L2", 0.92, ("L1",))
    figures = counted([right, other, wrong])
    assert (figures["right"], figures["named"], figures["wrong_though_sure"]) == (1, 2, 1)
    assert agreement([[right, other], [right], [Named("L1", "T12", 0.5, ())]]) == {
        "shared": 2,
        "same": 1,
    }
    bins = [Bin(**one) for one in name_bins([right, wrong, other])]
    assert [one.count for one in bins] == [1, 2]
    assert expected_error(bins) == pytest.approx((0.6 + abs(1 - 0.95 - 0.92)) / 3)


def test_a_stated_probability_is_held_against_what_was_so() -> None:
    bins = reliability(P, TRUTH)
    assert [one.right for one in bins] == [0.0, 0.5, 0.5]
    assert expected_error(bins) == pytest.approx((0.05 + 0.05 + 0.45) / 3)
    assert expected_error([]) is None


def test_no_answer_is_neither_right_nor_wrong() -> None:
    answers = Answers(P > 0.9, P < 0.1, TRUTH)
    assert answers.confusion == Confusion(1, 1, 2, 0)
    assert (answers.right.sum(), answers.wrong.sum()) == (3, 1)
    assert answers.not_missed == 1.0
    assert Answers(P > 2, P < 0.5, TRUTH).not_missed == 0.5
