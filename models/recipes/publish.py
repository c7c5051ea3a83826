"""Checkpoints of the recipes to the shipped set: ONNX files and a manifest with their hashes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from export.manifests import update_hashes
from export.to_onnx import write_onnx
from models.recipes import classifier, finder, labeller, locator, segmenter
from models.recipes.folds import FOLDS
from models.recipes.nets import UNet3D


class SpineHead(nn.Module):
    """The locator's levels summed up: background and spine, as probabilities."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        background = self.net(x).softmax(1)[:, :1]
        return torch.cat([background, 1 - background], 1)


class FinderHead(nn.Module):
    """The finder with its two kinds of probabilities: centre by sigmoid, parts by softmax."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        return torch.cat([out[:, :1].sigmoid(), out[:, 1:].softmax(1)], 1)


class LevelHead(nn.Module):
    """The labeller with its two kinds of probabilities: levels by softmax, the rib by sigmoid."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        return torch.cat([out[:, :-1].softmax(1), out[:, -1:].sigmoid()], 1)


def _load(net: nn.Module, checkpoint: Path) -> nn.Module:
    net.load_state_dict(torch.load(checkpoint, weights_only=True))
    return net.eval()


def publish_locator(checkpoint: Path, out: Path) -> None:
    net = SpineHead(_load(UNet3D(1, len(labeller.CLASSES), locator.CHANNELS), checkpoint))
    write_onnx(net, torch.zeros(2, 1, *locator.PATCH), out / "locator.onnx", "hu", "spine", True)


def publish_finder(checkpoint: Path, out: Path) -> None:
    net = FinderHead(_load(finder.network(), checkpoint))
    write_onnx(net, torch.zeros(2, 1, *finder.PATCH), out / "finder.onnx", "hu", "bodies")


def publish_labeller(checkpoint: Path, out: Path) -> None:
    net = LevelHead(_load(labeller.network(), checkpoint))
    write_onnx(net, torch.zeros(2, 1, *labeller.PATCH), out / "labeller.onnx", "hu", "level")


def publish_segmenter(checkpoint: Path, out: Path) -> None:
    net = _load(UNet3D(2, 3, segmenter.CHANNELS), checkpoint)
    write_onnx(
        net, torch.zeros(2, 2, *segmenter.PATCH), out / "segmenter.onnx", "hu_and_guide", "parts"
    )


WRITERS = {
    "locator": publish_locator,
    "finder": publish_finder,
    "labeller": publish_labeller,
    "segmenter": publish_segmenter,
}


def publish_set(homes: Sequence[Path], out: Path, like: Path) -> None:
    """A whole set in `out`: networks from the checkpoints in `homes`, the first that has one, the
    others as in `like`."""
    if out.resolve() != like.resolve():
        shutil.copytree(like, out, dirs_exist_ok=True)
        (out / "scorecard.json").unlink(missing_ok=True)  # that of other weights
    done: set[str] = set()
    for home in homes:
        for role in set(trained(home)) - done:
            done.add(role)
            if role == "classifier":
                classifier.publish_classifier(home / "classifier.pt", home / "crops", out)
            else:
                WRITERS[role](home / f"{role}.pt", out)
    update_hashes(out / "manifest.toml")


def trained(home: Path) -> tuple[str, ...]:
    """Roles that have a checkpoint in `home`."""
    return tuple(r for r in (*WRITERS, "classifier") if (home / f"{r}.pt").exists())


def note_folds(folder: Path) -> None:
    """folds.json: which networks of which model set left out which CTs, for the scorecard."""
    listed = {}
    for name in (name for name in FOLDS if (folder / name / "set").is_dir()):
        roles: dict[str, tuple[str, ...]] = {}
        for home in (name, *sharing(name)):
            for role in trained(folder / home):
                roles.setdefault(role, FOLDS[home])
        listed[f"{name}/set"] = roles
    text = json.dumps(listed, indent=1)
    (folder / "folds.json").write_text(text + "\n", encoding="utf-8")


def sharing(fold: str) -> tuple[str, ...]:
    """Other folds that leave out one of this fold's CTs: their networks have not seen it."""
    items = set(FOLDS[fold])
    return tuple(name for name, own in FOLDS.items() if name != fold and items & set(own))
