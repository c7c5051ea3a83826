"""The crop that the classifier sees, and what its answer means."""

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from tests.fake_backend import FakeNetwork
from tests.spine.nets import network, spec_of
from tests.spine.world import affine_of, places, turned, volume_of
from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.manifest import CalibrationSpec, NetworkSpec
from vfx_edge.spine.classify import classify_fractures, crop
from vfx_edge.spine.crops import enough_in_view
from vfx_edge.study import (
    CauseNotClassified,
    Classified,
    Detection,
    Heights,
    Level,
    Measurement,
    NotAssessable,
    NotClassified,
    Tier,
    Vertebra,
    VertebraMask,
    tier_of,
)

CENTRE = (10.0, -20.0, 300.0)
SLOPE = np.array([2.0, -3.0, 5.0])
BROKEN = Measurement(Heights(10.0, 15.0, 20.0), 0.4, 3, True)
INTACT = Measurement(Heights(20.0, 20.0, 20.0), 0.02, 0, False)
CUT = Measurement(None, None, None, None, "truncated")
METAL = Measurement(None, None, None, None, "metal")
WRONG = Measurement(None, None, None, None, "implausible_spacing")
NO_NORM = Measurement(None, None, None, None, "no_norm_for_level")
PLAIN = {"patch_zyx": (12, 14, 16), "spacing": 2.0, "mask": "none", "orientation": "SPL",
         "transpose": (0, 1, 2)}  # fmt: skip


def mask(
    level: Level = Level.L1, at: tuple[float, float, float] = CENTRE, radius_mm: float = 8
) -> VertebraMask:
    """A ball of bone, its rear part arch."""
    shape = (29, 29, 29)
    grid = affine_of((1.0, 1.0, 1.0), at, shape)
    far = places(grid, shape) - np.array(at)
    ball = (far**2).sum(-1) <= radius_mm**2
    x, y, z = (float(v) for v in grid[:3, 3])
    front = far[..., 1] < 3
    body, arch = ((ball & side).astype(np.float16) for side in (front, ~front))
    return VertebraMask(Vertebra(level, at, 0.9), body, arch, (x, y, z), 1.0)


def ramp(degrees: tuple[float, float, float] = (0, 0, 0)) -> Image:
    affine = affine_of((2.5, 0.9, 0.9), CENTRE, (60, 160, 160), turned(degrees))
    hu = (places(affine, (60, 160, 160)) - np.array(CENTRE)) @ SLOPE
    return volume_of(hu, affine)


def offsets(spec: NetworkSpec) -> np.ndarray:
    """(z, y, x, 3) LPS mm of the crop's voxels from its middle."""
    shape = spec.input.patch_zyx
    index = np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2
    return index[..., ::-1] * spec.input.spacing_mm


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, 8, -20)])
def test_a_crop_lies_about_the_body_and_is_not_flipped(
    degrees: tuple[float, float, float], interpolation: str
) -> None:
    spec = spec_of("classifier", **PLAIN, interpolation=interpolation)
    got = crop(ramp(degrees), mask(), spec)
    wanted = spec.input.normalise(offsets(spec) @ SLOPE)
    np.testing.assert_allclose(got, wanted, atol=1.0 / spec.input.hu_scale)


def at_the_edge() -> tuple[Image, VertebraMask]:
    """A vertebra at the top of the scan: the upper part of its crop shows nothing."""
    volume = ramp()
    top = volume.to_lps(np.array([[59.0, 79.5, 79.5]]))[0]
    return volume, mask(at=(float(top[0]), float(top[1]), float(top[2]) - 2))


def test_outside_the_scan_is_padding_of_the_crops_own_mean() -> None:
    volume, cut = at_the_edge()
    spec = spec_of("classifier", **PLAIN, padding_hu="mean")
    got = crop(volume, cut, spec)
    outside = offsets(spec)[..., 2] > 2 + 1.25  # half a slice beyond the last one
    assert outside.any()
    np.testing.assert_allclose(got[outside], got[~outside].mean(), rtol=1e-5)


def test_outside_the_scan_is_padding_of_a_given_number() -> None:
    volume, cut = at_the_edge()
    spec = spec_of("classifier", **PLAIN, padding_hu=-500.0)
    got = crop(volume, cut, spec)
    outside = offsets(spec)[..., 2] > 2 + 1.25
    np.testing.assert_allclose(got[outside], spec.input.normalise(np.array(-500.0)))
    assert (got[~outside] > got[outside].max()).all()


@pytest.mark.parametrize("margin_mm", [0.0, 4.0])
def test_a_masked_crop_shows_the_vertebra_alone(margin_mm: float) -> None:
    spec = spec_of("classifier", **{**PLAIN, "mask": "vertebra"}, padding_hu=-1000.0,
                   parameters={"mask_margin_mm": margin_mm})  # fmt: skip
    got = crop(ramp(), mask(), spec)
    far = np.linalg.norm(offsets(spec), axis=-1)
    shown = got != spec.input.normalise(np.array(-1000.0))
    assert shown[far < 7 + margin_mm - 1].all()
    assert not shown[far > 9 + margin_mm + 1].any()
    wanted = spec.input.normalise(offsets(spec) @ SLOPE)
    np.testing.assert_allclose(got[shown], wanted[shown], atol=1e-3)


def answering(
    *p_malignant: float, p_unknown: tuple[float, ...] = (), **more: object
) -> tuple[FakeNetwork, list[np.ndarray]]:
    """A classifier that gives these answers in turn, and what it was shown. With p_unknown it has
    a third class, and p_malignant is what holds of the rest."""
    spec = spec_of("classifier", **PLAIN, **more)
    classes = ("osteoporotic", "malignant", *(("unknown",) if p_unknown else ()))
    spec = replace(spec, output=replace(spec.output, classes=classes, activation="none"))
    seen: list[np.ndarray] = []
    queue, strange = list(p_malignant), list(p_unknown)

    def function(used: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        seen.extend(batch)
        rows = np.array([queue.pop(0) for _ in batch])
        rest = 1 - np.array([strange.pop(0) if strange else 0.0 for _ in batch])
        values = {"malignant": rest * rows, "osteoporotic": rest * (1 - rows), "unknown": 1 - rest}
        return np.array([values[name] for name in used.output.classes]).T

    return network(spec, function), seen


def classified(net: Network, *cases: tuple[Level, Measurement], chosen: bool = True) -> list:
    masks = [mask(level) for level, _ in cases]
    found = classify_fractures(ramp(), masks, [m for _, m in cases], net, lambda *_: chosen)
    assert [f.vertebra.level for f in found] == [level for level, _ in cases]
    return [f.assessment for f in found]


ONCE = {"mirror": 0, "threshold_malignant": 0.75, "threshold_osteoporotic": 0.875}


@pytest.mark.parametrize(
    ("p_malignant", "tier"),
    [(1.0, Tier.MALIGNANT), (0.75, Tier.MALIGNANT), (0.7499, Tier.UNCERTAIN),
     (0.1251, Tier.UNCERTAIN), (0.125, Tier.OSTEOPOROTIC), (0.0, Tier.OSTEOPOROTIC)],
)  # fmt: skip
def test_tiers_at_the_thresholds(p_malignant: float, tier: Tier) -> None:
    net, _ = answering(p_malignant, parameters=ONCE)
    (got,) = classified(net, (Level.L1, BROKEN))
    assert isinstance(got, Classified)
    assert got.tier == tier
    assert got.p_malignant == pytest.approx(p_malignant)
    assert got.p_osteoporotic == pytest.approx(1 - p_malignant)


def test_malignant_wins_where_both_thresholds_are_low() -> None:
    both = {"mirror": 0, "threshold_malignant": 0.3, "threshold_osteoporotic": 0.3}
    net, _ = answering(0.5, parameters=both)
    (got,) = classified(net, (Level.L1, BROKEN))
    assert got.tier == Tier.MALIGNANT


def test_the_classes_may_stand_in_any_order() -> None:
    net, _ = answering(0.9, parameters=ONCE)
    spec = replace(net.spec, output=replace(net.spec.output, classes=("malignant", "osteoporotic")))
    turned_round = network(spec, lambda s, b: np.tile([[0.9, 0.1]], (len(b), 1)))
    (got,) = classified(turned_round, (Level.L1, BROKEN))
    assert (got.tier, round(got.p_malignant, 3)) == (Tier.MALIGNANT, 0.9)


def test_of_crop_and_mirror_image_the_less_sure_answer_holds() -> None:
    """Neither sounds surer than the other allows; where they disagree, nothing is known."""
    net, seen = answering(0.99, 0.05, 0.9, 0.8, 0.1, 0.3, parameters={**ONCE, "mirror": 1})
    cases = [(Level.L1, BROKEN), (Level.L2, BROKEN), (Level.L3, BROKEN)]
    agreed, wavering, torn = classified(net, *cases)
    assert (agreed.tier, round(agreed.p_malignant, 4)) == (Tier.MALIGNANT, 0.8)
    assert (wavering.tier, round(wavering.p_malignant, 4)) == (Tier.OSTEOPOROTIC, 0.1)
    assert (torn.tier, round(torn.p_malignant, 4)) == (Tier.UNCERTAIN, 0.5)
    assert all(a.p_malignant + a.p_osteoporotic == pytest.approx(1) for a in (agreed, torn))
    assert len(seen) == 6  # crops first, then their mirror images
    np.testing.assert_array_equal(seen[3], seen[0][..., ::-1])
    assert not np.array_equal(seen[0], seen[0][..., ::-1])


def test_a_stranger_gets_no_tier_however_sure_the_rest_sounds() -> None:
    """One view over the limit is enough; below it, the probabilities are those of the rest.
    A fracture that the heights tell of stays one: its cause is uncertain."""
    views = {"mirror": 1, "threshold_unknown": 0.5}
    net, _ = answering(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, p_unknown=(0.4, 0.1, 0.1, 0.4, 0.6, 0.6),
                       parameters={**ONCE, **views})  # fmt: skip
    cases = [(Level.L1, BROKEN), (Level.L2, BROKEN), (Level.L3, INTACT)]
    known, strange, intact = classified(net, *cases)
    assert (known.tier, round(known.p_malignant, 4)) == (Tier.MALIGNANT, 1.0)
    assert strange == CauseNotClassified("out_of_distribution")
    assert strange.tier == Tier.UNCERTAIN
    assert intact == NotAssessable("out_of_distribution")


OF_FOUR = ("metastasis", "healthy", "odd", "benign")
MEANT = {"metastasis": "malignant", "healthy": "intact", "odd": "unknown", "benign": "osteoporotic"}
METAL_BROKEN = dataclasses.replace(METAL, detection=Detection(0.9, True))


def of_four(*answers: tuple[float, ...], **parameters: object) -> FakeNetwork:
    """A classifier with names of its own, in an odd order, that gives these answers in turn."""
    spec = spec_of("classifier", **PLAIN, parameters={**ONCE, **parameters})
    output = replace(spec.output, classes=OF_FOUR, activation="none")
    queue = list(answers)
    return network(
        replace(spec, output=output, renamed=MEANT),
        lambda _, batch: np.array([queue.pop(0) for _ in batch]),
    )


@pytest.mark.parametrize("measured", [BROKEN, INTACT, METAL, METAL_BROKEN])
def test_intact_is_an_answer_and_else_the_cause_is_given_that_it_broke(
    measured: Measurement,
) -> None:
    """Rows: malignant, intact, unknown, osteoporotic. Whatever the heights say, intact is never
    uncertain."""
    intact = {(0.1, 0.8, 0.0, 0.1): 0.8, (0.2, 0.5, 0.0, 0.3): 0.5,
              (0.0, 0.3, 0.45, 0.25): 0.3 / 0.55}  # fmt: skip
    broken = {(0.38, 0.49, 0.01, 0.12): (Tier.MALIGNANT, 0.76),
              (0.25, 0.49, 0.01, 0.25): (Tier.UNCERTAIN, 0.5),
              (0.01, 0.4, 0.0, 0.59): (Tier.OSTEOPOROTIC, 0.01 / 0.6)}  # fmt: skip
    levels = list(Level)[7:13]
    got = classified(of_four(*intact, *broken), *((level, measured) for level in levels))
    assert [one.reason for one in got[:3]] == ["intact"] * 3
    assert [one.p_intact for one in got[:3]] == pytest.approx(list(intact.values()))
    assert {tier_of(one) for one in got[:3]} == {None}
    for one, (tier, p_malignant) in zip(got[3:], broken.values(), strict=True):
        assert (one.tier, round(one.p_malignant, 4)) == (tier, round(p_malignant, 4))
        assert one.p_malignant + one.p_osteoporotic == pytest.approx(1)


def test_both_views_have_to_see_it_intact() -> None:
    """What reassures counts by the view that is less sure of it; a set may ask for more."""
    views = ((0.1, 0.9, 0.0, 0.0), (0.6, 0.4, 0.0, 0.0))
    (got,) = classified(of_four(*views, mirror=1), (Level.L1, BROKEN))
    assert isinstance(got, Classified)
    (got,) = classified(of_four(views[0], threshold_intact=0.95), (Level.L1, BROKEN))
    assert isinstance(got, Classified)


def test_answers_of_a_sigmoid_are_no_shares() -> None:
    """Both causes sure, or none: neither is called."""
    for both in (0.9, 0.05):
        net = of_four((both, 0.1, 0.0, both))
        (got,) = classified(net, (Level.L1, BROKEN))
        assert got.tier == Tier.UNCERTAIN
        assert got.p_malignant + got.p_osteoporotic <= 1


def test_who_is_not_asked_about() -> None:
    """A level that the network does not know, a scan that can't be right, a sliver at the edge;
    heights that can't be read alone are no hindrance to one who asks."""
    net, seen = answering(0.9, 0.1, parameters={**ONCE, "levels": ["T12", "L1"]})
    got = classified(net, (Level.C7, NO_NORM), (Level.T8, METAL), (Level.T12, CUT),
                     (Level.T12, WRONG), (Level.T12, METAL),
                     (Level.L1, BROKEN), (Level.L2, INTACT), (Level.L3, BROKEN))  # fmt: skip
    assert got[0] == got[6] == NotClassified("level_outside_model_range")
    assert got[1] == NotAssessable("metal")
    assert got[2] == NotAssessable("truncated")
    assert got[3] == NotAssessable("implausible_spacing")
    assert [got[4].tier, got[5].tier] == [Tier.MALIGNANT, Tier.OSTEOPOROTIC]
    assert got[7] == CauseNotClassified("level_outside_model_range")
    assert len(seen) == 2


@pytest.mark.parametrize(("radius_mm", "inside_mm", "asked"), [
    (12, 20, True), (12, 2, True), (12, -8, False), (4, 20, False),
])  # fmt: skip
def test_a_vertebra_that_the_edge_cuts_needs_10_mm_and_half_a_crop(
    radius_mm: float, inside_mm: float, asked: bool
) -> None:
    """inside_mm: how far below the scan's end the middle of what is seen of it lies."""
    volume = ramp()
    top = volume.to_lps(np.array([[59.0, 79.5, 79.5]]))[0]
    spec = spec_of("classifier", **PLAIN)
    part = mask(at=(float(top[0]), float(top[1]), float(top[2]) - inside_mm), radius_mm=radius_mm)
    assert enough_in_view(volume, part, spec) == asked


def test_of_what_the_edge_cuts_the_answer_is_kept_with_the_measurements_reason() -> None:
    net, _ = answering(0.9, parameters=ONCE)
    part = mask(radius_mm=12)
    part = dataclasses.replace(
        part, vertebra=dataclasses.replace(part.vertebra, wholly_in_view=False)
    )
    (found,) = classify_fractures(ramp(), [part], [CUT], net, lambda *_: True)
    assert isinstance(found.assessment, Classified)
    assert found.measurement.reason == "truncated"
    assert not found.vertebra.wholly_in_view


def test_a_calibration_changes_what_the_views_say_together() -> None:
    """Odds of 4 become 2 at a temperature of 2: uncertain by a threshold of 0.75. What may be is
    said by the limits; the class unknown is not touched."""
    made = CalibrationSpec(name="clinic", made="2026-03-01", cases=9, malignant=4, wanted="x",
                           temperature=2.0, coverage=0.9,
                           conformal_osteoporotic=0.35, conformal_malignant=0.1)  # fmt: skip
    twice = {**ONCE, "mirror": 1, "threshold_unknown": 0.5}
    net, _ = answering(0.8, 0.9, p_unknown=(0.4, 0.1), parameters=twice)
    net.spec = replace(net.spec, calibration=made)
    (got,) = classified(net, (Level.L1, BROKEN))
    assert (got.tier, round(got.p_malignant, 4)) == (Tier.UNCERTAIN, round(2 / 3, 4))
    assert got.p_osteoporotic == pytest.approx(1 / 3)
    assert got.possible == ("malignant",)


def test_what_was_not_chosen() -> None:
    net, seen = answering(parameters=ONCE)
    got = classified(net, (Level.T12, BROKEN), (Level.L1, INTACT), chosen=False)
    assert got == [CauseNotClassified("not_requested"), NotClassified("no_fracture_suspected")]
    assert seen == []


def test_no_vertebrae_at_all() -> None:
    net, _ = answering(parameters=ONCE)
    assert classified(net) == []
