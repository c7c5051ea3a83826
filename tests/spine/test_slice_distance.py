"""Stacks whose stated slice distance squeezes the patient."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spine.world import FACTS, lumbar, masks_of, volume_of
from vfx_edge.image import Image
from vfx_edge.outputs.labels import label_map
from vfx_edge.spine.height_loss import measure_vertebrae
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.spine.slice_distance import at_true_distance, put_back, with_warning
from vfx_edge.study import Finding, NotClassified, VertebraMask

MADE = lumbar(margin_mm=(20.0, 20.0))
LABELS: NDArray[np.uint8] = np.where(MADE.parts > 0, MADE.labels, 0).astype(np.uint8)


def stated(axis: int | None, share: float = 1.0) -> Image:
    """The phantom, its distances along one axis of the array multiplied in its file."""
    affine = MADE.affine_zyx_to_lps.copy()
    if axis is not None:
        affine[:3, axis] *= share
    return volume_of(MADE.hu, affine)


def find(volume: Image) -> tuple[VertebraMask, ...]:
    return masks_from_labels(volume, LABELS)


@pytest.mark.parametrize(
    ("orientation", "axis", "share"),
    [("sagittal", 2, 0.4), ("coronal", 1, 0.6), ("sagittal", 2, 1.7)],
)
def test_slices_are_moved_to_where_bodies_have_their_proportions(
    orientation: str, axis: int, share: float
) -> None:
    volume = stated(axis, share)
    seen, masks = at_true_distance(volume, orientation, find)
    assert seen.spacing_zyx_mm[axis] == pytest.approx(MADE.truth.spec.spacing_mm, rel=0.15)
    whole = [m for m in measure_vertebrae(seen, masks, 0.2) if m.reason != "truncated"]
    assert [m.suspected_fracture for m in whole] == [False] * len(whole)
    assert len(whole) >= 5
    assert f"{volume.spacing_zyx_mm[axis]:.2f} mm" in with_warning(FACTS, volume, seen).warnings[-1]


@pytest.mark.parametrize(
    ("orientation", "axis", "share"),
    [("sagittal", None, 1.0), ("coronal", None, 1.0), ("axial", 0, 0.5), ("axial", 2, 0.5)],
)
def test_what_is_right_or_squeezes_heights_stays(
    orientation: str, axis: int | None, share: float
) -> None:
    volume = stated(axis, share)
    assert at_true_distance(volume, orientation, find)[0] is volume


def test_where_no_distance_shows_a_spine_the_first_look_counts() -> None:
    volume = stated(2, 0.5)

    def only_as_stated(seen: Image) -> tuple[VertebraMask, ...]:
        if seen is not volume:
            raise NoSpineInView("nothing")
        return find(seen)

    seen, masks = at_true_distance(volume, "sagittal", only_as_stated)
    assert seen is volume
    got = measure_vertebrae(seen, masks, 0.2)
    assert {m.reason for m in got} <= {"implausible_spacing", "truncated"}
    assert not any(m.suspected_fracture for m in got)


def test_places_and_masks_go_back_to_where_the_file_has_them() -> None:
    volume = stated(2, 0.5)
    seen, masks = at_true_distance(volume, "sagittal", find)
    measured = measure_vertebrae(seen, masks, 0.2)
    findings = [
        Finding(m.vertebra, one, NotClassified("no_fracture_suspected"))
        for m, one in zip(masks, measured, strict=True)
    ]
    back, placed = put_back(findings, masks, seen, volume)
    true = {m.vertebra.level: m for m in masks_of(MADE)}
    assert len(back) >= len(true)
    for finding in (f for f in back if f.vertebra.level in true):
        index = volume.to_zyx(np.array([finding.vertebra.centroid_lps_mm]))
        there = true[finding.vertebra.level].vertebra.centroid_lps_mm
        wanted = volume_of(MADE.hu, MADE.affine_zyx_to_lps).to_zyx(np.array([there]))
        assert np.abs(index - wanted).max() < 4
    again = label_map(volume, placed)
    both = 2 * ((again == LABELS) & (LABELS > 0)).sum() / ((again > 0).sum() + (LABELS > 0).sum())
    assert both > 0.9
