"""Findings against known vertebrae: what is missed, mislabelled, doubled or invented."""

import pytest

from vfx_edge.evaluation.matching import Counts, Found, Place, compare


def place(z_mm: float, whole: bool = True) -> Place:
    return Place((0.0, 0.0, z_mm), whole)


def found(level: str, z_mm: float, suspected: bool | None = False, x_mm: float = 0.0) -> Found:
    return Found(level, (x_mm, 0.0, z_mm), suspected)


COLUMN = {
    "T12": place(120),
    "L1": place(90),
    "L2": place(60),
    "L3": place(30),
    "L4": place(0, False),
}


def test_a_perfect_result_has_no_errors() -> None:
    findings = [found(name, at.lps_mm[2]) for name, at in COLUMN.items()]
    compared = compare(findings, COLUMN)
    assert compared.errors == ()
    assert compared.counts == Counts(whole=4, near=4, near_20=4, right=4, identified=4, judged=4)


def test_missed_mislabelled_doubled_and_invented_are_told_apart() -> None:
    findings = [
        found("T12", 121),
        found("L2", 92, None),  # L1, called L2
        found("L2", 47),  # L2, but 13 mm off
        found("L3", 30),
        found("L4", 24),  # in L3's body too
        found("L5", 0, x_mm=35),  # beside the spine
    ]
    compared = compare(findings, COLUMN)
    c = compared.counts
    assert (c.whole, c.near, c.near_20, c.right, c.identified) == (4, 3, 4, 2, 3)
    assert c.doubled == 2  # L3's body has two findings, and two findings are called L2
    assert c.invented == 1
    assert c.judged == 3
    assert c.distance_mm == pytest.approx(1 + 2 + 13 + 0)
    assert set(compared.errors) == {
        "L2 missed", "L1 called L2", "L4 doubled", "L2 doubled", "L5 invented"
    }  # fmt: skip
    assert [compared.finding_of[n] for n in ("T12", "L1", "L2", "L3")] == [0, 1, 2, 3]


def test_what_lies_beyond_the_annotated_stretch_doubles_nothing() -> None:
    """C6 is cut off and was not annotated: a finding there is not a second C7."""
    places = {"C7": place(17), "T1": place(0)}
    findings = [found("C6", 33), found("C7", 17), found("T1", 0)]
    c = compare(findings, places).counts
    assert (c.doubled, c.invented, c.near) == (0, 0, 1)  # of T1 to L6


def test_what_is_seen_of_a_cut_vertebra_doubles_no_neighbour() -> None:
    """L4's centre lies below the scan; what is seen of it has its own nearer to L3's."""
    findings = [found("L2", 60), found("L3", 30), found("L4", 16)]
    assert compare(findings, COLUMN).counts.doubled == 0
    findings[-1] = found("L3", 16)  # but a second L3 is one
    assert compare(findings, COLUMN).counts.doubled == 1
