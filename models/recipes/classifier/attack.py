"""Changes too small to see, made to turn the network's answer round: FGSM and PGD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.recipes.classifier.learning import HU_PER_UNIT
from models.recipes.classifier.open_set import OpenSet

REACH_HU = 5.0
STEPS = 8


def fgsm(net: OpenSet, crops: Tensor, classes: Tensor) -> Tensor:
    """One step of 5 HU against the bare network (Goodfellow et al. 2015)."""
    return _climb(net, crops, classes, steps=1, knows_all=False)


def pgd(net: OpenSet, crops: Tensor, classes: Tensor, steps: int = STEPS) -> Tensor:
    """Many steps within ± 5 HU against the bare network (Madry et al. 2018)."""
    return _climb(net, crops, classes, steps, knows_all=False)


def pgd_knowing_all(net: OpenSet, crops: Tensor, classes: Tensor, steps: int = STEPS) -> Tensor:
    """The same against crop and mirror image together, staying within the distance's limit."""
    return _climb(net, crops, classes, steps, knows_all=True)


def untouched(net: OpenSet, crops: Tensor, classes: Tensor) -> Tensor:
    """For comparison."""
    return crops


ATTACKS = {
    "none": untouched,
    "FGSM": fgsm,
    "PGD": pgd,
    "PGD that knows all checks": pgd_knowing_all,
}


def _climb(net: OpenSet, crops: Tensor, classes: Tensor, steps: int, knows_all: bool) -> Tensor:
    reach = REACH_HU / HU_PER_UNIT
    size = reach if steps == 1 else 2.5 * reach / steps
    out = []
    for crop, own in zip(torch.split(crops, 4), torch.split(classes, 4), strict=True):
        change = torch.zeros_like(crop)
        for _ in range(steps):
            change.requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                harm = _harm(net, crop + change, own, knows_all)
            (uphill,) = torch.autograd.grad(harm, change)
            change = (change.detach() + size * uphill.sign()).clamp(-reach, reach)
        out.append(crop + change)
    return torch.cat(out)


def _harm(net: OpenSet, crops: Tensor, classes: Tensor, knows_all: bool) -> Tensor:
    views = [net(crops), net(crops.flip(-1))] if knows_all else [net(crops)]
    harm = torch.stack([F.cross_entropy(logits[:, :2], classes) for logits in views]).sum()
    if knows_all:
        strange = torch.stack([v[:, 2] - v[:, :2].logsumexp(1) for v in views])
        harm = harm - F.relu(strange + 1).mean()
    return harm
