"""A vertebra's features: where there are none, which outline they are of, and their table."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from tests.outputs.fakes import example
from vfx_edge.image import Image
from vfx_edge.outputs.features import cells, write_features
from vfx_edge.radiomics import FEATURES, RadiomicsMissing, measured, settings
from vfx_edge.radiomics.features import INSIDE, MOVED_MM, moved
from vfx_edge.radiomics.settings import GRID_MM
from vfx_edge.scoring.features import FeaturesUnreadable, features_beside
from vfx_edge.study import Level, Vertebra, VertebraMask
from vfx_edge.vocabulary import Reason

pytest.importorskip("mirp", reason="needs the extra `radiomics`")

RADII_MM = (12.0, 15.0, 20.0)
MASK_MM = 1.5


def ball(step_mm: float) -> np.ndarray:
    """(z, y, x) 1 in the middle of an ellipsoid of RADII_MM, 0.5 at its surface."""
    half = [int(r / step_mm) + 4 for r in RADII_MM]
    axes = np.ogrid[tuple(slice(-h, h + 1) for h in half)]
    radius = np.sqrt(sum((a * step_mm / r) ** 2 for a, r in zip(axes, RADII_MM, strict=True)))
    return np.clip(0.5 + (1 - radius) * min(RADII_MM) / step_mm, 0, 1)


def image() -> Image:
    """Grainy bone on voxels of 1 × 1 × 1 mm."""
    rng = np.random.default_rng(3)
    grain = ndimage.gaussian_filter(rng.standard_normal((60, 60, 60)), 1.0) * 400 + 180
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[::-1]
    affine[:3, 3] = -30.0
    return Image(np.rint(grain).astype(np.int16), affine, "CT", "HU")


def mask(body: np.ndarray | None = None, **changed: object) -> VertebraMask:
    body = (ball(MASK_MM) if body is None else body).astype(np.float16)
    corner = [-(n // 2) * MASK_MM for n in body.shape[::-1]]
    vertebra = Vertebra(Level.L1, (0.0, 0.0, 0.0), 0.9)
    arch = np.zeros_like(body)
    made = VertebraMask(vertebra, body, arch, (corner[0], corner[1], corner[2]), MASK_MM)
    return replace(made, **changed)  # type: ignore[arg-type]


def test_the_body_is_measured_in_millimetres_and_hounsfield_units() -> None:
    scan = image()
    found = measured(scan, mask()).features
    assert tuple(found) == FEATURES
    assert all(map(math.isfinite, found.values()))
    volume = 4 / 3 * math.pi * math.prod(RADII_MM)
    assert found["morph_volume"] == pytest.approx(volume, rel=0.03)
    assert found["morph_diam"] == pytest.approx(2 * max(RADII_MM), rel=0.05)
    assert found["stat_mean"] == pytest.approx(180, abs=3)
    # bins of 25 HU, the first at -1000
    assert found["ih_mean_fbs_w25.0"] == pytest.approx((180 + 1000) / 25 + 0.5, abs=0.2)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (mask(touches_edge=True), Reason.TRUNCATED),
        (mask(np.zeros((1, 1, 1))), Reason.NOT_OUTLINED),
        (mask(np.zeros((9, 9, 9))), Reason.LOW_CONFIDENCE),
    ],
)
def test_what_can_not_be_told_has_a_reason_and_no_number(given: VertebraMask, reason: str) -> None:
    found = measured(image(), given)
    assert found.reason == reason
    assert cells(found.features) == [""] * len(FEATURES)


def test_one_grey_value_gives_no_infinite_number() -> None:
    flat = replace(image(), values=np.full((60, 60, 60), 100, np.int16))
    found = measured(flat, mask()).features
    assert found["stat_var"] == 0
    assert not any(map(math.isinf, found.values()))


def test_an_outline_is_drawn_again_half_a_millimetre_off() -> None:
    chance = ball(GRID_MM).astype(np.float32)
    again = moved(chance, 1)
    assert np.array_equal(again, moved(chance, 1))
    assert not np.array_equal(again, moved(chance, 2))
    before, after = chance > INSIDE, again > INSIDE
    volume = np.count_nonzero(before)
    surface = volume - np.count_nonzero(ndimage.binary_erosion(before))
    # of a normal distribution the mean distance is 0.8 of the deviation
    off = np.count_nonzero(before ^ after) / surface
    assert 0.4 * MOVED_MM < off < 1.2 * MOVED_MM
    assert abs(np.count_nonzero(after) - volume) < 0.1 * volume


def test_the_table_has_a_row_for_each_vertebra_and_reads_back(tmp_path: Path) -> None:
    whole = example()
    few = replace(whole, masks=(mask(), mask(touches_edge=True)), scan=replace(
        whole.scan, image=image()
    ))  # fmt: skip
    table, told = write_features(few, tmp_path)
    rows = [line.split(",") for line in table.read_text("utf-8").splitlines()]
    assert rows[0] == ["level", "reason", *FEATURES]
    assert [row[:2] for row in rows[1:]] == [["L1", ""], ["L1", "truncated"]]
    assert json.loads(told.read_text("utf-8"))["discretisation"]["bin_hu"] == 25.0
    assert list(json.loads(told.read_text("utf-8"))["features"]) == list(FEATURES)
    numbers = {name: float(cell) for name, cell in zip(FEATURES, rows[1][2:], strict=True)}
    table.write_text("\n".join(",".join(row) for row in rows[:2]), encoding="utf-8")
    assert features_beside(tmp_path / "result.json") == {"L1": numbers}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("level,morph_volume\nL1,1\n", "its columns are others"),
        ("level,reason,a\nL1,,1,2\n", "a line is cut off"),
        ("level,reason,a\nL1,,nan\n", "a level or a number is none"),
        ("level,reason,a\nL1,,x\n", "a level or a number is none"),
        ("level,reason,a\nJohn,,1\n", "a level or a number is none"),
        ("level,reason,=cmd()\nL1,,1\n", "a column's name is none"),
    ],
)
def test_a_table_of_strangers_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "features.csv").write_text(text, encoding="utf-8")
    with pytest.raises(FeaturesUnreadable, match=words):
        features_beside(tmp_path / "result.json")
    assert features_beside(tmp_path / "sub-1.json") == {}


def test_without_mirp_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    with pytest.raises(RadiomicsMissing, match=r"mirp.*pip install 'vfx-edge\[radiomics\]'"):
        settings.check_installed()
