"""What an answer depends on: the map lies where the patient has it, and is the network's own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tests.spine.nets import network, spec_of
from tests.spine.test_classify import BROKEN, CENTRE, mask
from tests.spine.test_slices import sliced
from tests.spine.world import affine_of, places, turned, volume_of
from vfx_edge.backends.protocol import Array, Network
from vfx_edge.image import Image
from vfx_edge.manifest import NetworkSpec, SlicesSpec
from vfx_edge.spine.classify import classify_fractures
from vfx_edge.spine.crops import crops_of
from vfx_edge.spine.explain import (
    BOX_MM,
    STRIDE_MM,
    explain,
    explain_findings,
    middles_of,
    plain_crop,
)
from vfx_edge.spine.slice_distance import maps_back, put_back
from vfx_edge.study import Classified, Level, NotClassified

LESION = (CENTRE[0] + 13, CENTRE[1] - 13, CENTRE[2] + 13)
"""To the left, in front, towards the head: nowhere else whichever axis is turned round."""
COARSE: dict[str, Any] = {"patch_zyx": (32, 32, 32), "spacing": 2.0, "hu_offset": 0.0,
                          "hu_scale": 1000.0}  # fmt: skip
SHAPE = (40, 80, 80)
SPINE = (mask(), mask(Level.L2, (CENTRE[0], CENTRE[1], CENTRE[2] - 28)))


def scan(degrees: tuple[float, float, float] = (0, 0, 0), lesion_hu: float = 900) -> Image:
    """Soft tissue, balls of bone of 200 HU, and a dense lesion with a radius of 6 mm."""
    affine = affine_of((2.5, 1.2, 1.2), CENTRE, SHAPE, turned(degrees))
    at = places(affine, SHAPE)
    hu = np.full(SHAPE, 40.0)
    for one in SPINE:
        hu[np.linalg.norm(at - one.vertebra.centroid_lps_mm, axis=-1) < 8] = 200
    hu[np.linalg.norm(at - np.array(LESION), axis=-1) < 6] = lesion_hu
    return volume_of(hu, affine)


def sees_dense(spec: NetworkSpec, batch: Array) -> Array:
    """Malignant by how much of the crop is dense, wherever that lies."""
    dense = np.maximum(batch[:, 0] - 0.5, 0).sum((1, 2, 3))
    logits = np.zeros((len(batch), 3), np.float32)
    logits[:, 1] = dense / 8 - 1
    logits[:, 2] = -9
    return logits


def classifier(function: Any = sees_dense, **more: Any) -> Network:
    return network(spec_of("classifier", **{**COARSE, **more}), function)


@pytest.mark.parametrize(("orientation", "transpose"), [("SPL", (0, 1, 2)), ("RAI", (2, 0, 1))])
@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, 8, -20)])
def test_the_map_is_largest_where_the_lesion_lies(
    orientation: str, transpose: tuple[int, int, int], degrees: tuple[float, float, float]
) -> None:
    """A network that knows dense bone, fed by axes of its own: no axis comes back turned round."""
    asked = classifier(orientation=orientation, transpose=transpose)
    got = explain(scan(degrees), SPINE[0], SPINE, asked)
    assert got.said.largest_change > 0.3
    np.testing.assert_allclose(got.said.largest_at_lps_mm, LESION, atol=STRIDE_MM / 2)
    top = np.argwhere(got.change.values == np.nanmax(got.change.values))
    np.testing.assert_allclose(got.change.to_lps(top).mean(0), LESION, atol=STRIDE_MM / 2)


def test_what_lies_for_and_against_has_its_sign() -> None:
    asked = classifier(lambda spec, batch: -sees_dense(spec, batch))
    got = explain(scan(), SPINE[0], SPINE, asked)
    assert got.said.largest_change < -0.3
    np.testing.assert_allclose(got.said.largest_at_lps_mm, LESION, atol=STRIDE_MM / 2)


def test_boxes_cover_the_middle_and_their_number_is_bounded() -> None:
    middles = middles_of((64, 64, 64), 1.0)
    assert len(middles) == 57
    covered = np.zeros((64, 64, 64), np.bool_)
    for middle in middles:
        low, high = np.ceil(middle - BOX_MM / 2).astype(int), np.ceil(middle + BOX_MM / 2)
        covered[tuple(slice(max(a, 0), int(b)) for a, b in zip(low, high, strict=True))] = True
    far = np.linalg.norm(np.moveaxis(np.indices(covered.shape), 0, -1) - 31.5, axis=-1)
    assert covered[far <= 27].all()
    assert len(middles_of((200, 200, 200), 0.5)) == 57
    assert len(middles_of((3, 64, 64), 1.0)) == 21, "three slices have one layer"
    np.testing.assert_array_equal(middles_of((1, 1, 1), 900.0), [[0, 0, 0]])


def test_a_hidden_place_shows_its_own_tissue() -> None:
    """Of the neighbours, not of the vertebra itself, which may be all lesion."""
    volume = scan()
    spec = classifier().spec
    plain = plain_crop(volume, SPINE[0], SPINE, spec)
    values, counts = np.unique(plain, return_counts=True)
    assert values == pytest.approx([0.04, 0.2], abs=0.02)
    bone_mm3 = counts[1] * spec.input.spacing_mm**3
    assert bone_mm3 == pytest.approx(2 * 4 / 3 * np.pi * 8**3, rel=0.35)  # the lower one is cut


def test_beyond_the_end_of_the_scan_nothing_is_hidden() -> None:
    whole = scan()
    image = Image(whole.values[:23], whole.affine_zyx_to_lps, "CT", "HU")
    spec = classifier().spec
    (shown,) = crops_of(image, SPINE[:1], SPINE, spec)
    plain = plain_crop(image, SPINE[0], SPINE, spec)
    air = spec.input.normalise(np.array(-1024.0))
    outside = shown == air
    assert outside.mean() > 0.3
    np.testing.assert_array_equal(plain[outside], shown[outside])
    assert np.median(plain[~outside]) == pytest.approx(0.04, abs=0.02)


def test_a_network_that_sees_the_vertebra_alone_gets_padding_around_it() -> None:
    spec = classifier(mask="vertebra", padding_hu=-1000.0).spec
    plain = plain_crop(scan(), SPINE[0], SPINE, spec)
    assert plain.min() == spec.input.normalise(np.array(-1000.0))
    assert np.unique(plain)[1:] == pytest.approx([0.2], abs=0.02)


def test_it_starts_from_the_answer_that_is_shown_and_tells_of_what_was_asked() -> None:
    asked = classifier()
    got = [replace(BROKEN), replace(BROKEN, suspected_by_heights=False, height_loss=0.0)]
    findings = classify_fractures(
        scan(), SPINE, got, asked, lambda _, m: bool(m.suspected_fracture)
    )
    told, maps = explain_findings(scan(), findings, SPINE, asked)
    assert isinstance(findings[0].assessment, Classified)
    assert isinstance(findings[1].assessment, NotClassified)
    assert [one.level for one in maps] == [Level.L1]
    assert told[1] == findings[1]
    said = told[0].explained
    assert said is not None
    assert replace(told[0], explained=None) == findings[0]
    assert said.p_malignant == pytest.approx(findings[0].assessment.p_malignant, abs=1e-6)
    assert said.unlike == 0


def test_where_the_hidden_crop_is_strange_to_the_network_it_says_so() -> None:
    def startled(spec: NetworkSpec, batch: Array) -> Array:
        logits = sees_dense(spec, batch)
        logits[:, 2] = np.where(np.isclose(batch[:, 0], 0.9, atol=0.05).any((1, 2, 3)), -9, 9)
        return logits

    said = explain(scan(), SPINE[0], SPINE, classifier(startled)).said
    assert said.unlike is not None
    assert 0 < said.unlike < 0.2  # only with the lesion hidden

    known = replace_struct(spec_of("classifier", **COARSE), output=replace_struct(
        spec_of("classifier").output, classes=("osteoporotic", "malignant")))  # fmt: skip
    two = network(known, lambda spec, batch: sees_dense(spec, batch)[:, :2])
    assert explain(scan(), SPINE[0], SPINE, two).said.unlike is None


def test_maps_go_back_to_where_the_file_has_them() -> None:
    """Of a scan that was looked at with its slices farther apart than the file says."""
    seen = scan()
    affine = seen.affine_zyx_to_lps.copy()
    affine[:3, 0] /= 2
    image = Image(seen.values, affine, "CT", "HU")
    asked = classifier()
    findings = classify_fractures(seen, SPINE, [BROKEN, BROKEN], asked, lambda *_: True)
    findings, maps = explain_findings(seen, findings, SPINE, asked)
    back, _ = put_back(findings, SPINE, seen, image)
    (moved, _) = maps_back(maps, back, seen, image)
    assert moved.said == back[0].explained
    voxel = seen.to_zyx(np.array([maps[0].said.largest_at_lps_mm]))
    np.testing.assert_allclose(image.to_zyx(np.array([moved.said.largest_at_lps_mm])), voxel)
    index = np.array([[3.0, 5.0, 7.0]])
    there = seen.to_zyx(maps[0].change.to_lps(index))
    np.testing.assert_allclose(image.to_zyx(moved.change.to_lps(index)), there, atol=1e-9)


class Small:
    """Filters, ReLU, and a weight for what each of them sees at each place."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._filters = rng.normal(size=(4, 3, 3, 3))
        self._weights: NDArray[Any] = rng.normal(size=4 * 10**3) / 10

    def teach(self, crops: Array, malignant: Array) -> None:
        """Ridge regression on labelled crops (n, z, y, x)."""
        seen = self._seen(crops)
        inner = seen @ seen.T + 0.1 * np.eye(len(seen))
        self._weights = 4 * seen.T @ np.linalg.solve(inner, malignant - 0.5)

    def __call__(self, spec: NetworkSpec, batch: Array) -> Array:
        logits = np.full((len(batch), 3), -9.0, np.float32)
        logits[:, 0], logits[:, 1] = 0, self._seen(batch[:, 0]) @ self._weights
        return logits

    def _seen(self, crops: Array) -> Array:
        windows = sliding_window_view(crops, (3, 3, 3), (1, 2, 3))[:, ::3, ::3, ::3]
        seen = np.einsum("nzyxabc,kabc->nkzyx", windows, self._filters, optimize=True)
        return np.asarray(np.maximum(seen, 0).reshape(len(crops), -1))


def examples_of(rng: np.random.Generator, many: int) -> tuple[Array, Array]:
    """Crops as `classifier` sees them, every second one with a lesion of `scan` in the body."""
    at = np.moveaxis(np.indices((32, 32, 32)), 0, -1) - 15.5
    crops = rng.normal(0.04, 0.02, (many, 32, 32, 32)).astype(np.float32)
    crops[:, np.linalg.norm(at, axis=-1) < 4] += 0.16
    for crop in crops[::2]:
        crop[np.linalg.norm(at - rng.uniform(-9, 9, 3), axis=-1) < 3] = 0.9
    return crops, np.arange(many) % 2 == 0


def rank_correlation(one: Array, other: Array) -> float:
    known = np.isfinite(one)
    return float(spearmanr(one[known], other[known]).statistic)


def test_a_network_with_random_weights_gives_another_map() -> None:
    """The sanity check of Adebayo et al. (NeurIPS 2018): a map that stays when the weights are
    drawn anew shows the image, not the network."""
    volume = scan()

    def map_of(function: Small) -> Array:
        asked = classifier(function, parameters={"mirror": 0})
        return explain(volume, SPINE[0], SPINE, asked).change.values

    rng = np.random.default_rng(3)
    taught = Small(rng)
    taught.teach(*examples_of(rng, 160))
    known = map_of(taught)
    assert np.nanmax(known) > 0.2, "it was not taught"
    random = [map_of(Small(np.random.default_rng(seed))) for seed in range(8)]
    alike = [abs(rank_correlation(known, one)) for one in random]
    assert all(np.nanmax(np.abs(one)) > 0.01 for one in random), "a network that answers nothing"
    assert rank_correlation(known, map_of(taught)) == pytest.approx(1)
    assert max(alike) < 0.8, alike
    assert np.median(alike) < 0.5, alike


def test_a_network_that_sees_slices_has_maps_too() -> None:
    """Each answer is the mean of its slices': the map is largest where the lesion lies."""
    spec = sliced(slices=SlicesSpec(distance_mm=2.0, triplets=14, step_mm=4.0))
    crop_of = replace_struct(spec.input, patch_zyx=(32, 32, 32), spacing=2.0, hu_clip=(-1024, 3071),
                             hu_offset=0.0, hu_scale=1000.0)  # fmt: skip

    def sees(_: NetworkSpec, batch: Array) -> Array:
        p = 0.1 + np.minimum(np.maximum(batch - 0.5, 0).sum((1, 2, 3)) / 40, 0.8)
        return np.stack([1 - p, p], 1)

    asked = network(replace_struct(spec, input=crop_of), sees)
    got = explain(scan(), SPINE[0], SPINE, asked)
    assert got.said.largest_change > 0.01
    np.testing.assert_allclose(got.said.largest_at_lps_mm, LESION, atol=STRIDE_MM / 2)
