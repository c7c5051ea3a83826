"""Checkpoints of the recipes to the shipped set: ONNX files and a manifest with their hashes."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from export.manifests import update_hashes
from export.to_onnx import write_onnx
from models.recipes import classifier, finder, labeller, locator, segmenter
from models.recipes.folds import FOLDS


class Head(nn.Module):
    """A network with what makes probabilities of its answer."""

    def __init__(self, net: nn.Module, probabilities: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.probabilities = net, probabilities

    def forward(self, x: Tensor) -> Tensor:
        return self.probabilities(self.net(x))


def spine(out: Tensor) -> Tensor:
    """The locator's levels summed up: background and spine."""
    background = out.softmax(1)[:, :1]
    return torch.cat([background, 1 - background], 1)


def bodies(out: Tensor) -> Tensor:
    """The finder's centre by sigmoid, its parts by softmax."""
    return torch.cat([out[:, :1].sigmoid(), out[:, 1:].softmax(1)], 1)


def levels(out: Tensor) -> Tensor:
    """The labeller's levels by softmax, the rib by sigmoid."""
    return torch.cat([out[:, :-1].softmax(1), out[:, -1:].sigmoid()], 1)


def publish_network(role: str, checkpoint: Path, out: Path) -> None:
    """`out`/<role>.onnx of a checkpoint; not the classifier's."""
    recipe, channels, given, answer, head, half_weights = SHIPPED[role]
    net = recipe.network(checkpoint).eval()
    example = torch.zeros(2, channels, *recipe.PATCH)
    whole = Head(net, head) if head else net
    write_onnx(whole, example, out / f"{role}.onnx", given, answer, half_weights)


Shipped = tuple[ModuleType, int, str, str, Callable[[Tensor], Tensor] | None, bool]
SHIPPED: dict[str, Shipped] = {
    "locator": (locator, 1, "hu", "spine", spine, True),
    "finder": (finder, 1, "hu", "bodies", bodies, False),
    "labeller": (labeller, 1, "hu", "level", levels, False),
    "segmenter": (segmenter, 2, "hu_and_guide", "parts", None, False),
}
"""Recipe, input channels, names of input and output, head, and whether weights are halved."""


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
                publish_network(role, home / f"{role}.pt", out)
    update_hashes(out / "manifest.toml")


def trained(home: Path) -> tuple[str, ...]:
    """Roles that have a checkpoint in `home`."""
    return tuple(r for r in (*SHIPPED, "classifier") if (home / f"{r}.pt").exists())


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
