"""Parity: what is measured, what decides, and the figures of the published classifier."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

pytest.importorskip("torch")

import torch

from export.parity_reference import from_original
from export.parity_report import show
from tests.export.conftest import Run
from tests.export.nets import random_classifier, shaken
from tests.tiny_models import tiny_classifier, tiny_segmenter, write_set
from vfx_edge.backends import default_backends
from vfx_edge.backends.openvino_backend import native_precision
from vfx_edge.bench.networks import Figures, Row, figures_of, rows_of
from vfx_edge.bench.patches import random_patches
from vfx_edge.manifest import load_model_set

NEEDED = {
    ("cpu", "fp32"): 1e-5,
    ("cpu", "fp16"): 5e-3,
    ("openvino", "bf16"): 2e-2,
    ("openvino", "fp32"): 2e-4,  # measured up to 1e-4 on real crops
}


def like_bone(count: int, edge: int = 70) -> np.ndarray:
    """(n, 1, e, e, e) in numbers: a ball of spongy bone in soft tissue, each of its own make."""
    draw = np.random.default_rng(6)
    far = np.linalg.norm(np.indices((edge,) * 3) - np.array([[[[edge / 2]]]] * 3), axis=0)
    crops = []
    for _ in range(count):
        radius, bone, cortex = draw.uniform((14, 80, 300), (24, 400, 1200))
        hu = np.where(far < radius, bone, draw.uniform(-100, 80))
        hu = np.where(np.abs(far - radius) < 1.5, cortex, hu) + draw.normal(0, 25, far.shape)
        crops.append((np.clip(hu, -1000, 3500) + 1000) / 2500)
    return np.stack(crops)[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def rows(published: Path, model_tar: Path) -> list[Row]:
    spec = load_model_set(published).network("classifier")
    crops = {"random": random_patches(spec, 4), "like bone": like_bone(4)}
    return rows_of(spec, crops, from_original(model_tar, spec), {})


@pytest.mark.parametrize(("backend", "precision"), NEEDED, ids=map("-".join, NEEDED))
def test_the_published_classifier_keeps_its_answers(
    backend: str, precision: str, rows: list[Row]
) -> None:
    state = default_backends()[backend].availability()
    if not state.available:
        pytest.skip(f"{backend}: {state.reason}")
    if precision == "bf16" and native_precision() != "bf16":
        pytest.skip("this CPU has no bf16")
    own = [row for row in rows if (row.backend, row.precision) == (backend, precision)]
    found = [row.figures for row in own if row.figures is not None]
    assert [row.source for row in own] == ["random", "like bone"]
    assert [figures.crops for figures in found] == [4, 4]
    for row, figures in zip(own, found, strict=True):
        print(f"{backend} {precision} {row.source}: {figures}")
        assert figures.max_difference <= NEEDED[backend, precision], row
        assert row.passed
        assert row.allowed


def test_figures_say_how_far_and_whether_tiers_change(published: Path) -> None:
    spec = load_model_set(published).network("classifier")
    wanted = np.array([[0.1, 0.9], [0.96, 0.04], [0.5, 0.5]], np.float32)
    got = np.array([[0.2, 0.8], [0.96, 0.04], [0.4, 0.6]], np.float32)
    figures = figures_of(got, wanted, spec)
    assert figures.max_difference == pytest.approx(0.1)
    assert figures.mean_difference == pytest.approx(0.4 / 6)
    assert figures.shift == pytest.approx(0.0, abs=1e-6)
    assert figures.tier_changes == 1  # 0.9 was malignant, 0.8 is uncertain
    assert figures.min_dice is None
    assert not figures.within(spec)
    assert figures_of(wanted, wanted, spec).within(spec)


def test_masks_are_compared_class_by_class(tmp_path: Path) -> None:
    spec = load_model_set(write_set(tmp_path / "s", {"finder": tiny_segmenter()})).network("finder")
    wanted = np.zeros((1, 3, 8, 8, 8), np.float32)
    wanted[0, 0], wanted[0, 1, 0, 0, :4] = 0.4, 0.9
    got = wanted.copy()
    got[0, 1, 0, 0, 3] = 0.45
    assert figures_of(got, wanted, spec).min_dice == pytest.approx(6 / 7)
    within = replace(spec, precision=replace(spec.precision, max_probability_difference=0.5))
    assert not figures_of(got, wanted, within).within(within), "the masks differ too much"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    networks = {"classifier": tiny_classifier(), "finder": tiny_segmenter()}
    write_set(folder, networks, precisions=("fp32", "bf16", "fp16"))
    manifest = folder / "manifest.toml"
    loosened = manifest.read_text("utf-8").replace(
        "[network.precision]", "[network.precision]\nmax_probability_difference = 0.1\nmin_dice = 0"
    )
    manifest.write_text(loosened, "utf-8")
    return folder


def test_the_command_shows_a_table_writes_the_card_and_answers_in_json(
    tiny: Path, run: Run
) -> None:
    (tiny / "card.md").write_text("# Mine\n\nKept.\n", encoding="utf-8")
    for _ in range(2):  # the second time the section is replaced
        code, out, err = run("parity", tiny, "--no-phantom", "--random", "3", "--json")
        assert code == 0, err
    result = json.loads(out)
    assert result["passed"] is True
    assert {row["backend"] for row in result["rows"]} >= {"cpu"}
    assert {row["network"] for row in result["rows"]} == {"tiny classifier", "tiny finder"}
    assert all(row["figures"]["crops"] == 3 for row in result["rows"])
    assert "cuda" in result["skipped"] or any(r["backend"] == "cuda" for r in result["rows"])
    assert "ONNX Runtime on the CPU in fp32, not from PyTorch" in err
    card = (tiny / "card.md").read_text("utf-8")
    assert card.startswith("# Mine\n\nKept.\n")
    assert card.count("## Parity") == 1
    assert "| tiny classifier | 3 random | cpu | fp16* |" in card


def test_no_figure_is_cut_off_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    figures = Figures(20, 1.2e-3, 3.4e-4, -5.6e-5, 0.9987, 0)
    row = Row("vertebra-segmenter", "phantom", "tensorrt-rtx", "fp16", "", True, True, figures)
    show([row], {}, "PyTorch", screen := Terminal())
    for figure in ("1.2e-03", "3.4e-04", "-5.6e-05", "0.9987", "passes"):
        assert figure in screen.getvalue()


def test_answers_beyond_the_tolerance_end_in_code_7(tiny: Path, run: Run) -> None:
    manifest = tiny / "manifest.toml"
    text = manifest.read_text("utf-8")
    strict = text.replace("max_probability_difference = 0.1", "max_probability_difference = 0.0")
    manifest.write_text(strict, "utf-8")
    words = ("parity", tiny, "--no-phantom", "--random", "3", "--no-card")
    code, out, _ = run(*words)
    assert (code, "FAILS" in out) == (7, True)
    # what the manifest does not allow decides nothing
    manifest.write_text(strict.replace('"fp32", "bf16", "fp16"', '"fp32"'), "utf-8")
    code, out, _ = run(*words)
    assert "fails, not allowed" in out


def test_a_checkpoint_of_another_kind_is_named(tiny: Path, model_tar: Path, run: Run) -> None:
    words = ("--checkpoint", model_tar, "--role", "finder")
    code, _, err = run("parity", tiny, *words, "--no-phantom", "--random", "1", "--no-card")
    assert (code, err.count("\n")) == (4, 1)
    assert "is not what 'tiny finder' was exported from" in err


def test_another_checkpoint_is_found_out(published: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other.tar"
    torch.save({"state_dict": shaken(random_classifier()).state_dict()}, other)
    code, out, _ = run(
        "parity", published, "--checkpoint", other, "--no-phantom", "--random", "1", "--no-card"
    )
    assert (code, "FAILS" in out) == (7, True)
    assert "PyTorch in fp32 (other.tar)" in out
