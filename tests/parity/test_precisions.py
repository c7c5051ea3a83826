"""Half precision against fp32, on real CT: same names, same masks, same tiers.

The default backend's own choice of precision is compared with ONNX Runtime on the CPU, network by
network on the patches that the chain really cut, and over the whole chain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends import Budget, OpenModels, default_backends, open_models
from vfx_edge.bench.networks import figures_of
from vfx_edge.bench.patches import recorded, some_of
from vfx_edge.evaluation import overlap
from vfx_edge.inputs import load_scan
from vfx_edge.manifest import load_model_set
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.study import Analysis, BackendRequest, Classified, VertebraMask
from vfx_edge.vocabulary import NEEDED_ROLES

Floats = NDArray[np.float32]
FAST, EXACT = "openvino", "cpu"
SCANS = (
    "ct_thoracolumbar_4mm_dicom",
    pytest.param("ct_chest_2p5mm_contrast/ct_1p5mm.nii.gz", marks=pytest.mark.thorough),
)
PATCHES = 4  # of each network and scan are compared number by number
SEGMENTER_VOXEL_MM = 1.5


@dataclass(frozen=True, eq=False)
class Both:
    """One scan through both backends."""

    fast: Analysis
    exact: Analysis
    patches: dict[str, Floats]


@pytest.fixture(scope="module")
def fast() -> Iterator[OpenModels]:
    state = default_backends()[FAST].availability()
    if not state.available:
        pytest.skip(f"{FAST}: {state.reason}")
    with open_models(load_model_set(), FAST) as models:
        yield models


@pytest.fixture(scope="module")
def exact() -> Iterator[OpenModels]:
    with open_models(load_model_set(), BackendRequest(EXACT, "fp32")) as models:
        yield models


@pytest.fixture(scope="module", params=SCANS, ids=lambda path: Path(path).parts[0])
def both(
    request: pytest.FixtureRequest, shared_data: Path, fast: OpenModels, exact: OpenModels
) -> Both:
    volume = load_scan(shared_data / request.param)
    every = ChainOptions(classify="all")
    watched, recorders = recorded(fast)
    quick = analyze(volume, watched, every)
    slow = analyze(volume, exact, every)
    patches = {role: some_of(r.asked, PATCHES) for role, r in recorders.items()}
    return Both(quick, slow, patches)


@pytest.mark.parametrize("role", NEEDED_ROLES)
def test_each_network_keeps_its_answers(
    role: str, both: Both, fast: OpenModels, exact: OpenModels
) -> None:
    spec = fast.network(role).spec
    quick = fast.network(role).probabilities(both.patches[role])
    slow = exact.network(role).probabilities(both.patches[role])
    figures = figures_of(quick, slow, spec)
    assert figures.within(spec), (fast.network(role).precision, figures)


@pytest.mark.thorough
def test_the_segmenter_keeps_its_answers_in_int8(both: Both, exact: OpenModels) -> None:
    """With only the first and the last convolution in floats, single voxels moved by 0.3."""
    network = exact.network("segmenter")
    patches = both.patches["segmenter"]
    eight_bits = default_backends()[FAST].open(network.spec, network.spec.read(), "int8", Budget())
    got, wanted = eight_bits.probabilities(patches), network.probabilities(patches)
    eight_bits.close()
    figures = figures_of(got, wanted, network.spec)
    assert figures.within(network.spec), figures


def test_the_same_vertebrae_get_the_same_names(both: Both) -> None:
    fast, exact = both.fast.result.findings, both.exact.result.findings
    assert [f.vertebra.level for f in fast] == [f.vertebra.level for f in exact]
    assert len(fast) >= 8
    for one, other in zip(fast, exact, strict=True):
        gap = np.subtract(one.vertebra.centroid_lps_mm, other.vertebra.centroid_lps_mm)
        # within a voxel of the segmenter's: of a body that the scan cuts, a rim may go or stay
        assert np.linalg.norm(gap) < SEGMENTER_VOXEL_MM, one.vertebra.level


def test_the_labeller_prefers_the_same_level(
    both: Both, fast: OpenModels, exact: OpenModels
) -> None:
    """For every vertebra that it is sure of at all; a tie may fall either way."""
    quick = fast.network("labeller").probabilities(both.patches["labeller"])
    slow = exact.network("labeller").probabilities(both.patches["labeller"])
    second, first = np.sort(slow, 1)[:, -2:].T
    sure = first - second > 0.05
    assert sure.any()
    np.testing.assert_array_equal(quick.argmax(1)[sure], slow.argmax(1)[sure])


def test_the_masks_agree(both: Both) -> None:
    needed = load_model_set().network("segmenter").precision.min_dice
    pairs = zip(both.fast.masks, both.exact.masks, strict=True)
    ours, theirs = zip(*((bone(a).ravel(), seen_from(a, b).ravel()) for a, b in pairs), strict=True)
    assert overlap.dice(np.concatenate(ours), np.concatenate(theirs)) >= needed


def bone(mask: VertebraMask) -> NDArray[np.bool_]:
    return np.pad(mask.body.astype(np.float32) + mask.arch, 8) > 0.5


def seen_from(one: VertebraMask, other: VertebraMask) -> NDArray[np.bool_]:
    """The other's bone on this one's grid: they lie a part of a voxel apart."""
    whole = other.body.astype(np.float32) + other.arch
    shift = np.subtract(one.origin_lps_mm, other.origin_lps_mm)[::-1] / one.spacing_mm
    shape = bone(one).shape
    moved: Floats = ndimage.affine_transform(whole, np.ones(3), shift - 8, shape, order=1)
    return moved > 0.5


def test_the_triage_is_the_same(both: Both) -> None:
    assert both.fast.result.triage == both.exact.result.triage
    for one, other in zip(both.fast.result.findings, both.exact.result.findings, strict=True):
        assert one.measurement.suspected_fracture == other.measurement.suspected_fracture
        assert one.assessment.kind == other.assessment.kind
        if isinstance(one.assessment, Classified) and isinstance(other.assessment, Classified):
            assert one.assessment.tier == other.assessment.tier, one.vertebra.level
