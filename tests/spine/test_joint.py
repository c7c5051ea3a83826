"""A network that names and outlines at once, moved over the spine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from tests.fake_backend import FakeNetwork
from tests.spine.nets import models, network, spec_of
from tests.spine.world import FACTS, lumbar, masks_of, volume_of
from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import OpenModels
from vfx_edge.backends.budget import batch_limit
from vfx_edge.backends.errors import BudgetTooSmall
from vfx_edge.backends.protocol import Budget
from vfx_edge.image import Image
from vfx_edge.inference.sliding_window import AnswerOverflows
from vfx_edge.manifest import ManifestInvalid, NetworkSpec, WindowSpec, load_model_set
from vfx_edge.phantom import Phantom
from vfx_edge.spine.chain import analyze
from vfx_edge.spine.joint import (
    label_spine,
    outline_vertebrae,
    spine_boxes,
)
from vfx_edge.spine.locate import SpineRegion
from vfx_edge.study import Level, Scan

NAMES = ("background", "T11", "T12", "L1", "L2", "L3", "L4")
FIRST_HU, STEP_HU = 400.0, 100.0


def joined(**input_: Any) -> NetworkSpec:
    """A spec for labeller and segmenter together; its network's numbers are HU / 100."""
    spacing = input_.pop("spacing", (2.0, 2.0, 2.0))
    given: dict[str, Any] = {
        "hu_clip": (-1000.0, 3000.0), "hu_offset": 0.0, "hu_scale": 100.0, "channels": 1,
        "patch_zyx": (48, 32, 32), "spacing": spacing, **input_,
    }  # fmt: skip
    spec = spec_of("segmenter", **given)
    return structs.replace(
        spec,
        roles=("labeller", "segmenter"),
        output=structs.replace(spec.output, classes=NAMES),
        window=WindowSpec(step=0.5, image_order=3, answer_order=1, separate=True),
    )


def nearest_code(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
    """Logits: minus the distance to each class's HU, which for the background is 0."""
    codes = np.array([0.0, *(FIRST_HU + STEP_HU * i for i in range(len(NAMES) - 1))]) / 100
    return -4 * np.abs(batch[:, 0, None] - codes[:, None, None, None]).astype(np.float32)


def coded(made: Phantom) -> np.ndarray:
    hu = np.full(made.hu.shape, 40.0)
    for i, name in enumerate(NAMES[1:]):
        hu[made.labels == Level(name).verse] = FIRST_HU + STEP_HU * i
    return hu


@pytest.fixture(scope="module")
def made() -> Phantom:
    return lumbar(2.0)


@pytest.fixture(scope="module")
def volume(made: Phantom) -> Image:
    return volume_of(coded(made), made.affine_zyx_to_lps)


def region(made: Phantom) -> SpineRegion:
    return SpineRegion(np.array([t.centroid_lps_mm for t in made.truth.levels], np.float64))


def everywhere(volume: Image) -> list[tuple[slice, slice, slice]]:
    a, b, c = (slice(0, n) for n in volume.values.shape)
    return [(a, b, c)]


def net(spec: NetworkSpec) -> FakeNetwork:
    return network(spec, nearest_code)


def test_masks_and_levels_are_the_phantoms_own(made: Phantom, volume: Image) -> None:
    masks = outline_vertebrae(volume, region(made), net(joined()))
    truth = {m.vertebra.level: m for m in masks_of(made)}
    assert [m.vertebra.level.value for m in masks] == list(NAMES[1:])
    for mask in masks:
        gap = np.subtract(mask.vertebra.centroid_lps_mm,
                          truth[mask.vertebra.level].vertebra.centroid_lps_mm)  # fmt: skip
        assert np.linalg.norm(gap) < 4
        assert 0.5 < mask.vertebra.label_probability < 1


@pytest.mark.parametrize("around", [9.0, -9.0])
def test_of_regions_the_last_counts_and_what_none_covers_is_background(
    around: float, volume: Image
) -> None:
    """A region about all the others is surer of itself than they are, or nowhere."""
    labels = joined()
    output = structs.replace(labels.output, classes=("spine", *NAMES[1:]), activation="sigmoid")
    regions = structs.replace(labels, output=output)

    def paint(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        levels = nearest_code(spec, batch)[:, 1:] + 2  # above 0 within half a step
        return np.concatenate([np.full_like(batch, around), levels], 1)

    depth, height, width = volume.values.shape
    middle = [(slice(0, depth), slice(height // 2 - 9, height // 2 + 9), slice(0, width))]
    truth, found = (label_spine(volume, middle, n) for n in (net(labels), network(regions, paint)))
    assert (found.labels == truth.labels).mean() > 0.999
    assert len(np.unique(found.labels)) == len(NAMES)


@pytest.mark.parametrize(
    ("orientation", "transpose"), [("SAR", (0, 1, 2)), ("IPR", (2, 0, 1)), ("LAS", (1, 2, 0))]
)
def test_networks_may_ask_for_any_axes(
    orientation: str, transpose: tuple[int, int, int], volume: Image
) -> None:
    plain = label_spine(volume, everywhere(volume), net(joined(spacing=(2.6, 2.6, 2.6))))
    odd = joined(
        orientation=orientation, transpose=transpose, spacing=(2.6, 2.6, 2.6), patch_zyx=(32,) * 3
    )
    turned_ = label_spine(volume, everywhere(volume), net(odd))
    assert (plain.labels == turned_.labels).mean() > 0.999
    assert len(np.unique(plain.labels)) == len(NAMES)


def test_thick_slices_of_network_and_scan(made: Phantom) -> None:
    """Half a slice is lost at most, whichever of the two is thick, and along whichever axis."""
    hu = coded(made)
    fine = volume_of(hu, made.affine_zyx_to_lps)
    truth = label_spine(fine, everywhere(fine), net(joined())).labels
    odd = joined(spacing=(6.2, 2.0, 2.0), transpose=(1, 0, 2), patch_zyx=(16, 48, 48))
    got = label_spine(fine, everywhere(fine), net(odd)).labels
    assert (got == truth).mean() > 0.93
    assert set(np.unique(got)) == set(np.unique(truth))


def test_only_the_spine_is_looked_at(made: Phantom, volume: Image) -> None:
    """Tiles far from it are not run; about it the answers are those of a whole run."""
    spec = joined(patch_zyx=(24, 16, 16))
    line = SpineRegion(region(made).centreline_lps_mm[2:3])
    boxes = spine_boxes(volume, line)
    assert len(boxes) == 1
    some, every = (label_spine(volume, where, net(spec)) for where in (boxes, everywhere(volume)))
    inside = np.zeros(volume.values.shape, np.bool_)
    inside[boxes[0]] = True
    assert (some.labels == every.labels)[inside].all()
    assert not some.labels[~inside].any()
    assert 0 < some.tiles[0] < every.tiles[0] == every.tiles[1] == some.tiles[1]
    assert not every.cut_off


def test_a_vertebra_at_the_end_of_what_is_looked_at_counts_as_cut(
    made: Phantom, volume: Image
) -> None:
    """Where the scan goes on, but the locator saw no spine any more."""
    near = [truth for truth in made.truth.levels if truth.level in ("T12", "L1")]
    line = SpineRegion(np.array([truth.centroid_lps_mm for truth in near], np.float64))
    cut = {m.vertebra.level.value: m for m in outline_vertebrae(volume, line, net(joined()))}
    whole = {m.vertebra.level.value: m
             for m in outline_vertebrae(volume, region(made), net(joined()))}  # fmt: skip
    for name in ("T12", "L1"):
        assert cut[name].touches_edge == whole[name].touches_edge
        assert cut[name].body.shape == whole[name].body.shape
    ends = {name for name, mask in cut.items() if mask.touches_edge} - {"T12", "L1"}
    assert ends
    assert not any(cut[name].vertebra.wholly_in_view for name in ends)
    assert not any(whole[name].touches_edge for name in ends)


def test_zeros_around_the_scan_do_not_count(volume: Image) -> None:
    """nnU-Net crops to what is not zero before it resamples: tiles then lie elsewhere."""
    framed = np.pad(volume.values, ((5, 3), (7, 0), (0, 9)))
    affine = volume.affine_zyx_to_lps.copy()
    affine[:3, 3] -= affine[:3, :3] @ [5, 7, 0]
    spec = joined(spacing=(3.1, 3.1, 3.1))
    plain = label_spine(volume, everywhere(volume), net(spec)).labels
    other = volume_of(framed, affine)
    got = label_spine(other, everywhere(other), net(spec)).labels
    assert (got == np.pad(plain, ((5, 3), (7, 0), (0, 9)))).all()


def test_a_scan_smaller_than_a_tile_is_filled_up_with_the_mean(volume: Image) -> None:
    corner = volume_of(np.array(volume.values[:20, :20, :20]), volume.affine_zyx_to_lps)
    seen: list[np.ndarray] = []

    def look(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return nearest_code(spec, batch)

    label_spine(corner, everywhere(corner), network(joined(patch_zyx=(31, 20, 20)), look))
    (batch,) = seen
    assert not batch[0, 0, :5].any()
    assert not batch[0, 0, 25:].any()
    np.testing.assert_allclose(batch[0, 0, 5:25], corner.values / 100, atol=1e-6)


def test_sums_beyond_half_precision_are_refused(volume: Image) -> None:
    huge = network(joined(), lambda spec, batch: np.float32(1e5) * nearest_code(spec, batch))
    with pytest.raises(AnswerOverflows, match="too large to be summed"):
        label_spine(volume, everywhere(volume), huge)


def chain(volume: Image, spec: NetworkSpec) -> OpenModels:
    """Locator by threshold, the joined network, and a classifier nobody asks."""

    def function(of: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        if of.window is not None:
            return nearest_code(of, batch)
        if of.roles == ("locator",):
            spine = np.clip((batch[:, 0] - 1.0) / 0.5, 0, 1)
            return np.stack([1 - spine, spine], 1)
        raise AssertionError(f"{of.roles} is not needed")

    locator = spec_of("locator", hu_offset=0.0, hu_scale=100.0)
    opened = models(function, locator=locator)
    whole = network(spec, function)
    return replace(opened, networks={**opened.networks, "labeller": whole, "segmenter": whole})


def test_the_chain_goes_from_locator_to_masks(volume: Image) -> None:
    stages: list[str] = []
    analysis = analyze(Scan(volume, FACTS), chain(volume, joined()), on_stage=stages.append)
    assert stages == ["locate", "segment", "measure", "classify"]
    assert {f.vertebra.level.value for f in analysis.result.findings} == set(NAMES[1:])
    assert analysis.result.run.seconds["label"] == 0


@pytest.mark.parametrize(
    ("roles", "window", "words"),
    [
        ("segmenter", "", "for the roles labeller and segmenter together"),
        ("labeller+segmenter", "step = 2", "'step' is 2 and must be a number from 0.1 to 1"),
        ("labeller+segmenter", "image_order = 2", "'image_order' is 2 and must be one of 1, 3"),
        ("labeller+segmenter", "stride = 0.5", "'stride' is unknown"),
        ("segmenter", None, "spacing_mm must be one number where there is no"),
    ],
)
def test_manifests_that_cannot_be_meant(
    roles: str, window: str | None, words: str, tmp_path: Path
) -> None:
    folder = with_axes(tmp_path / "set", roles, window)
    with pytest.raises(ManifestInvalid, match=words):
        load_model_set(folder)


def with_axes(folder: Path, roles: str, window: str | None) -> Path:
    """A set whose network has a spacing of its own along each axis."""
    names = {roles: ("background", "L1", "L2")}
    networks = {roles: tiny_segmenter()}
    write_set(folder, networks, base="default", classes=names, window=window)
    text = (folder / "manifest.toml").read_text()
    text = text.replace("spacing_mm = 3.0", "spacing_mm = [3.0, 1.0, 1.0]")
    (folder / "manifest.toml").write_text(text)
    return folder


def test_a_manifest_with_a_window(tmp_path: Path) -> None:
    folder = with_axes(tmp_path / "set", "labeller+segmenter", "")
    spec = load_model_set(folder).network("segmenter")
    assert spec.window == WindowSpec(step=0.5, image_order=3, answer_order=1, separate=True)
    assert spec.input.spacing_zyx_mm == (3.0, 1.0, 1.0)
    assert load_model_set().network("segmenter").input.spacing_zyx_mm == (1.5, 1.5, 1.5)


def test_one_tile_of_a_real_nnunet_fits_the_hosts_budget() -> None:
    batch = structs.replace(joined().batch, min=1, opt=1, activation_mib=2096.0)
    spec = structs.replace(joined(), batch=batch)
    assert batch_limit(spec, Budget(), gpu=False) == 1
    with pytest.raises(BudgetTooSmall):
        batch_limit(structs.replace(spec, window=None), Budget(), gpu=False)
