"""Signs of known size, planted in phantoms, and what is said where there is nothing to tell."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from vfx_edge.phantom import Phantom, PhantomSpec, SignSpec, make_phantom, parse_sign
from vfx_edge.spine.height_loss import measure_vertebrae
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.spine.signs import measure_signs
from vfx_edge.study import Measurement, Sign, VertebraMask
from vfx_edge.vocabulary import SIGNS, Reason

INTACT = Measurement(None, None, None, False)
SPEC = PhantomSpec(levels=("T12", "L2"), matrix=(80, 80), noise_hu=10.0)
PLANTED = ("L1:gas:0.8", "L1:gap:120:right", "L1:pedicle:1:left", "L1:convexity:4")


@cache
def phantom(*planted: str) -> tuple[Phantom, tuple[VertebraMask, ...]]:
    made = make_phantom(replace(SPEC, signs=tuple(map(parse_sign, planted))))
    return made, masks_from_labels(made.scan.image, made.labels)


@cache
def measured_of(*planted: str) -> tuple[Measurement, ...]:
    made, masks = phantom(*planted)
    return measure_vertebrae(made.scan.image, masks, 0.2, drawn_by_hand=True)


def signs(*planted: str, level: str = "L1", alone: bool = False) -> dict[str, Sign]:
    made, masks = phantom(*planted)
    if alone:
        masks = tuple(mask for mask in masks if mask.vertebra.level.value == level)
    image = made.scan.image
    measured = [replace(one, suspected_by_heights=False) for one in measured_of(*planted)]
    if alone:
        measured = [INTACT] * len(masks)
    found = measure_signs(image, masks, measured, lambda m, _: m.vertebra.level.value == level)
    (of_level,) = [its for its in found if its]
    return {sign.name: sign for sign in of_level}


def wall(*planted: str) -> tuple[float, ...]:
    """Where L1's back wall lies, by the solid that was drawn."""
    place = phantom(*planted)[0].truth.get("L1").back_wall_lps_mm
    assert place is not None
    return place


def value(found: dict[str, Sign], name: str) -> float:
    told = found[name].value
    assert told is not None
    return told


def test_an_intact_vertebra_has_every_sign_in_order_and_none_outside() -> None:
    found = signs()
    assert list(found) == list(SIGNS)
    assert [name for name, sign in found.items() if sign.is_abnormal] == []


def test_planted_signs_are_found_and_measured() -> None:
    found, before = signs(*PLANTED), signs()
    outside = {name for name, sign in found.items() if sign.is_abnormal}
    assert {"gas", "cortical_gap", "pedicle_left", "convexity"} <= outside
    assert "pedicle_right" not in outside
    assert value(found, "gas") == pytest.approx(0.8, abs=0.25)
    pushed = np.linalg.norm(np.subtract(wall(*PLANTED), wall()))
    assert value(found, "convexity") - value(before, "convexity") == pytest.approx(pushed, abs=0.5)


def test_without_neighbours_only_what_needs_none_is_told() -> None:
    found = signs(alone=True)
    assert found["gas"].value == 0.0
    assert found["convexity"].value is None
    assert found["convexity"].reason == Reason.NO_NEIGHBOURS


def test_a_vertebra_that_the_edge_cuts_has_reasons_in_place_of_values() -> None:
    cut = next(m.vertebra.level.value for m in phantom()[1] if m.touches_edge)
    found = signs(level=cut)
    assert {sign.reason for sign in found.values()} == {Reason.TRUNCATED}


def test_signs_leave_the_rest_of_a_phantom_as_it_was() -> None:
    plain, planted = phantom()[0], phantom(*PLANTED)[0]
    z = plain.hu.shape[0]
    assert (plain.hu[: z // 8] == planted.hu[: z // 8]).all()
    assert "signs" not in plain.truth.spec.to_json_able()


@pytest.mark.parametrize("text", ["L1:gas", "L1:tumour:3", "L1:gas:-1", "L1:mass:3:up", "C1:gas:1"])
def test_a_sign_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sign|unknown|bounds|C3"):
        parse_sign(text)


def test_a_sign_has_its_level_in_view() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        replace(SPEC, lumbar_count=4, signs=(SignSpec("L5", "gas", 1.0),))
