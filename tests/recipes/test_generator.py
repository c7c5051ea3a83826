"""Composites of the generator, from masks that a phantom lends: no shared data is needed."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage as ndi

from models.recipes.cases import Labelled
from models.recipes.generator import ComposeOptions, ShapeBank, compose, load_bank
from models.recipes.generator.ideal import ideal_shape
from models.recipes.generator.write import write_composites
from models.recipes.shapes import ARCH, BODY
from vfx_edge.phantom import Part, PhantomSpec, make_phantom
from vfx_edge.phantom.levels import size_of

LEVELS = {19: "T12", 20: "L1", 21: "L2", 22: "L3"}
PLAIN = ComposeOptions(
    views=(("L1", "L2", 1.0),),
    wide_field_rate=0.0,
    narrow_mm=(110.0, 116.0),
    warp_mm=(0.4, 0.5),
    fracture_rate=0.0,
    lesion_rate=0.0,
    transition_rate=0.0,
    screw_rate=0.0,
    wire_rate=0.0,
    bridge_rate=0.0,
    osteophyte_rate=0.0,
    circle_rate=0.0,
    beyond_ends_rate=0.0,
    random_contrast_rate=0.0,
)


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mask without CT in VerSe's layout: each arch has a knob on the patient's left."""
    spec = PhantomSpec(levels=("T11", "L4"), matrix=(90, 80), margin_mm=(-8.0, 8.0))
    phantom = make_phantom(spec)
    labels = phantom.labels.copy()
    labels[~np.isin(phantom.parts, (Part.BODY, Part.POSTERIOR))] = 0
    for verse in (19, 20, 21, 22):
        z, y, x = (int(v) for v in np.argwhere(labels == verse).mean(0))
        knob = np.zeros(labels.shape, bool)
        knob[z - 4 : z + 5, y : y + 9, x + 10 : x + 21] = True
        labels[knob & (labels == 0)] = verse
    image = sitk.GetImageFromArray(labels.astype(np.uint8))
    image.SetSpacing((1.5, 1.5, 1.5))
    folder = tmp_path_factory.mktemp("verse") / "derivatives" / "sub-one"
    folder.mkdir(parents=True)
    # Stored towards the right, front and feet: the reader must bring it home.
    path = folder / "sub-one_seg-vert_msk.nii.gz"
    sitk.WriteImage(sitk.DICOMOrient(image, "RAI"), str(path))
    return path


@pytest.fixture(scope="module")
def bank(mask: Path) -> ShapeBank:
    return load_bank(mask.parents[2])


def test_a_folder_of_masks_becomes_a_bank_of_whole_vertebrae(bank: ShapeBank) -> None:
    verses = {shape.verse for shape in bank.shapes}
    assert {19, 20, 21, 22} <= verses
    assert 18 not in verses  # the picture ends in T11
    for shape in bank.shapes:
        size = size_of(shape.level)
        assert shape.frame.height_mm == pytest.approx(size.height_mm, abs=2.5)
        assert shape.frame.depth_mm == pytest.approx(size.depth_mm, rel=0.17)


def test_sources_can_be_left_out(mask: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no vertebra masks"):
        load_bank(mask.parents[2], without=["sub-one"])


@pytest.fixture(scope="module")
def made(bank: ShapeBank) -> dict[int, Labelled]:
    return {seed: compose(seed, bank, PLAIN) for seed in (1, 2)}


def test_the_same_seed_gives_the_same_bytes(bank: ShapeBank, made: dict[int, Labelled]) -> None:
    first, again, other = made[1], compose(1, bank, PLAIN), made[2]
    assert first.case.hu is not None
    assert other.case.hu is not None
    for name in ("hu", "verse", "part"):
        assert getattr(first.case, name).tobytes() == getattr(again.case, name).tobytes()
    assert first.case.hu.tobytes() != other.case.hu.tobytes()
    assert (first.case.name, first.real) == ("compose1", False)


@pytest.mark.parametrize("seed", [1, 2])
def test_vertebrae_stand_in_order_whole_and_apart(made: dict[int, Labelled], seed: int) -> None:
    case, centres = made[seed].case, made[seed].centres
    cut = {int(v) for face in (case.verse[0], case.verse[-1]) for v in np.unique(face)}
    seen = [v for v in sorted(centres) if v in LEVELS and v not in cut]
    assert case.hu is not None
    assert len(seen) >= 2
    for above, below in pairwise(seen):
        gap = centres[above] - centres[below]
        usual = size_of(LEVELS[above]).gap_below_mm
        assert gap[0] > 0, "labels run from head to foot"
        assert np.linalg.norm(gap) * case.spacing_mm == pytest.approx(usual, rel=0.3)
        touching = ndi.binary_dilation(case.verse == above) & (case.verse == below)
        assert touching.sum() < 0.005 * (case.verse == below).sum(), "neighbours have run together"
    for verse in seen:
        whole = case.verse == verse
        body, arch = whole & (case.part == BODY), whole & (case.part == ARCH)
        assert (ndi.binary_dilation(body) & arch).sum() > 30, "the pedicles join body and arch"
        pieces = ndi.label(whole, np.ones((3, 3, 3)))[0]
        assert np.bincount(pieces.ravel())[1:].max() > 0.97 * whole.sum(), "floating bone"
        assert np.argwhere(body).mean(0) == pytest.approx(centres[verse], abs=0.01)
        inside, around = case.hu[whole].mean(), case.hu[ndi.binary_dilation(whole, iterations=4)]
        assert inside > np.median(around), "bone is denser than what surrounds it"


def test_left_stays_left(made: dict[int, Labelled]) -> None:
    case, centres = made[1].case, made[1].centres
    for verse in (20, 21):
        arch = np.argwhere((case.verse == verse) & (case.part == ARCH))
        beside = arch[:, 2] - centres[verse][2]
        assert (beside > 8).sum() > 1.15 * (beside < -8).sum()


def test_levels_without_a_donor_get_the_ideal_shape(bank: ShapeBank) -> None:
    made = compose(6, bank, replace(PLAIN, views=(("C2", "C4", 1.0),)))
    assert {2, 3} <= set(made.centres)
    assert ideal_shape(3).source == "phantom"


def test_written_cases_are_kept(bank: ShapeBank, tmp_path: Path) -> None:
    path = tmp_path / "compose_00007.npz"
    path.write_bytes(b"there already")
    write_composites(tmp_path, [7], bank, PLAIN)
    assert path.read_bytes() == b"there already"
