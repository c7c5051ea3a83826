"""Findings against the experts' vertebrae, where it is known who is who."""

from collections.abc import Mapping

import numpy as np
import pytest

from vfx_edge.evaluation.matching import Place
from vfx_edge.image import Image
from vfx_edge.scoring.answers import Known, Seen
from vfx_edge.scoring.compared import compared
from vfx_edge.scoring.truth import Truth
from vfx_edge.study import Level

IMAGE = Image(np.zeros((120, 20, 20), np.int16), np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "CT",
              "HU")  # fmt: skip
TRUE = {"T12": 90, "L1": 60, "L2": 30}
"""Level -> z of its centre; blocks of 20 slices."""


def blocks(at: Mapping[str, int]) -> np.ndarray:
    labels = np.zeros(IMAGE.shape, np.uint8)
    for name, z in at.items():
        labels[z - 10 : z + 10, 5:15, 5:15] = Level(name).verse
    return labels


def truth() -> Truth:
    return Truth({n: Place((10.0, 10.0, float(z)), True) for n, z in TRUE.items()}, blocks(TRUE))


def against(found: Mapping[str, int], cut: tuple[str, ...] = ()) -> tuple[dict[str, Known], int]:
    seen = [Seen(n, (10.0, 10.0, float(z)), whole=n not in cut) for n, z in found.items()]
    outcome = compared(seen, blocks(found), truth(), IMAGE)
    assert [one.level for one in outcome.known] == ["T12", "L1", "L2"]
    return {one.level: one for one in outcome.known}, outcome.invented


def test_the_same_is_found_named_and_outlined() -> None:
    known, invented = against(TRUE)
    assert invented == 0
    for number, one in enumerate(known.values()):
        assert (one.finding, one.identified, one.distance_mm, one.dice) == (number, True, 0, 1)
        assert (one.assd_mm, one.hd_mm, one.hd95_mm, one.place_dice) == (0, 0, 0, 1)


def test_names_one_level_off_are_in_place_and_wrong() -> None:
    """T12 is called L1, L1 is called L2, L2 is called L3."""
    known, _ = against({"L1": 90, "L2": 60, "L3": 30})
    assert [one.finding for one in known.values()] == [0, 1, 2]
    assert not any(one.identified for one in known.values())
    assert [one.place_dice for one in known.values()] == [1, 1, 1]
    assert [one.dice for one in known.values()] == [0, 0, 0]
    assert [one.distance_mm for one in known.values()] == [0, 0, 0]
    assert [one.named_distance_mm for one in known.values()] == [None, 30, 30]
    # the outline of that name is there, and elsewhere; T12 has none at all
    assert known["T12"].hd_mm is None
    assert known["L1"].hd_mm == pytest.approx(30)


def test_a_missed_one_has_no_overlap_and_no_distance() -> None:
    known, _ = against({"T12": 92, "L2": 30})
    missed = known["L1"]
    assert (missed.finding, missed.identified, missed.dice) == (None, False, 0)
    assert (missed.distance_mm, missed.hd_mm, missed.place_dice) == (None, None, None)
    assert known["T12"].distance_mm == 2
    assert known["T12"].dice == pytest.approx(0.9)
    assert known["T12"].hd_mm == 2


def test_what_the_scans_edge_cuts_is_not_invented() -> None:
    apart = {**TRUE, "L3": 5, "T11": 115}
    assert against(apart)[1] == 2
    assert against(apart, cut=("L3", "T11"))[1] == 0


def test_without_a_mask_there_are_places_and_no_outlines() -> None:
    places = Truth(truth().places, None)
    outcome = compared([Seen("L1", (10.0, 10.0, 61.0))], blocks(TRUE), places, IMAGE)
    found = {one.level: one for one in outcome.known}
    assert found["L1"].distance_mm == 1
    assert all(one.dice is None for one in found.values())
    assert compared([Seen("L1", (0.0, 0.0, 0.0))], None, Truth({}), IMAGE).known == ()
