"""Names that anatomy contradicts: expert masks pass, a viewer's numbers do not."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.itk_images import image_affine
from tests.spine.world import lumbar, masks_of, place
from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.image.orientation import turn_to_spl
from vfx_edge.spine.name_check import contradiction, name_remarks
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.study import Level, VertebraMask

DATA = Path(__file__).parents[3] / "shared" / "data"
EXPERTS = {
    path.name.split("_seg")[0].removesuffix(".nii.gz"): path
    for path in sorted((DATA / "shapes").glob("*_seg*.nii.gz"))
    if "subreg" not in path.name
} | {
    name: DATA / name / "seg-vert_msk.nii.gz"
    for name in ("verse005", "verse006", "verse008", "ct_abdomen_3mm_labelled")
}
FROM_C1 = ("gl003", "gl017")  # what is numbered from 1 there is C1

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="expert masks are not in ../shared/data: they are never shipped"
)


@cache
def expert(name: str) -> tuple[VertebraMask, ...]:
    image = sitk.Cast(sitk.ReadImage(str(EXPERTS[name])), sitk.sitkUInt8)
    bone = sitk.LabelShapeStatisticsImageFilter()
    bone.Execute(image > 0)
    x, y, z, *size = bone.GetBoundingBox(1)
    image = image[x : x + size[0], y : y + size[1], z : z + size[2]]
    image = sitk.ConstantPad(image, (5, 5, 5), (5, 5, 5))
    stored = sitk.GetArrayFromImage(image)
    turn = turn_to_spl(image_affine(image), stored.shape)
    volume = Image(np.zeros(turn.shape, np.int16), turn.affine, "CT", "HU")
    return masks_from_labels(volume, np.ascontiguousarray(turn.apply(stored)))


def numbered(masks: tuple[VertebraMask, ...], first: int = 1) -> tuple[VertebraMask, ...]:
    """From head to feet, as VerSe labels would name these numbers."""
    return tuple(
        replace(mask, vertebra=replace(mask.vertebra, level=Level.from_verse(first + i)))
        for i, mask in enumerate(masks)
    )


def scaled(masks: tuple[VertebraMask, ...], by: float) -> tuple[VertebraMask, ...]:
    """A child's, or a giant's."""
    return tuple(
        replace(
            mask,
            vertebra=replace(
                mask.vertebra,
                centroid_lps_mm=place(by * np.array(mask.vertebra.centroid_lps_mm)),
            ),
            origin_lps_mm=place(by * np.array(mask.origin_lps_mm)),
            spacing_mm=mask.spacing_mm * by,
        )
        for mask in masks
    )


@pytest.mark.parametrize("name", EXPERTS)
def test_what_experts_named_passes_at_any_stature(name: str) -> None:
    masks = expert(name)
    for by in (0.6, 1.0, 1.1):
        assert contradiction(scaled(masks, by)) is None, by
    assert contradiction(masks[1:4]) is None
    assert name_remarks(masks, settled=False) == (
        () if name not in FROM_C1 else name_remarks(numbered(masks), settled=False)
    )


@pytest.mark.parametrize("name", sorted(set(EXPERTS) - set(FROM_C1)))
def test_a_viewers_numbers_from_the_head_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="--anchor L5=Z_MM"):
        name_remarks(numbered(expert(name)), settled=False)
    (remark,) = name_remarks(numbered(expert(name)), settled=True)
    assert remark.startswith("The names of the levels were kept as stated, but the shape")


@pytest.mark.parametrize("name", EXPERTS)
def test_a_viewers_numbers_from_the_feet_are_refused(name: str) -> None:
    upside_down = tuple(
        replace(mask, vertebra=replace(mask.vertebra, level=Level.from_verse(i)))
        for i, mask in enumerate(reversed(expert(name)), 1)
    )
    for settled in (False, True):  # nobody can have meant that
        with pytest.raises(InputError, match="C1 lies below what it names C2"):
            name_remarks(upside_down, settled=settled)


def test_gaps_that_are_none_and_holes_are_refused() -> None:
    masks = expert("verse010_seg_verse" if "verse010_seg_verse" in EXPERTS else "verse010")
    without_l3 = (*masks[:2], *masks[3:])
    assert contradiction(without_l3) is None
    closed = (*masks[:2], *numbered(masks[3:], Level.L3.verse))
    assert "room for a vertebra between" in str(contradiction(closed))
    opened = (*numbered(masks[:2], Level.T11.verse), *masks[2:])
    assert "without room" in str(contradiction(opened))


@pytest.mark.parametrize("spacing", [1.5, 3.0])
def test_phantoms_pass(spacing: float) -> None:
    assert contradiction(masks_of(lumbar(spacing))) is None


def test_the_tip_of_a_process_at_the_scans_edge_is_no_vertebra_in_the_wrong_place() -> None:
    """Of the uppermost vertebra the scan holds the end of its spinous process, which hangs below
    the next one's body."""
    first, *rest = masks_of(lumbar(3.0))
    x, y, z = rest[0].vertebra.centroid_lps_mm
    few = np.zeros_like(first.body)
    few[:2, -4:, :4] = 1
    moved = replace(first.vertebra, centroid_lps_mm=(x, y + 50, z - 8))
    tip = replace(first, vertebra=moved, body=few, arch=0 * first.arch, touches_edge=True)
    assert name_remarks([tip, *rest], settled=False) == name_remarks(rest, settled=False)
    whole = replace(first, vertebra=moved, touches_edge=True)
    with pytest.raises(InputError, match="lies below what it names"):
        name_remarks([whole, *rest], settled=False)
