"""What an outline leaves out of a body still counts: cavities, bites; and nothing beyond it."""

import numpy as np
from scipy import ndimage

from tests.outputs.fakes import example
from vfx_edge.spine.signs import said_of_unread, unread
from vfx_edge.spine.signs.hull import body_hull
from vfx_edge.study import Finding, Measurement, NotAssessable, Sign
from vfx_edge.vocabulary import Reason

SHAPE = (30, 40, 44)


def body() -> np.ndarray:
    """A round body with hollow endplates and a waist; voxels of 1 mm."""
    up, back, left = np.indices(SHAPE) - np.array(SHAPE)[:, None, None, None] // 2
    out = np.hypot(back, left)
    return np.asarray((np.abs(up) <= 8 + out / 8) & (out <= 14 + np.abs(up) / 4))


def test_a_whole_body_is_its_own_hull_but_for_its_skin() -> None:
    plain = body()
    hull = body_hull(plain)
    assert hull[plain].all()
    assert not hull[~ndimage.binary_dilation(plain)].any()


def test_a_cavity_and_a_bite_into_the_side_are_filled() -> None:
    plain, bitten = body(), body()
    bitten[10:20, 12:28, 16:28] = False
    assert (bitten != plain).sum() > 500
    assert body_hull(bitten)[plain].mean() > 0.98
    bitten[12:18, 16:24, 27:] = False  # now it is open
    assert body_hull(bitten)[plain].mean() > 0.97


def test_the_discs_stay_outside() -> None:
    top = np.argwhere(body())[:, 0].max()
    assert not body_hull(body())[top, 18:22, 20:24].any()


def test_nothing_has_no_hull() -> None:
    assert not body_hull(np.zeros(SHAPE, np.bool_)).any()


def _finding(reason: str | None, *signs: Sign) -> Finding:
    vertebra = example().findings[0].vertebra
    measured = Measurement(None, None, None, None, reason)
    return Finding(vertebra, measured, NotAssessable(reason or ""), signs)


def test_what_is_said_of_one_that_is_not_judged_names_the_signs_outside() -> None:
    gas, core = Sign("gas", 1.2, "ml", None, 0.1), Sign("core_density", 3.0, "HU", -60.0, 60.0)
    (said,) = said_of_unread([_finding(Reason.LOW_CONFIDENCE, gas, core)])
    assert "gas" in said
    assert "core_density" not in said
    assert said_of_unread([_finding(Reason.LOW_CONFIDENCE, core)]) == ()
    assert said_of_unread([_finding(Reason.TRUNCATED, gas)]) == ()


def test_only_a_whole_vertebra_of_doubtful_heights_counts_as_unread() -> None:
    mask = next(m for m in example().masks if m.is_outlined and not m.touches_edge)
    doubtful = Measurement(None, None, None, None, Reason.LOW_CONFIDENCE)
    assert unread(mask, doubtful)
    assert not unread(mask, Measurement(None, None, None, None, Reason.METAL))
    assert not unread(mask, Measurement(None, None, None, False))
