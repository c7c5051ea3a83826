"""Two precisions' answers to one scan, side by side."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.precisions import compared
from tests.outputs.fakes import NORMAL, analysis_of, axis_aligned
from vfx_edge.image import Image
from vfx_edge.study import Analysis, Level, Point

CENTRES: dict[Level, Point] = {Level("L1"): (60.0, 60.0, 80.0), Level("L2"): (60.0, 60.0, 40.0)}


def answer(shift_mm: float = 0.0, loss: float = 0.1, levels: int = 2) -> Analysis:
    values = np.zeros((40, 40, 40), np.int16)
    image = Image(values, axis_aligned((0.0, 0.0, 0.0), (3.0, 3.0, 3.0)), "CT", "HU")
    centres = dict(list(CENTRES.items())[:levels])
    assessment, _, grade = NORMAL
    found = analysis_of(image, centres, dict.fromkeys(centres, (assessment, loss, grade)))
    x, y, z = found.masks[0].origin_lps_mm
    moved = replace(found.masks[0], origin_lps_mm=(x, y, z + shift_mm))
    return replace(found, masks=(moved, *found.masks[1:]))


def test_the_same_answers_are_the_same() -> None:
    found = compared(answer(), answer())
    assert (found["same_names"], found["same_suspicions"], found["difference"]) == (True, True, "")
    assert found["dice"] == [1.0, 1.0]
    assert found["height_gaps_mm"] == [0.0] * 6


def test_what_differs_is_told_by_kind() -> None:
    moved = compared(answer(), answer(shift_mm=3.0))
    assert moved["dice"][0] < 0.95 < moved["dice"][1]
    lower = compared(answer(), answer(loss=0.2))
    assert not lower["same_suspicions"]
    assert "suspected" in lower["difference"]
    one, other = (answer(loss=loss).findings[0].measurement.heights for loss in (0.1, 0.2))
    assert one
    assert other
    assert lower["height_gaps_mm"][0] == pytest.approx(one.anterior_mm - other.anterior_mm)
    fewer = compared(answer(), answer(levels=1))
    assert not fewer["same_names"]
    assert len(fewer["dice"]) == 1
