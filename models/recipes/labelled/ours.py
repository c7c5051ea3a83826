"""`--recipe ours`: the study's network with what the shipped classifier has besides.

A temperature, thresholds and a limit of familiarity, all chosen on the validation part: a crop
farther than that from the crops taught is answered "unknown". And the mirror image is asked too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.recipes.classifier.calibration import (
    FAMILIAR,
    TAUGHT,
    chosen_thresholds,
    described,
    fitted_temperature,
)
from models.recipes.classifier.open_set import CLASSES, OpenSet, familiar
from models.recipes.labelled.plan import Plan, crop_spec
from models.recipes.labelled.runs import Taught
from models.recipes.labelled.shown import shown
from models.recipes.nets import Net3D
from vfx_edge.spine.classify import combined_views

UNKNOWN = 0.5
_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class FamiliarSet:
    """The network as it ships. thresholds: (malignant, osteoporotic)."""

    net: OpenSet
    thresholds: tuple[float, float]
    temperature: float


def plain(plan: Plan, taught: Taught, index: Sequence[int]) -> Tensor:
    """(len(index), 1, 64, 64, 64) on the CPU."""
    crops = shown([taught.crops[n] for n in index], crop_spec(plan).input, "cpu")
    return crops.plain(range(len(index)))


def familiar_set(
    net: Net3D, plan: Plan, taught: Taught, learn: Sequence[int], stop: Sequence[int]
) -> FamiliarSet:
    """Features from the crops taught, everything else from those that said when to stop."""
    net = net.cpu().eval()
    some = np.random.default_rng(1).permutation(len(learn))[:TAUGHT]
    known_crops = [learn[int(n)] for n in some]
    _, features = described(net, plain(plan, taught, known_crops))
    known = familiar(features, torch.tensor([taught.classes[n] for n in known_crops]))
    held = plain(plan, taught, stop)
    straight, mirrored = described(net, held), described(net, held.flip(-1))
    classes = torch.tensor([taught.classes[n] for n in stop])
    temperature = fitted_temperature(straight[0], classes)
    far = torch.maximum(known.distance(straight[1]), known.distance(mirrored[1]))
    both = torch.stack([straight[0], mirrored[0]]) / temperature
    p = combined_views(both.softmax(2).numpy(), CLASSES[:2]).malignant
    thresholds = chosen_thresholds(p, classes.numpy() == 1)
    published = OpenSet(net, temperature, known.with_limit(far, FAMILIAR), 0.0).eval()
    return FamiliarSet(published, thresholds, temperature)


@torch.no_grad()
def answers(
    net: OpenSet, plan: Plan, taught: Taught, index: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """p(malignant) of crop and mirror image as the chain combines them, and which are unlike all
    that was taught; each (len(index),)."""
    crops = plain(plan, taught, index)
    both = [
        torch.cat([net(part).softmax(1) for part in torch.split(view, _AT_ONCE)])
        for view in (crops, crops.flip(-1))
    ]
    said = combined_views(torch.stack(both).numpy(), CLASSES)
    return said.malignant.astype(np.float64), said.unknown >= UNKNOWN
