"""Checkpoints of the recipes to the shipped set: ONNX files and a manifest with their hashes."""

from pathlib import Path

import torch
from torch import Tensor, nn

from export.networks import Net3D
from export.to_onnx import write_onnx
from models.recipes import classifier, finder, labeller, locator, segmenter
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
    net = _load(labeller.LevelNet(), checkpoint)
    write_onnx(net, torch.zeros(2, 1, *labeller.PATCH), out / "labeller.onnx", "hu", "level", True)


def publish_segmenter(checkpoint: Path, out: Path) -> None:
    net = _load(UNet3D(2, 3, segmenter.CHANNELS), checkpoint)
    write_onnx(
        net, torch.zeros(2, 2, *segmenter.PATCH), out / "segmenter.onnx", "hu_and_guide", "parts"
    )


class Calibrated(nn.Module):
    """Logits divided by the temperature found on held-out phantoms."""

    def __init__(self, net: nn.Module, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x) / self.temperature
        return out


def publish_classifier(checkpoint: Path, out: Path, temperature: float) -> None:
    net = Calibrated(_load(Net3D(), checkpoint), temperature)
    write_onnx(
        net,
        torch.zeros(2, 1, *classifier.CROP),
        out / "classifier.onnx",
        "crop",
        "cause",
        half_weights=True,
    )
