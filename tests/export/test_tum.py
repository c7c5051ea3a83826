"""The published classifier: its network, its input path and its answers are the authors'."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

pytest.importorskip("torch")

import torch

from export.tum import load
from tests.export import authors
from tests.export.nets import random_classifier, shaken
from tests.spine.nets import network
from tests.spine.world import FACTS, lumbar
from vfx_edge.backends import open_models
from vfx_edge.bench.patches import recorded
from vfx_edge.image import Image
from vfx_edge.inference.resize import Box
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.spine.classify import classify_fractures
from vfx_edge.study import (
    CauseNotClassified,
    Classified,
    Heights,
    Level,
    Measurement,
    Scan,
    Vertebra,
    VertebraMask,
)

BROKEN = Measurement(Heights(10.0, 15.0, 20.0), 0.4, 3, True)
SPACING_LPS = np.array([0.5, 1.5, 2.0])  # finer and coarser than 1 mm
ORIGIN_LPS = np.array([-31.0, 17.0, 250.0])
SHAPE_LPS = (190, 77, 61)


def test_every_name_and_shape_of_the_state_dict_is_theirs() -> None:
    ours = {name: tuple(value.shape) for name, value in random_classifier().state_dict().items()}
    assert ours == authors.parameter_shapes()


@pytest.mark.parametrize("edge", [64, 70])
def test_the_network_computes_what_theirs_does(edge: int, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(edge)
    x = torch.rand(2, 1, edge, edge, edge, generator=draw)
    state = shaken(random_classifier()).state_dict()
    torch.save({"state_dict": state}, tmp_path / "model.tar")
    ours = load(tmp_path / "model.tar")
    assert not ours.training
    with torch.no_grad():
        wanted = authors.logits(state, x)
        assert float(wanted.abs().max()) > 0.5
        torch.testing.assert_close(ours(x), wanted, rtol=1e-3, atol=1e-3)


def scan() -> np.ndarray:
    """(L, P, S) int16 HU: bumps, alike in no direction, some beyond the window."""
    draw = np.random.default_rng(4)
    x, y, z = (axis * step for axis, step in zip(np.indices(SHAPE_LPS), SPACING_LPS, strict=True))
    hu = 2.0 * x - 3.0 * y + 5.0 * z - 600.0
    for _ in range(25):
        cx, cy, cz, strength = draw.uniform((0, 0, 0, -3000), (95, 115, 122, 6000))
        hu += strength * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 120)
    return np.asarray(np.rint(np.clip(hu, -3000, 9000)).astype(np.int16))


def marked() -> tuple[np.ndarray, list[Box]]:
    """(L, P, S) labels of two vertebrae, boxes for simplicity, and the boxes."""
    boxes = [
        (slice(60, 121), slice(22, 45), slice(9, 22)),
        (slice(70, 130), slice(25, 50), slice(26, 40)),
    ]
    labels = np.zeros(SHAPE_LPS, np.uint8)
    for value, box in zip((20, 21), boxes, strict=True):
        labels[box] = value
    return labels, boxes


def mask_of(box: Box, level: Level, centre_lps_mm: np.ndarray) -> VertebraMask:
    """The box as the segmenter's soft mask, on a fine grid of its own."""
    step = 0.25
    low = ORIGIN_LPS + (np.array([s.start for s in box]) - 0.5) * SPACING_LPS + step / 2
    size = np.array([s.stop - s.start for s in box]) * SPACING_LPS
    body = np.ones(tuple(int(n / step) for n in size[::-1]), np.float16)
    (x, y, z), (cx, cy, cz) = low.tolist(), centre_lps_mm.tolist()
    return VertebraMask(Vertebra(level, (cx, cy, cz), 0.9), body, body * 0, (x, y, z), step)


def as_volume(hu_lps: np.ndarray) -> Image:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[::-1] * SPACING_LPS[::-1]
    affine[:3, 3] = ORIGIN_LPS
    return Image(np.ascontiguousarray(hu_lps.transpose(2, 1, 0)), affine, "CT", "HU")


@pytest.mark.parametrize("with_mask", [True, False])
def test_the_run_shows_the_network_what_the_authors_code_shows_it(
    with_mask: bool, published: Path
) -> None:
    hu, (labels, boxes) = scan(), marked()
    whole = tuple(slice(0, n) for n in SHAPE_LPS)
    box = authors.box_of(labels, SPACING_LPS) if with_mask else whole
    spacing = SPACING_LPS[::-1]
    theirs, offset = authors.resampled(authors.to_ial(hu[box]), spacing)
    # near the front, the right and the head, so that the crop leaves the scan there
    centre = (30, 41, 29)
    wanted = authors.network_input(theirs, centre)
    at = (offset + np.array(centre) / spacing)[::-1]  # in voxels of the box: L, A, I
    last = np.array([s.stop for s in box]) - 1
    first = np.array([s.start for s in box])
    index_lps = np.array([first[0] + at[0], last[1] - at[1], last[2] - at[2]])
    centre_mm = ORIGIN_LPS + index_lps * SPACING_LPS

    spec = load_model_set(published).network("classifier")
    if not with_mask:
        spec = replace(spec, input=replace(spec.input, mask="none"))
    seen: list[np.ndarray] = []
    masks = [
        mask_of(boxes[0], Level.L1, centre_mm),
        mask_of(boxes[1], Level.L2, centre_mm + 40),
    ]

    def look(_: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        seen.extend(batch)
        return np.zeros((len(batch), 2), np.float32)

    fake = network(spec, look)
    classify_fractures(
        as_volume(hu), masks, [BROKEN, BROKEN], fake, lambda vertebra, _: vertebra.level == Level.L1
    )
    (got,) = seen
    assert got.shape == (1, 70, 70, 70)
    # how far inside the scan, in mm, each voxel of the crop lies: (L, I, A)
    low = -offset * spacing
    high = (np.array(authors.to_ial(hu[box]).shape) - 1 - offset) * spacing
    k = np.stack(np.meshgrid(*(np.arange(c - 35, c + 35) for c in centre), indexing="ij"), -1)
    depth = np.minimum(k - low, high - k).min(-1).transpose(2, 0, 1)
    shown, outside = depth > 0, depth < -2
    assert shown.mean() > 0.2
    assert outside.mean() > 0.05
    np.testing.assert_allclose(got[0][shown], wanted[shown], atol=1 / 2500)
    assert np.ptp(got[0][outside]) == 0
    np.testing.assert_allclose(got[0][outside], wanted[outside], atol=0.01)


def test_the_set_runs_on_a_phantom_and_answers_as_pytorch_does(
    published: Path, model_tar: Path
) -> None:
    made = lumbar()
    options = ChainOptions(classify="all", segmentation=made.labels)
    volume = Image(made.hu, made.affine_zyx_to_lps, "CT", "HU")
    models = open_models(load_model_set(published), "cpu", roles=["classifier"])
    with models:
        watched, recorders = recorded(models)
        result = analyze(Scan(volume, FACTS), watched, options).result
    assert result.run.model_set == "published"
    assert result.run.intended_use == "demonstration"  # that of the networks it borrows
    said = [f.assessment for f in result.findings if isinstance(f.assessment, Classified)]
    assert len(said) >= 4
    with torch.no_grad():
        crops = torch.from_numpy(np.concatenate(recorders["classifier"].asked))
        p = load(model_tar)(crops).softmax(1).numpy()
    got = [(a.p_osteoporotic, a.p_malignant) for a in said]
    np.testing.assert_allclose(got, p, atol=1e-5)
    assert np.ptp(p[:, 0]) > 1e-4, "one answer for all would agree with anything"
    assert (
        result.run.thresholds | {"malignant": 0.85, "osteoporotic": 0.95} == result.run.thresholds
    )


def test_levels_beyond_t1_to_l5_are_never_classified(published: Path) -> None:
    spec = load_model_set(published).network("classifier")
    fake = network(spec, lambda _, batch: np.zeros((len(batch), 2), np.float32))
    _, boxes = marked()
    for level in (Level.C7, Level.L6):
        (finding,) = classify_fractures(
            as_volume(scan()),
            [mask_of(boxes[0], level, ORIGIN_LPS + 50)],
            [BROKEN],
            fake,
            lambda *_: True,
        )
        assert finding.assessment == CauseNotClassified("level_outside_model_range")
