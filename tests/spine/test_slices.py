"""Three neighbouring sagittal slices at a time: which ones, in what order, and what is made of
the answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from tests.fake_backend import FakeNetwork
from tests.spine.nets import network, spec_of
from tests.spine.test_classify import BROKEN, CENTRE, mask
from tests.spine.world import affine_of, places
from vfx_edge.image import Image
from vfx_edge.inference.slices import averaged, triplets
from vfx_edge.manifest import NetworkSpec, SlicesSpec, load_model_set
from vfx_edge.manifest.errors import ManifestInvalid
from vfx_edge.spine.classify import classify_fractures
from vfx_edge.study import Classified, Level
from vfx_edge.vocabulary import T1_TO_L5

SLICES = SlicesSpec(distance_mm=2.0, triplets=5, step_mm=3.0)
PER_MM = np.array([20.0, 3.0, -1.0])
"""HU a millimetre to the left, the back, the head: no axis can pass for another one."""


def sliced(orientation: str = "LIP", slices: SlicesSpec = SLICES, **parameters: Any) -> NetworkSpec:
    """A classifier that reads slices; its numbers are HU."""
    spec = spec_of(
        "classifier", patch_zyx=(21, 12, 14), spacing=1.0, channels=3, orientation=orientation,
        transpose=(0, 1, 2), mask="none", hu_offset=0.0, hu_scale=1.0, interpolation="linear",
        padding_hu=-1024.0,
        parameters={"levels": T1_TO_L5, "mirror": 0, "centre": "middle", "threshold_unknown": 1.0,
                    **parameters},
    )  # fmt: skip
    answer = replace(spec.output, classes=("osteoporotic", "malignant"), activation="none")
    return replace(spec, slices=slices, output=answer)


def lopsided() -> Image:
    """A scan whose HU tell where one is."""
    affine = affine_of((1.0, 1.0, 1.0), CENTRE, (60, 60, 60))
    return Image((places(affine, (60, 60, 60)) - np.array(CENTRE)) @ PER_MM, affine, "CT", "HU")


def reading(spec: NetworkSpec) -> tuple[FakeNetwork, list[np.ndarray]]:
    """A network that says how far to the left its middle slice lies: 0.5 in the middle, 1 at 20 mm.
    And what it was shown."""
    seen: list[np.ndarray] = []

    def answer(_: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        p = 0.5 + batch[:, 1].mean((1, 2)) / PER_MM[0] / 40
        return np.stack([1 - p, p], 1)

    return network(spec, answer), seen


def answers(net: FakeNetwork) -> Classified:
    (found,) = classify_fractures(lopsided(), [mask()], [BROKEN], net, lambda *_: True)
    assert isinstance(found.assessment, Classified)
    return found.assessment


def test_the_network_sees_sagittal_slices_from_right_to_left() -> None:
    """Rows run to the feet, columns to the back, as the manifest's LIP says."""
    net, seen = reading(sliced())
    answers(net)
    (batch,) = seen
    assert batch.shape == (5, 3, 12, 14)
    to_left = np.diff(batch, axis=1)
    np.testing.assert_allclose(to_left, PER_MM[0] * SLICES.distance_mm, atol=0.02)
    np.testing.assert_allclose(np.diff(batch, axis=2), -PER_MM[2], atol=0.02)
    np.testing.assert_allclose(np.diff(batch, axis=3), PER_MM[1], atol=0.02)
    np.testing.assert_allclose(np.diff(batch, axis=0), PER_MM[0] * SLICES.step_mm, atol=0.02)


@pytest.mark.parametrize("orientation", ["LIP", "RIP"])
@pytest.mark.parametrize("mirror", [0, 1])
def test_each_triplet_answers_for_its_own_place(orientation: str, mirror: int) -> None:
    """Whichever way the network's axis runs, and in the mirror image, too, where its slices lie
    the other way round."""
    net, _ = reading(sliced(orientation, mirror=mirror))
    found = answers(net)
    assert [one.left_mm for one in found.slices] == [-6.0, -3.0, 0.0, 3.0, 6.0]
    wanted = [0.5 + one.left_mm / 40 for one in found.slices]
    assert [one.p_malignant for one in found.slices] == pytest.approx(wanted, abs=2e-4)
    assert found.p_malignant == pytest.approx(0.5, abs=2e-4)


def test_a_slice_between_two_voxels_is_their_mixture() -> None:
    spec = sliced(slices=SlicesSpec(distance_mm=0.5, triplets=2, step_mm=0.5))
    ramp = np.broadcast_to(np.arange(21, dtype=np.float32), (12, 14, 21))
    found = triplets(ramp, spec)
    np.testing.assert_allclose(found[:, :, 0, 0], [[9.25, 9.75, 10.25], [9.75, 10.25, 10.75]])


def test_one_odd_slice_moves_the_mean_and_not_the_median() -> None:
    each = np.array([[0.8, 0.2]] * 4 + [[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(averaged(each, SLICES), [0.64, 0.36], atol=1e-6)
    median = replace(SLICES, average="median")
    np.testing.assert_allclose(averaged(each, median), [0.8, 0.2], atol=1e-6)


def test_no_slices_where_the_network_sees_the_whole_crop() -> None:
    spec = replace(sliced(), slices=None)
    spec = replace(spec, input=replace(spec.input, channels=1))
    net = network(spec, lambda _, batch: np.tile([[0.2, 0.8]], (len(batch), 1)))
    assert answers(net).slices == ()


MANIFEST = """\
schema = "vfx-edge/model/1"
name = "sliced"
version = "1"
base = "default"
intended_use = "research"
licence = "none"
training_data = "none"
summary = "A test's."

[[network]]
roles = ["classifier"]
name = "sliced"
file = "n.onnx"
sha256 = "{sha}"
[network.input]
name = "crop"
channels = {channels}
patch_zyx = [{depth}, 12, 14]
spacing_mm = 1.0
orientation = "{orientation}"
hu_clip = [-300.0, 1200.0]
hu_offset = 0.0
hu_scale = 1.0
padding_hu = -1024.0
[network.output]
name = "answer"
classes = ["osteoporotic", "malignant"]
activation = "softmax"
[network.slices]
distance_mm = 2.0
[network.parameters]
threshold_malignant = 0.5
threshold_osteoporotic = 0.5
levels = ["{level}"]
"""


def manifest(folder: Path, **changes: object) -> NetworkSpec:
    given = {"sha": "0" * 64, "channels": 3, "depth": 21, "orientation": "LIP", "level": Level.L1}
    (folder / "manifest.toml").write_text(MANIFEST.format(**{**given, **changes}))
    (folder / "n.onnx").touch()
    return load_model_set(folder).network("classifier")


def test_a_manifest_says_how_slices_are_taken(tmp_path: Path) -> None:
    spec = manifest(tmp_path)
    assert (spec.shape(2), spec.answer_shape(2)) == ((2, 3, 12, 14), (2, 2))
    assert spec.slices == SlicesSpec(distance_mm=2.0, triplets=5, step_mm=3.0, average="mean")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 1}, "'channels' is 1 and must be 3"),
        ({"orientation": "SPL"}, "must begin with the axis from side to side"),
        ({"depth": 15}, "the slices reach 8 mm to each side, the crop 7"),
    ],
)
def test_slices_that_do_not_suit_are_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ManifestInvalid, match=words):
        manifest(tmp_path, **changes)
