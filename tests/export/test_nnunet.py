"""An nnU-Net model folder becomes a model set that labels as nnU-Net itself does."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("torch", reason="needs the extra `export`")
pytest.importorskip("dynamic_network_architectures", reason="needs the extra `export`")

import torch

from export.nnunet import reference
from tests.conftest import SHARED
from tests.contract.conftest import call
from tests.export import nnunet_folders as folders
from tests.export.conftest import Run
from tests.spine.world import phantom
from vfx_edge.backends import open_models
from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.inference.resize import Box
from vfx_edge.level_names import class_level
from vfx_edge.manifest import JointParameters, load_model_set
from vfx_edge.phantom import PhantomSpec
from vfx_edge.spine.joint import label_spine
from vfx_edge.study import Level

PEER = Path(__file__).with_name("nnunet_peer.py")
CASES = {
    "folds": ("3d_fullres", (0, 1)),
    "lowres": ("3d_lowres", (0,)),
    "residual": ("3d_fullres", (0,)),
    "regions": ("3d_fullres", (0,)),
    "old": ("3d_fullres", (0,)),
}
"""Two folds averaged, out of nnU-Net's own zip; tiles larger than the scan; thick slices lying
across it; regions painted one over the other; the first fold of the first with plans in the words
of earlier versions."""


def small_ct() -> tuple[np.ndarray, np.ndarray]:
    """HU (z, y, x) and spacing: some lumbar vertebrae of a real CT, or of a phantom."""
    folder = SHARED / "ct_abdomen_3mm_labelled"
    if not folder.is_dir():
        spec = PhantomSpec(("L1", "L3"), spacing_mm=3.0, pixel_mm=3.0, matrix=(52, 58))
        made = phantom(spec)
        return made.hu, np.abs(made.affine_zyx_to_lps[:3, :3]).max(0)
    image = sitk.ReadImage(str(folder / "ct.nii.gz"))
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "seg-vert_msk.nii.gz")))
    middle = np.argwhere(mask).mean(0).astype(int)
    box = tuple(slice(c - n, c + n) for c, n in zip(middle, (18, 26, 29), strict=True))
    return sitk.GetArrayFromImage(image)[box].astype(np.int16), np.array(image.GetSpacing())[::-1]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nnU-Net's own models and label maps: see nnunet_peer.py."""
    if importlib.util.find_spec("nnunetv2") is None:
        pytest.skip("needs nnunetv2, which `make peers` installs")
    work = tmp_path_factory.mktemp("nnunet")
    hu, spacing = small_ct()
    np.savez(work / "ct.npz", hu=hu, spacing=spacing)
    (work / "cases.json").write_text(json.dumps(CASES))
    places = {f"nnUNet_{p}": str(work / p) for p in ("raw", "preprocessed", "results")}
    done = subprocess.run(
        [sys.executable, str(PEER), str(work)], env={**os.environ, **places},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return work


@pytest.fixture(scope="module")
def volume(peer: Path) -> Image:
    with np.load(peer / "ct.npz") as ct:
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[::-1] * ct["spacing"]
        return Image(ct["hu"], affine, "CT", "HU")


@pytest.fixture(scope="module", params=[case for case in CASES if case != "old"])
def network(
    request: pytest.FixtureRequest, peer: Path, run: Run, tmp_path_factory: Any
) -> Iterator[tuple[str, Network]]:
    """A case, exported, as ONNX Runtime runs it in FP32."""
    out = tmp_path_factory.mktemp("sets") / request.param
    model = peer / ("exported.zip" if request.param == "folds" else f"models/{request.param}")
    code, _, err = run("nnunet", model, "-o", out)
    assert code == 0, err
    with open_models(load_model_set(out), "cpu", roles=("segmenter",)) as models:
        yield request.param, models.network("segmenter")


def verse_labels(peer: Path, case: str) -> np.ndarray:
    """nnU-Net's label map in VerSe labels."""
    labels = json.loads((peer / "models" / case / "dataset.json").read_text())["labels"]
    verse = np.zeros(len(labels) + 1, np.uint8)
    for name, number in labels.items():
        if level := class_level(name):
            verse[number] = level.verse
    return np.asarray(verse[np.load(peer / f"{case}.npy")])


def compared(case: str) -> tuple[slice, ...]:
    """The voxels that count: all, but for averaged folds those at the scan's very edge.

    There nnU-Net's weights are so small that half precision leaves them hardly a digit, and it
    rounds each fold by itself; here the folds are one network and are rounded once.
    """
    return (slice(4, -4),) * 3 if case == "folds" else (slice(None),) * 3


def test_labels_are_those_of_nnunets_own_predictor(
    network: tuple[str, Network], peer: Path, volume: Image
) -> None:
    case, opened = network
    depth, height, width = volume.values.shape
    everywhere = [(slice(0, depth), slice(0, height), slice(0, width))]
    ours, theirs = label_spine(volume, everywhere, opened), verse_labels(peer, case)
    known = np.unique(theirs)
    assert (known[0], len(known) > 4) == (0, True), "the network says too little to be compared"
    where = compared(case)
    assert (ours.labels == theirs)[where].mean() >= 0.999
    assert (ours.labels == theirs).mean() >= 0.995
    assert ours.tiles[0] == ours.tiles[1]
    assert set(ours.probability) == {class_level(n) for n in opened.spec.output.classes} - {None}
    sure = [ours.probability[level] for level in ours.probability if level.verse in ours.labels]
    assert all(0.5 < p <= 1 if case == "regions" else 0 < p <= 1 for p in sure)


def test_in_a_part_they_are_the_same_for_fewer_tiles(
    network: tuple[str, Network], peer: Path, volume: Image
) -> None:
    case, opened = network
    boxes: list[Box] = [(slice(2, 12), slice(0, 14), slice(30, 44)),
                        (slice(5, 15), slice(0, 9), slice(25, 40))]  # fmt: skip
    inside = np.zeros(volume.values.shape, np.bool_)
    for box in boxes:
        inside[box] = True
    ours, theirs = label_spine(volume, boxes, opened), verse_labels(peer, case)
    where = compared(case)
    assert (ours.labels == theirs)[where][inside[where]].mean() >= 0.999
    assert not ours.labels[~inside].any()
    assert ours.tiles[0] < ours.tiles[1] or case == "lowres"


def test_old_plans_mean_the_same_network(peer: Path) -> None:
    new, old = (
        reference(peer / "models" / case, JointParameters(folds=("0",)))
        for case in ("folds", "old")
    )
    crop = torch.randn(1, 1, 48, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(new(crop), old(crop))


SPINE = ("T11", "T12", "L1", "L2", "L3", "L4")


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A NIfTI file of a phantom in which each vertebra has a HU of its own, and its centres."""
    made = phantom(
        PhantomSpec(levels=("T11", "L4"), matrix=(120, 160), noise_hu=0.0, margin_mm=(20.0, 20.0))
    )
    hu = np.minimum(made.hu, 150)
    for i, name in enumerate(SPINE):
        hu[made.labels == Level(name).verse] = 400 + 60 * i
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing([float(mm) for mm in np.abs(made.affine_zyx_to_lps[:3, :3]).max(1)])
    image.SetOrigin([float(mm) for mm in made.affine_zyx_to_lps[:3, 3]])
    path = tmp_path_factory.mktemp("coded") / "ct.nii.gz"
    sitk.WriteImage(image, str(path))
    whole = [truth for truth in made.truth.levels if truth.whole_in_view]
    return path, {truth.level: np.array(truth.centroid_lps_mm) for truth in whole}


def test_a_network_that_is_right_gives_the_right_levels(
    coded: tuple[Path, dict[str, np.ndarray]], run: Run, tmp_path: Path
) -> None:
    """The whole command; the network wants other axes than the scan has, in both ways."""
    scan, centres = coded
    codes = {f"vertebrae_{name}": 400.0 + 60 * i for i, name in enumerate(SPINE)}
    codes["Bogen=12"] = codes.pop("vertebrae_T12")  # no name that anybody knows
    codes["pelvis"] = 2000.0
    folders.reader_of_codes(tmp_path / "weights" / "Dataset292_A" / "model", codes)
    code, out, err = run(
        "totalsegmentator", "total", "--from", tmp_path / "weights", "-o", tmp_path / "set",
        "--map", "Bogen=12=Th12",
    )  # fmt: skip
    assert code == 0, err
    assert "background here: pelvis" in out
    assert "pelvis" in (tmp_path / "set" / "card.md").read_text()
    answer = call(
        "run", scan, "--model", tmp_path / "set", "--backend", "cpu", "--outputs", "json",
        "--out", tmp_path / "out", cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    found = {f["level"]: f for f in result["findings"]}
    assert set(centres) <= set(found) <= set(SPINE)
    for level, centre in centres.items():
        gap = np.linalg.norm(np.subtract(found[level]["centroid_lps_mm"], centre))
        assert gap < 4, (level, gap)
        assert found[level]["label_probability"] > 0.5
    used = {use["role"]: use["name"] for use in result["run"]["models"]}
    assert used["labeller"] == used["segmenter"] == "nnU-Net 3d_fullres of Dataset900_Tiny"
    assert set(used) == {"locator", "labeller", "segmenter", "classifier"}  # nobody asks a finder


def test_a_network_that_knows_nothing_ends_honestly(
    coded: tuple[Path, dict[str, np.ndarray]], run: Run, tmp_path: Path
) -> None:
    names = tuple(f"vertebrae_{name}" for name in SPINE)
    model = folders.write(tmp_path / "model", folders.plans(), folders.dataset(names))
    code, _, err = run("nnunet", model, "-o", tmp_path / "set")
    assert code == 0, err
    answer = call("run", coded[0], "--model", tmp_path / "set", "--out", tmp_path / "out",
                  cwd=tmp_path)  # fmt: skip
    if answer.code == 0:
        result = json.loads((tmp_path / "out" / "result.json").read_text())
        assert result["triage"]["tier"] == "not_assessable"
    else:
        assert "is in view" in answer.assert_refused(3)


def _architecture(**changes: object) -> dict[str, Any]:
    return {**folders.ARCHITECTURE, **changes}


def _argument(**changes: object) -> dict[str, Any]:
    known: dict[str, Any] = {**folders.ARCHITECTURE}
    return _architecture(arch_kwargs={**known["arch_kwargs"], **changes})


def _regions(labels: dict[str, list[int]], order: list[int]) -> dict[str, Any]:
    return folders.dataset(labels={"background": 0, **labels}, regions_class_order=order)


GIANT: dict[str, object] = {"features_per_stage": 4096, "kernel_sizes": 9}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "no vertebra": ({}, folders.dataset(("spleen", "liver")), "(spleen, liver) tell no vertebra"),
    "named twice": ({}, folders.dataset(("L1", "20")), "'L1' and '20' all mean 'L1'"),
    "one class": ({}, folders.dataset(("vertebra",)), "(vertebra) tell no vertebra from another"),
    "two channels": ({}, folders.dataset(channel_names={"0": "CT", "1": "PET"}), "2 input"),
    "regions in no order": (
        {}, folders.dataset(labels={"background": 0, "L1": [1, 2]}), "no 'regions_class_order'",
    ),
    "a region painted as another": (
        {}, _regions({"spine": [1, 2], "L1": [2]}, [2, 1]), "'L1' does not hold the label",
    ),
    "a hole in a vertebra": (
        {}, _regions({"L1": [1, 2], "L1_canal": [2]}, [1, 2]), "covers a part of 'L1'",
    ),
    "a label twice": ({}, folders.dataset(labels={"background": 0, "L1": 1, "L2": 1}), "same"),
    "normalisation": (
        {"normalization_schemes": ["ZScoreNormalization"]}, None, '{"0": "CT"} into dataset.json',
    ),
    "cascade": ({"previous_stage": "3d_lowres"}, None, "second stage of a cascade"),
    "resampling": ({"resampling_fn_data": "my_own"}, None, "resampled by 'my_own'"),
    "a strange class": (
        {"architecture": _architecture(network_class_name="os.system")}, None, "'os.system'",
    ),
    "a strange module": ({"architecture": _argument(nonlin="os.exec")}, None, "'os.exec'"),
    "no number of layers": (
        {"architecture": _architecture(arch_kwargs={"0": "x"})}, None, "has 0 = 'x'",
    ),
    "no numbers for it": (
        {"architecture": _architecture(arch_kwargs=None)}, None, "no table 'arch_kwargs'",
    ),
    "layers of nothing": ({"architecture": _argument(features_per_stage=[])}, None, "can't be"),
    "a giant": ({"architecture": _argument(**GIANT)}, None, "too large"),
    "a tile that fits no stride": ({"patch_size": [63, 48, 32]}, None, "tile of 63"),
    "a flat network": ({"patch_size": [64, 48]}, None, "three numbers"),
    "a tile for no card": ({"patch_size": [512, 512, 512]}, None, "too large for any card"),
    "a word for a table": ({"architecture": "x"}, None, "'architecture' is no table"),
    "an endless label": (
        {}, folders.dataset(labels={"background": 0, "L1": float("inf")}), "something odd",
    ),
    "a number beyond floats": ({"patch_size": [10**400, 48, 32]}, None, "something odd"),
    "half a letter": ({}, folders.dataset(("L1", "\ud800")), "no valid JSON"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_as_nnunet_does_it_is_refused(
    case: str, run: Run, tmp_path: Path
) -> None:
    changes, dataset, words = REFUSED[case]
    model = folders.write(
        tmp_path / "model", folders.plans(**changes), dataset or folders.dataset(), weights={}
    )
    code, out, err = run("nnunet", model, "-o", tmp_path / "set")
    assert (code, out) == (4, "")
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("missing", "options", "words"),
    [("plans.json", (), "plans.json is missing"), ("dataset.json", (), "dataset.json is missing"),
     ("fold_0/checkpoint_final.pth", (), "no fold_*/checkpoint_final.pth"),
     (None, ("--folds", "0,3"), "fold 3 has no"),
     (None, ("--configuration", "3d_lowres"), "trained as 3d_fullres")],
)  # fmt: skip
def test_missing_files_are_named(
    missing: str | None, options: tuple[str, ...], words: str, run: Run, tmp_path: Path
) -> None:
    model = folders.write(tmp_path / "model", folders.plans(), folders.dataset())
    if missing:
        (model / missing).unlink()
    code, _, err = run("nnunet", model, "-o", tmp_path / "set", *options)
    assert code == 4
    assert words in err


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "was here")


def test_a_checkpoint_that_runs_code_is_refused_unread(run: Run, tmp_path: Path) -> None:
    model = folders.write(tmp_path / "model", folders.plans(), folders.dataset())
    trace = tmp_path / "trace"
    torch.save({"network_weights": Harmful(trace)}, model / "fold_0" / "checkpoint_final.pth")
    code, _, err = run("nnunet", model, "-o", tmp_path / "set")
    assert code == 4
    assert "would execute code" in err
    assert not trace.exists()
