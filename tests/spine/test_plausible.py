"""Columns and scans that can be a human spine, and those that can't."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.spine.coded import blind
from tests.spine.nets import models
from tests.spine.world import ANOTHER_BODY, FACTS, Floats, lumbar, masks_of, phantom, volume_of
from vfx_edge.backends import OpenModels, open_models
from vfx_edge.manifest import load_model_set
from vfx_edge.phantom import FractureSpec, PhantomSpec
from vfx_edge.spine.chain import analyze
from vfx_edge.spine.column import NEXT_MM, Candidates, Weights, name_column
from vfx_edge.spine.height_loss import measure_vertebrae
from vfx_edge.spine.plausible import (
    UNLIKE,
    ImplausibleScan,
    ScanLook,
    column_doubts,
    look_at_scan,
    nothing_judged,
)
from vfx_edge.study import Level, Measurement, Scan, Tier, VertebraMask
from vfx_edge.vocabulary import PLAIN, Reason

SPEC = PhantomSpec(
    levels=("T10", "L3"), spacing_mm=3.0, pixel_mm=3.0, matrix=(110, 120),
    fractures=(FractureSpec("L1", "wedge", 0.4),), scoliosis_deg=10.0, randomness=1.0, seed=9,
)  # fmt: skip
SOUND = ScanLook(stretch=0.7)


def masks(**other: Any) -> tuple[VertebraMask, ...]:
    return masks_of(lumbar(2.0, **{"scoliosis_deg": 10.0, **ANOTHER_BODY, **other}))


def squashed(mask: VertebraMask, z: float = 1.0, xy: float = 1.0) -> VertebraMask:
    """As a file shows it whose slice distance or pixel size is so many times the true one."""
    from scipy import ndimage

    body, arch = (
        ndimage.zoom(part.astype(np.float32), (z, xy, xy), order=1).astype(np.float16)
        for part in (mask.body, mask.arch)
    )
    at = np.array(mask.vertebra.centroid_lps_mm) * (xy, xy, z)
    vertebra = replace(mask.vertebra, centroid_lps_mm=(float(at[0]), float(at[1]), float(at[2])))
    return replace(mask, vertebra=vertebra, body=body, arch=arch)


@pytest.mark.parametrize(
    "other",
    [{}, {"stature": 0.84, "body_size": 0.7}, {"stature": 1.16}, {"scoliosis_deg": 40.0}],
    ids=["usual", "small", "large", "scoliotic"],
)
def test_patients_of_all_sizes_pass(other: dict[str, Any]) -> None:
    assert column_doubts(masks(**other), SOUND) == ()


@pytest.mark.parametrize(
    ("z", "xy", "words"),
    [
        (1.0, 0.5, "as tall for their width"),
        (0.5, 1.0, "as tall for their width"),
        (2.0, 1.0, "as tall for their width"),
        (0.5, 0.5, "times as large as an adult's"),
        (2.0, 2.0, "times as large as an adult's"),
    ],
)
def test_sizes_that_nobody_has_are_told(z: float, xy: float, words: str) -> None:
    (doubt,) = column_doubts([squashed(m, z, xy) for m in masks()], SOUND)
    assert doubt.reason is Reason.IMPLAUSIBLE_SPACING
    assert words in doubt.sentence


def test_a_body_that_changes_too_fast_along_z_is_told_but_not_at_the_shoulders() -> None:
    assert column_doubts(masks(), replace(SOUND, stretch=0.95))[0].reason == "implausible_spacing"
    neck = [
        replace(m, vertebra=replace(m.vertebra, level=level))
        for m, level in zip(masks(), [v for v in PLAIN if v >= Level.C3], strict=False)
    ]
    assert not any(
        "too fast" in d.sentence for d in column_doubts(neck, replace(SOUND, stretch=0.95))
    )


def test_a_column_that_grows_towards_the_head_is_upside_down() -> None:
    long = masks(levels=("T7", "L4"))
    swapped = [
        replace(m, body=other.body, arch=other.arch)
        for m, other in zip(long, long[::-1], strict=True)
    ]
    assert column_doubts(long, SOUND) == ()
    assert any("head and feet seem swapped" in d.sentence for d in column_doubts(swapped, SOUND))


@pytest.mark.parametrize(("order", "like"), [(1, True), (-1, False)])
def test_how_well_a_column_fits_is_kept(order: int, like: bool) -> None:
    levels = [v for v in PLAIN if Level.T8 <= v <= Level.L4]
    z = -np.cumsum([NEXT_MM[v] for v in levels])
    evidence = np.full((len(levels), len(Level)), 0.002)
    for row, level in zip(evidence, levels[::order], strict=True):
        row[level.rank] = 0.9
    places = np.stack([0 * z, 0 * z, z], axis=1)
    named = name_column(Candidates(places, np.full(len(z), 0.8), evidence), Weights(1, 1, 0.3))
    fit = named[0].fit
    assert fit is not None
    assert (fit > UNLIKE) == like
    column = [replace(m, vertebra=replace(m.vertebra, column_fit=fit)) for m in masks()]
    assert any("hardly looks like" in d.sentence for d in column_doubts(column, SOUND)) != like


def test_what_is_doubted_is_not_judged_and_what_is_cut_stays_cut() -> None:
    cut = Measurement(None, None, None, None, Reason.TRUNCATED)
    broken = Measurement(None, 0.4, 3, True)
    doubts = column_doubts([squashed(m, 0.5) for m in masks()], SOUND)
    assert nothing_judged((cut, broken), ()) == (cut, broken)
    got = nothing_judged((cut, broken), doubts)
    assert got == (cut, Measurement(None, None, None, None, Reason.IMPLAUSIBLE_SPACING))


def test_copied_slices_are_judged_as_the_coarse_ones_that_they_are() -> None:
    made = phantom(replace(SPEC, spacing_mm=4.0))
    affine = made.affine_zyx_to_lps.copy()
    affine[:3, 0] /= 2
    image = volume_of(np.repeat(made.hu, 2, axis=0), affine)
    look = look_at_scan(image, "axial")
    assert (look.doubts, look.slice_mm) == ((), 4.0)
    assert "2.00 mm apart" in look.remarks[0]
    got = measure_vertebrae(image, masks(), 0.2, slice_mm=2 * look.slice_mm)
    assert {m.reason for m in got} <= {"spacing_too_coarse", "truncated"}


@pytest.fixture(scope="module")
def shipped() -> Iterator[OpenModels]:
    with open_models(load_model_set("default"), "auto") as opened:
        yield opened


def changed(hu: Callable[[Floats], Floats]) -> Scan:
    made = phantom(SPEC)
    values = np.clip(hu(made.hu.astype(np.float32)), -1024, 3071)
    return Scan(volume_of(values, made.affine_zyx_to_lps), FACTS)


def test_a_scan_that_shows_no_spine_is_refused_for_what_is_wrong_with_it() -> None:
    with pytest.raises(ImplausibleScan, match="can't be Hounsfield units") as caught:
        analyze(changed(lambda h: h + 1024), models(blind))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("hu", "reason"),
    [
        (lambda h: h + 200, Reason.IMPLAUSIBLE_VALUES),
        (lambda h: np.roll(h, len(h) // 2, axis=0), Reason.IMPLAUSIBLE_SLICES),
    ],
    ids=["200 HU too high", "halves swapped"],
)
def test_from_a_wrong_scan_no_verdict_comes(
    hu: Callable[[Floats], Floats], reason: Reason, shipped: OpenModels
) -> None:
    """The sound scan shows a fracture; this one nothing that anybody may rely on."""
    found = analyze(changed(hu), shipped)
    assert found.triage.tier is Tier.NOT_ASSESSABLE
    assert {why for _, why in found.triage.coverage.unread} <= {reason, Reason.NOT_FOUND}
    assert reason in {f.measurement.reason for f in found.findings}
    assert any("send the series again" in line for line in found.run.warnings)
    assert not any(f.measurement.suspected_fracture for f in found.findings)
