"""The synthetic CT keeps its promises: frame, labels, truth, repeatability."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from vfx_edge.phantom import (
    NUMBER_OF,
    DrawOptions,
    FractureSpec,
    LesionSpec,
    Part,
    Phantom,
    PhantomSpec,
    make_phantom,
    parse_fracture,
    parse_lesion,
    parse_level,
    parse_levels,
    random_spec,
)
from vfx_edge.phantom.column import build_column
from vfx_edge.spine.plausible import look_at_scan

TRUNK = PhantomSpec(
    levels=("T4", "L5"),
    spacing_mm=2.0,
    pixel_mm=2.0,
    matrix=(130, 170),
    noise_hu=5.0,
    contrast="arterial",
    fractures=(FractureSpec("L1", "wedge", 0.35),),
    seed=3,
)
BROKEN = (
    FractureSpec("T8", "crush", 0.4),
    FractureSpec("L1", "wedge", 0.35),
    FractureSpec("L3", "biconcave", 0.3),
)


@cache
def trunk() -> Phantom:
    """One phantom shared by the tests that only look."""
    return make_phantom(TRUNK)


def index_of(phantom: Phantom, lps: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Voxel position (z,y,x) of an L,P,S point."""
    inverse = np.linalg.inv(phantom.affine_zyx_to_lps)
    return np.asarray((inverse @ np.append(np.asarray(lps, float), 1.0))[:3])


def hu_at(phantom: Phantom, lps: npt.ArrayLike) -> float:
    """Mean HU of a 3x3x3 neighbourhood."""
    z, y, x = np.rint(index_of(phantom, lps)).astype(int)
    return float(phantom.hu[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].mean())


def test_same_seed_same_voxels_other_seed_not() -> None:
    spec = PhantomSpec(
        levels=("L2", "L4"), spacing_mm=3, pixel_mm=3, matrix=(60, 60), randomness=1.0, seed=11
    )
    first, again = make_phantom(spec), make_phantom(spec)
    other = make_phantom(replace(spec, seed=12))
    assert np.array_equal(first.hu, again.hu)
    assert np.array_equal(first.labels, again.labels)
    assert first.truth == again.truth
    assert first.hu.shape != other.hu.shape or not np.array_equal(first.hu, other.hu)


def test_arrays_have_the_promised_kind() -> None:
    p = trunk()
    assert p.hu.dtype == np.int16
    assert p.labels.dtype == p.parts.dtype == np.uint8
    assert p.hu.shape == p.labels.shape == p.parts.shape
    assert p.hu.min() >= -1024
    assert p.hu.max() <= 3071
    assert set(np.unique(p.parts[p.labels > 0])) <= {Part.BODY, Part.POSTERIOR, Part.SACRUM}


def test_aorta_left_liver_right_spine_behind() -> None:
    p = trunk()
    t9 = np.array(p.truth.get("T9").centroid_lps_mm)
    l1 = np.array(p.truth.get("L1").centroid_lps_mm)
    assert hu_at(p, t9 + np.array([18, -24, 0])) > 200  # contrast-filled aorta, left in front
    assert hu_at(p, t9 + np.array([-18, -24, 0])) < 150
    assert 30 < hu_at(p, l1 + np.array([-95, -60, 25])) < 140  # liver on the right
    back = p.affine_zyx_to_lps[1, 1] * p.hu.shape[1] / 2 + p.affine_zyx_to_lps[1, 3]
    assert l1[1] > back - 30  # the spine lies behind the middle of the body


def test_labels_run_from_head_to_foot() -> None:
    p = trunk()
    levels = [*(f"T{i}" for i in range(4, 13)), *(f"L{i}" for i in range(1, 6))]
    heights = [
        np.nonzero((p.labels == NUMBER_OF[v]) & (p.parts == Part.BODY))[0].mean() for v in levels
    ]
    assert all(a > b for a, b in pairwise(heights))
    assert p.affine_zyx_to_lps[2, 0] > 0


def test_body_centroids_match_the_labels() -> None:
    p = trunk()
    for found in p.truth.levels:
        if not found.whole_in_view:
            continue
        body = np.argwhere((p.labels == found.label) & (p.parts == Part.BODY))
        gap = np.abs(body.mean(axis=0) - index_of(p, found.centroid_lps_mm))
        assert gap.max() < 1.0, found.level


@pytest.mark.parametrize("randomness", [0.0, 1.0])
def test_truth_heights_lose_what_was_asked(randomness: float) -> None:
    p = make_phantom(
        PhantomSpec(
            levels=("T6", "L4"),
            spacing_mm=4,
            pixel_mm=4,
            matrix=(40, 40),
            fractures=BROKEN,
            randomness=randomness,
            seed=5,
        )
    )
    for fracture in BROKEN:
        found = p.truth.get(fracture.level)
        worst = {"wedge": 0, "biconcave": 1, "crush": 0}[fracture.kind]
        assert found.loss[worst] == pytest.approx(fracture.loss, abs=0.02)
        assert max(found.loss) == pytest.approx(found.loss[worst], abs=0.02)
    assert p.truth.get("L1").heights_mm[0] / p.truth.get("L1").intact_heights_mm[
        0
    ] == pytest.approx(0.65, abs=0.02)
    assert p.truth.get("L2").loss == pytest.approx((0, 0, 0), abs=1e-6)


def test_painted_heights_match_truth() -> None:
    """Measure the wedge on the label map as a radiologist would."""
    p = trunk()
    for level in ("L1", "L2"):
        found = p.truth.get(level)
        body = np.argwhere((p.labels == found.label) & (p.parts == Part.BODY))
        lps = body @ p.affine_zyx_to_lps[:3, :3].T + p.affine_zyx_to_lps[:3, 3]
        local = lps - np.array(found.centroid_lps_mm)
        up, back = local @ np.array(found.up_lps), local @ np.array(found.back_lps)
        side = np.abs(local @ np.cross(found.back_lps, found.up_lps)) < 4
        reach = found.body_size_mm[1] / 2
        for share, truth in zip((-0.8, 0.0, 0.7), found.heights_mm, strict=True):
            near = side & (np.abs(back - share * reach) < 2.0)
            assert np.ptp(up[near]) + 1.0 == pytest.approx(truth, abs=3.0), (level, share)


def test_cut_vertebra_is_flagged() -> None:
    p = make_phantom(
        PhantomSpec(
            levels=("L1", "L3"), spacing_mm=2, pixel_mm=3, matrix=(60, 60), margin_mm=(-10.0, 6.0)
        )
    )
    assert not p.truth.get("L1").whole_in_view
    assert 0 < p.truth.get("L1").body_share_in_view < 1
    assert p.truth.get("L2").whole_in_view
    assert p.truth.get("L3").whole_in_view


def test_lesions_change_the_marrow() -> None:
    def marrow(*lesions: LesionSpec) -> float:
        p = make_phantom(
            PhantomSpec(
                levels=("L1", "L3"),
                spacing_mm=2,
                pixel_mm=2,
                matrix=(60, 60),
                lesions=lesions,
                noise_hu=0.0,
            )
        )
        return hu_at(p, p.truth.get("L2").centroid_lps_mm)

    healthy = marrow()
    assert marrow(LesionSpec("L2", "lytic", 0.8)) < 70 < healthy
    assert marrow(LesionSpec("L2", "sclerotic", 0.8)) > healthy + 150


def test_other_counts_of_vertebrae() -> None:
    spec = PhantomSpec(
        levels=("T11", "L6"),
        thoracic_count=13,
        lumbar_count=6,
        spacing_mm=4,
        pixel_mm=4,
        matrix=(40, 40),
    )
    labels = set(np.unique(make_phantom(spec).labels).tolist())
    assert {NUMBER_OF["T13"], NUMBER_OF["L6"], NUMBER_OF["T12"]} <= labels
    with pytest.raises(ValueError, match="does not exist"):
        PhantomSpec(levels=("T1", "L6"))


def test_fixed_slices_and_thick_ones() -> None:
    p = make_phantom(
        PhantomSpec(
            levels=("L2", "L3"),
            slices=9,
            spacing_mm=5.0,
            pixel_mm=1.5,
            matrix=(64, 72),
            slice_thickness_mm=7.5,
        )
    )
    assert p.hu.shape == (9, 64, 72)
    assert p.affine_zyx_to_lps[2, 0] == pytest.approx(5.0)


def test_random_specs_are_valid_and_repeatable() -> None:
    options = DrawOptions(pixel_mm=6.0, spacing_mm=6.0, matrix=(32, 40))
    specs = [random_spec(np.random.default_rng(i), options) for i in range(40)]
    assert specs == [random_spec(np.random.default_rng(i), options) for i in range(40)]
    assert any(s.fractures for s in specs)
    assert any(s.lesions for s in specs)
    for spec in specs[:3]:
        p = make_phantom(spec)
        text = json.dumps(p.truth.to_json_able())
        assert json.loads(text)["spec"]["seed"] == spec.seed


def test_no_column_turns_down_again() -> None:
    """A bent back and two wedges once laid T1 below T2: the trunk, drawn as sections by height,
    folded, and its slices did not continue each other."""
    broken = tuple(FractureSpec(level, "wedge", 0.5) for level in ("T5", "T10", "T12"))
    bent = PhantomSpec(
        levels=("T3", "T8"), spacing_mm=2.0, pixel_mm=5.0, matrix=(52, 64), kyphosis_scale=1.9,
        fractures=broken,
    )  # fmt: skip
    assert (np.diff(build_column(bent).line_mm[:, 2]) > 0).all()
    assert look_at_scan(make_phantom(bent).scan.image, "axial").doubts == ()


def test_parsing() -> None:
    assert parse_level(" t12") == "T12"
    assert parse_levels("T1-L5") == ("T1", "L5")
    assert parse_levels("L3") == ("L3", "L3")
    assert parse_fracture("L1:wedge:0.35") == FractureSpec("L1", "wedge", 0.35)
    assert parse_fracture("t8:Crush:40%").loss == pytest.approx(0.4)
    assert parse_lesion("T10:lytic") == LesionSpec("T10", "lytic")
    full = parse_lesion("T10:mixed:0.6:mass+convex")
    assert full.extent == pytest.approx(0.6)
    assert full.soft_tissue_mass
    assert full.convex_posterior_border


@pytest.mark.parametrize(
    "text", ["L1", "L1:bent:0.3", "X1:wedge:0.3", "L1:wedge:much", "L1:wedge:1.4", "C1:wedge:0.3"]
)
def test_bad_fractures_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ .*\w+"):
        parse_fracture(text)


@pytest.mark.parametrize(
    "text", ["T10", "T10:woolly", "T99:lytic", "T10:lytic:0.5:everything", "T10:lytic:7"]
)
def test_bad_lesions_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ .*\w+"):
        parse_lesion(text)
