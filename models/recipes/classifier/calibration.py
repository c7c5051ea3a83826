"""What is chosen on held-out phantoms: temperature, thresholds, the limit of the distance."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from export.to_onnx import LARGE
from models.recipes.classifier.examples import CALIBRATION, CropPool, held_out
from models.recipes.classifier.open_set import (
    CLASSES,
    Familiar,
    OpenSet,
    describe,
    familiar,
    log_odds_unknown,
)
from models.recipes.nets import Net3D
from vfx_edge.evaluation.classification import Answers
from vfx_edge.spine.classify import combined_views

Floats = NDArray[np.float32]
SENSITIVITY = 0.95  # of the malignant ones at least so many are not called osteoporotic
WRONG = 0.05  # of those that are told, at most so many wrongly
UNCERTAIN = 0.20  # so many of each class may stay untold: that buys the strictest thresholds
FAMILIAR = 0.97  # of the known crops so many lie within the limit: the last few are odd ones
STRICTEST = 0.99
TAUGHT = 400  # training crops that say what is known
_BATCH = 8


@dataclass(frozen=True, eq=False)
class Calibration:
    """All that the manifest and the file need beside the network's weights."""

    temperature: float
    threshold_malignant: float
    threshold_osteoporotic: float
    taught_limit: float
    known: Familiar

    def published(self, net: Net3D) -> OpenSet:
        return OpenSet(net, self.temperature, self.known, self.taught_limit).eval()


def load(checkpoint: Path) -> Net3D:
    """The trained network with the weights that ship: large ones in half precision."""
    weights = torch.load(checkpoint, weights_only=True, map_location="cpu")
    net = Net3D(classes=len(weights["classifier.final_dense.bias"]))
    net.load_state_dict(weights)
    for weight in net.parameters():
        if weight.numel() >= LARGE:
            weight.data = weight.data.half().float()
    return net.eval()


@torch.no_grad()
def described(net: Net3D, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, 2 or 3) and features (n, d) of any number of crops."""
    parts = [describe(net, part) for part in torch.split(crops, _BATCH)]
    return torch.cat([logits for logits, _ in parts]), torch.cat([f for _, f in parts])


def fitted_temperature(logits: Tensor, classes: Tensor) -> float:
    """Of 0.5 to 5 the one that makes held-out answers most likely (Guo et al. 2017)."""
    choices = torch.logspace(-0.3, 0.7, 101)
    losses = torch.stack([F.cross_entropy(logits / t, classes) for t in choices])
    return float(choices[int(losses.argmin())])


def chosen_thresholds(p_malignant: Floats, malignant: NDArray[np.bool_]) -> tuple[float, float]:
    """(malignant, osteoporotic): the strictest that leave UNCERTAIN of each class untold; stricter
    still where more would be told wrongly, or malignant ones missed, than is allowed."""
    low = float(np.quantile(p_malignant[malignant], UNCERTAIN))
    other = float(np.quantile(1 - p_malignant[~malignant], UNCERTAIN))
    found = (low, other)
    for strict in np.linspace(0, 1, 101):
        found = tuple(max(0.5, t) + strict * max(STRICTEST - max(0.5, t), 0) for t in (low, other))
        found = (min(found[0], STRICTEST), min(found[1], STRICTEST))
        if _holds(p_malignant, malignant, *found):
            break
    return round(float(found[0]), 3), round(float(found[1]), 3)


def _holds(p: Floats, malignant: NDArray[np.bool_], t_malignant: float, t_other: float) -> bool:
    answers = Answers(p >= t_malignant, 1 - p >= t_other, malignant)
    answered = max(int(answers.answered.sum()), 1)
    few_wrong = bool(answers.wrong.sum() / answered <= WRONG)
    return few_wrong and answers.not_missed >= SENSITIVITY


def calibrate(checkpoint: Path, crops: Path, views: int = 1) -> Calibration:
    """Features from the training phantoms, everything else from the calibration ones."""
    net = load(checkpoint)
    taught, classes, _ = held_out(CropPool(crops), 1, seed=1, at_most=TAUGHT)
    _, features = described(net, taught)
    known = familiar(features, classes)
    held, classes, _ = held_out(CropPool(crops, CALIBRATION), views, seed=2)
    straight, mirrored = described(net, held), described(net, held.flip(-1))
    temperature = fitted_temperature(straight[0][:, :2], classes)
    far = torch.maximum(known.distance(straight[1]), known.distance(mirrored[1]))
    known = known.with_limit(far, FAMILIAR)
    both = torch.stack([straight[0], mirrored[0]]) / temperature
    p_malignant = combined_views(both[..., :2].softmax(2).numpy(), CLASSES[:2]).malignant
    thresholds = chosen_thresholds(p_malignant, classes.numpy() == 1)
    return Calibration(temperature, *thresholds, _taught_limit(both), known)


def _taught_limit(views: Tensor) -> float:
    """Below it lie FAMILIAR of the held-out fractures, logits (2, n, classes)."""
    if views.shape[2] < len(CLASSES):
        return 0.0
    odds = torch.stack([log_odds_unknown(view) for view in views]).amax(0)
    return float(odds.quantile(FAMILIAR))


def kept(checkpoint: Path, crops: Path) -> Calibration:
    """The calibration beside the checkpoint, made anew where the weights are others by now."""
    path = checkpoint.with_suffix(".calibration")
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    if path.exists():
        found = torch.load(path, weights_only=True)
        if found.pop("checkpoint") == digest:
            return Calibration(known=Familiar(**found.pop("known")), **found)
    made = calibrate(checkpoint, crops)
    torch.save({**vars(made), "known": vars(made.known), "checkpoint": digest}, path)
    return made
