"""MONAI bundles: what they say of themselves is read, and nothing of it executed."""

import json
import shutil
import tomllib
import warnings
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from tests.export.conftest import Run
from tests.export.filling import filled
from tests.export.nets import TinyNet, shaken
from vfx_edge.backends import open_models
from vfx_edge.manifest import load_model_set

IMAGE = {"num_channels": 2, "spatial_shape": ["8*n"] * 3, "dtype": "float32"}
ANSWER = {
    "num_channels": 3,
    "spatial_shape": ["8*n"] * 3,
    "channel_def": {"0": "background", "1": "body", "2": "arch"},
}
METADATA = {
    "task": "Parts of a vertebra",
    "intended_use": "research <only>",
    "network_data_format": {"inputs": {"image": IMAGE}, "outputs": {"pred": ANSWER}},
}
SCALE = {"a_min": -1000, "a_max": 1000, "b_min": -1.0, "b_max": 1.0, "clip": True}
INFERENCE = {
    "imports": ["$import os; os.system('touch executed')"],
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "reader": "$__import__('os').system('touch executed')"},
            {"_target_": "Orientationd", "axcodes": "RAS"},
            {"_target_": "monai.transforms.Spacingd", "pixdim": [1.5, 1.5, 1.5]},
            {"_target_": "ScaleIntensityRanged", **SCALE},
            {"_target_": "HistogramNormalized"},
        ],
    },
    "postprocessing": {"transforms": [{"_target_": "Activationsd", "softmax": True}]},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 8, 8]},
}


def bundle(folder: Path, metadata=METADATA) -> Path:
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(INFERENCE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.script(shaken(TinyNet(2)))
        network.save(str(folder / "models" / "model.ts"))
    return folder


def test_a_bundle_fills_in_its_template_and_becomes_a_set(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, manifest = bundle(tmp_path / "spine"), tmp_path / "mine.toml"
    archive = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "spine"))
    for place in (folder, archive):
        words = ("--template", manifest, "--role", "segmenter", "--overwrite")
        code, _, err = run("monai", place, *words)
        assert code == 0, err
        text = manifest.read_text("utf-8")
        (network,) = tomllib.loads(text)["network"]
        given = network["input"]
        assert (given["channels"], given["patch_zyx"]) == (2, [16, 8, 8])
        assert (given["orientation"], given["spacing_mm"]) == ("RAS", 1.5)
        assert (given["hu_clip"], given["hu_offset"], given["hu_scale"]) == ([-1000, 1000], 0, 1000)
        assert network["output"]["classes"] == ["background", "body", "arch"]
        assert network["output"]["activation"] == "softmax"
        assert "research only" in text
        assert "HistogramNormalized" in text
    filled(manifest, "segmenter")
    code, _, err = run("monai", folder, "--manifest", manifest, "-o", tmp_path / "mine")
    assert code == 0, err
    patches = torch.randn(3, 2, 16, 8, 8)
    with open_models(load_model_set(tmp_path / "mine"), "cpu", roles=["segmenter"]) as models:
        got = models.network("segmenter").run(patches.numpy())
    with torch.no_grad():
        torch.testing.assert_close(
            torch.from_numpy(got), shaken(TinyNet(2))(patches), atol=1e-4, rtol=0
        )
    assert not (tmp_path / "executed").exists()
    words = ("--checkpoint", folder, "--no-phantom", "--random", "1")
    code, _, err = run("parity", tmp_path / "mine", *words)
    assert code == 0, err


def test_names_that_mean_nothing_here_are_lines_to_fill_in(tmp_path: Path, run: Run) -> None:
    folder, manifest = bundle(tmp_path / "spine"), tmp_path / "mine.toml"
    about = folder / "configs" / "metadata.json"
    about.write_text(about.read_text("utf-8").replace('"body"', '"corpus vertebrae"'), "utf-8")
    run("monai", folder, "--template", manifest, "--role", "segmenter")
    text = manifest.read_text("utf-8")
    assert '\n"corpus vertebrae" = "<one of background, body, arch, or nothing>"\n' in text
    filled(manifest, "segmenter")
    code, _, err = run("monai", folder, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, "'corpus vertebrae' still holds the template's words" in err) == (4, True), err


def test_numbers_that_no_network_has_leave_the_template_as_it_is(tmp_path: Path, run: Run) -> None:
    folder, manifest = bundle(tmp_path / "spine"), tmp_path / "mine.toml"
    form = {"inputs": {"image": IMAGE}, "outputs": {"pred": {"num_channels": 10**12}}}
    texts = (folder / "configs" / name for name in ("metadata.json", "inference.json"))
    next(texts).write_text(json.dumps({"network_data_format": form}))
    next(texts).write_text(json.dumps(INFERENCE).replace('"b_max": 1.0', '"b_max": 1e-320').replace(
        '"b_min": -1.0', '"b_min": 0.0'))  # fmt: skip
    code, _, err = run("monai", folder, "--template", manifest, "--role", "segmenter")
    assert code == 0, err
    (network,) = tomllib.loads(manifest.read_text("utf-8"))["network"]
    assert (len(network["output"]["classes"]), network["input"]["hu_scale"][0]) == (3, "<")


def weights_alone(folder: Path) -> None:
    (folder / "models" / "model.ts").rename(folder / "models" / "model.pt")


def in_two_dimensions(folder: Path) -> None:
    form = {"inputs": {"image": {"spatial_shape": [64, 64]}}, "outputs": {"pred": ANSWER}}
    put = {**METADATA, "network_data_format": form}
    (folder / "configs" / "metadata.json").write_text(json.dumps(put))


def no_json(folder: Path) -> None:
    (folder / "configs" / "metadata.json").write_text("[" * 100_000)


def damaged(folder: Path) -> None:
    file = folder / "models" / "model.ts"
    text = json.dumps(METADATA).encode() * 9
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/extra/metadata.json", text)
        at = archive.getinfo("model/extra/metadata.json").header_offset
    data = bytearray(file.read_bytes())
    data[at + 60 : at + 80] = b"\xff" * 20
    shutil.rmtree(folder)
    folder.write_bytes(data)  # now the bundle is this file alone


def evil(folder: Path) -> None:
    with zipfile.ZipFile(folder / "models" / "model.ts", "a") as archive:
        archive.writestr("model/code/__torch__/evil.py", "x = torch.save(1, 'executed')")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (weights_alone, "python -m monai.bundle ckpt_export --bundle_root"),
        (in_two_dimensions, "2-D images"),
        (no_json, "metadata.json is no valid JSON"),
        (damaged, "it is neither a folder nor a zip that can be read"),
        (evil, "would execute code"),
    ],
)
def test_other_bundles_are_refused_before_anything_is_written(
    harm, says: str, tmp_path: Path, run: Run
) -> None:
    folder, template = bundle(tmp_path / "spine"), tmp_path / "mine.toml"
    harm(folder)
    code, _, err = run("monai", folder, "--template", template, "--role", "segmenter")
    assert (code, err.count("\n")) == (4, 1), err
    assert says in err
    assert not template.exists()
