"""Networks of PyTorch, MONAI and nnU-Net, each written by its library's own code."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.results import ROOT, UNFINISHED
from tests.export import nnunet_folders
from tests.export.nets import TinyNet, shaken

CLASSES = 3
_NNUNETS = UNFINISHED / "foreign_nnunet"
_CASES = {
    "plain": ("3d_fullres", [0]),
    "residual": ("3d_fullres", [0, 1, 2, 3, 4]),
    "folds": ("3d_fullres", [0, 1]),
    "regions": ("3d_fullres", [0]),
}
UNET = {
    "spatial_dims": 3, "in_channels": 2, "out_channels": CLASSES,
    "channels": [4, 8, 16], "strides": [2, 2], "num_res_units": 2,
}  # fmt: skip


def densenet() -> Any:
    """11 million weights."""
    from monai.networks.nets import DenseNet121

    return DenseNet121(spatial_dims=3, in_channels=1, out_channels=CLASSES)


def unet() -> Any:
    from monai.networks.nets import UNet

    return UNet(**UNET)


def segresnet() -> Any:
    from monai.networks.nets import SegResNet

    return SegResNet(
        init_filters=8, in_channels=2, out_channels=CLASSES, blocks_down=(1, 2), blocks_up=(1,)
    )


def resnet() -> Any:
    from monai.networks.nets import resnet10

    return resnet10(n_input_channels=1, num_classes=CLASSES, widen_factor=0.25)


def attention_unet() -> Any:
    from monai.networks.nets import AttentionUnet

    return AttentionUnet(3, 2, CLASSES, channels=(4, 8, 16), strides=(2, 2))


def unetr() -> Any:
    from monai.networks.nets import UNETR

    return UNETR(2, CLASSES, (32, 32, 32), feature_size=4, hidden_size=48, mlp_dim=96, num_heads=4)


class _Branching(TinyNet):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if bool(x.mean() > 0):
            x = torch.relu(x)
        answer: torch.Tensor = self.last(x).mean((2, 3, 4))
        return answer


def branching() -> nn.Module:
    return _Branching(1, CLASSES)


def saved(net: nn.Module, kind: str, folder: Path, shape: tuple[int, ...]) -> Path:
    """kind: pt2, traced or scripted. shape: of one patch, channels first."""
    torch.manual_seed(0)
    net = shaken(net)
    path = folder / ("net.pt2" if kind == "pt2" else "net.pt")
    example = torch.randn(2, *shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if kind == "pt2":
            free = ({0: torch.export.Dim("batch", min=1)},)
            torch.export.save(torch.export.export(net, (example,), dynamic_shapes=free), path)
        else:
            make: Any = torch.jit.script if kind == "scripted" else torch.jit.trace
            made = make(net) if kind == "scripted" else make(net, example)
            made.save(str(path))
    return path


def bundle(
    folder: Path, *, traced: bool = False, zipped: bool = False, script: bool = True
) -> Path:
    """By MONAI's init_bundle and ckpt_export."""
    from monai.bundle import ckpt_export, init_bundle

    place = folder / "spine_bundle"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init_bundle(place, network=shaken(unet()), metadata_str=_METADATA, inference_str=_INFERENCE)
        if script:
            shape = {"use_trace": True, "input_shape": [2, 2, 32, 32, 32]} if traced else {}
            inference = str(place / "configs" / "inference.json")
            ckpt_export(bundle_root=str(place), config_file=inference, **shape)
    if not zipped:
        return place
    return Path(shutil.make_archive(str(folder / "zipped"), "zip", folder, place.name))


def _channels(names: list[str]) -> dict[str, Any]:
    return {
        "type": "image", "num_channels": len(names), "spatial_shape": ["4*n", "4*n", "4*n"],
        "dtype": "float32", "value_range": [0, 1], "is_patch_data": True,
        "channel_def": {str(i): name for i, name in enumerate(names)},
    }  # fmt: skip


_METADATA = {
    "version": "0.1.0", "monai_version": "1.6.1", "pytorch_version": "2.13.0",
    "numpy_version": "2.4.6", "required_packages_version": {}, "changelog": {"0.1.0": "first"},
    "task": "Parts of a vertebra", "description": "Random weights", "authors": "nobody",
    "copyright": "nobody's", "intended_use": "research",
    "network_data_format": {
        "inputs": {"image": _channels(["image", "guide"])},
        "outputs": {"pred": _channels(["background", "body", "arch"])},
    },
}  # fmt: skip
_INFERENCE = {
    "network_def": {"_target_": "UNet", **UNET},
    "network": "$@network_def.to('cpu')",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 1.5]},
            {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -1000, "a_max": 1000,
             "b_min": 0.0, "b_max": 1.0, "clip": True},
        ],
    },
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32]},
}  # fmt: skip


def nnunet(folder: Path, case: str) -> Path:
    """As nnU-Net's planner and trainer wrote it. folder: not used, as nothing is made here."""
    name = "exported.zip" if case == "folds" else f"models/{case}"
    return _NNUNETS / name


def make_nnunets() -> None:
    """All cases at once, kept for the next time, by tests/export/nnunet_peer.py; its predictor is
    given next to nothing to do."""
    import numpy as np

    if (_NNUNETS / f"{list(_CASES)[-1]}.npy").is_file():
        return
    shutil.rmtree(_NNUNETS, ignore_errors=True)
    _NNUNETS.mkdir(parents=True)
    np.savez(_NNUNETS / "ct.npz", hu=np.zeros((8, 8, 8), np.int16), spacing=[2.0] * 3)
    (_NNUNETS / "cases.json").write_text(json.dumps(_CASES))
    names = ("raw", "preprocessed", "results")
    places = {f"nnUNet_{name}": str(_NNUNETS / name) for name in names}
    program = str(ROOT / "tests" / "export" / "nnunet_peer.py")
    subprocess.run(
        [sys.executable, program, str(_NNUNETS)],
        env={**os.environ, **places},
        check=True,
        capture_output=True,
    )


def nnunet_one_class(folder: Path) -> Path:
    """Vertebrae, without their names."""
    one = nnunet_folders.dataset(("vertebrae",))
    return nnunet_folders.write(folder / "one", nnunet_folders.plans(), one)
