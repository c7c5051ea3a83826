"""What the classifier is trained on, batch by batch, and its loss."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes.classifier import outliers
from models.recipes.classifier.examples import CropPool, normalise, seen_by_a_scanner, shifted
from models.recipes.classifier.open_set import CLASSES
from models.recipes.classifier.phantoms import Kind
from models.recipes.nets import Net3D

RATE = 3e-4  # at higher ones this network does not leave chance
PLAIN_BATCHES = 250  # nor with every scanner from the start
CROPS_A_BATCH = 8
OUTLIER_SHARE = 0.25
SMOOTHING = 0.02  # the synthetic truth is certain, the picture is not always
ATTACKED_A_BATCH = 2  # of the crops; half of them, and the plain ones are learnt no more
ATTACK_HU = 5.0
HU_PER_UNIT = 250.0
UNKNOWN = CLASSES.index("unknown")


def network(checkpoint: Path | None = None) -> Net3D:
    """The published architecture with one answer more: no fracture that it knows.

    checkpoint: weights to begin from; those of the published two answers will do.
    """
    net = Net3D(classes=len(CLASSES))
    if checkpoint is not None:
        known = torch.load(checkpoint, weights_only=True, map_location="cpu")
        for name in ("classifier.final_dense.weight", "classifier.final_dense.bias"):
            lacking = len(CLASSES) - len(known[name])
            more = known[name].new_zeros(lacking, *known[name].shape[1:])
            known[name] = torch.cat([known[name], more])
        net.load_state_dict(known)
    return net


def draw_batches(
    folder: Path, seed: int, untaught: bool, worker: int
) -> Callable[[], tuple[Tensor, ...]]:
    """Draws (crops (8, 1, 64, 64, 64), targets (8, 3), HU of the attack ()).

    untaught: the first batches are only shifted and mirrored. Crops written later are picked up.
    """
    pool, rng = CropPool(folder), np.random.default_rng([seed, worker])
    plain = PLAIN_BATCHES if untaught else 0
    targets = torch.eye(len(CLASSES)) * (1 - len(CLASSES) * SMOOTHING) + SMOOTHING
    drawn = 0

    def one() -> tuple[Tensor, Tensor]:
        if rng.random() < OUTLIER_SHARE:
            return normalise(outliers.draw(pool, rng))[None], targets[UNKNOWN]
        kind = (Kind.OSTEOPOROTIC, Kind.MALIGNANT)[int(rng.integers(2))]
        crop = pool.draw(kind, rng)
        seen = shifted(crop[0], rng) if drawn <= plain else seen_by_a_scanner(crop, rng)
        return normalise(seen)[None], targets[kind]

    def batch() -> tuple[Tensor, ...]:
        nonlocal drawn
        if drawn % 100 == 99:
            pool.rescan()
        drawn += 1
        crops, wanted = zip(*(one() for _ in range(CROPS_A_BATCH)), strict=True)
        strength = torch.tensor(ATTACK_HU if drawn > plain else 0.0)
        return torch.stack(crops), torch.stack(wanted), strength

    return batch


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy against soft targets: nothing is quite certain.

    Some of the batch are changed against the network before it learns from them (Wong et al.
    2020, "Fast is better than free"), or a few HU would turn its answers round.
    """
    crops, targets, strength = batch
    if float(strength) > 0:
        n = ATTACKED_A_BATCH
        changed = _attacked(net, crops[:n], targets[:n], float(strength) / HU_PER_UNIT)
        crops = torch.cat([changed, crops[n:]])
    return F.cross_entropy(net(crops).float(), targets)


def _attacked(net: nn.Module, crops: Tensor, targets: Tensor, reach: float) -> Tensor:
    """One step uphill from a random place within ± reach."""
    net.eval()  # the batch norms' memory is for what is really learnt
    change = torch.empty_like(crops).uniform_(-reach, reach).requires_grad_()
    worse = F.cross_entropy(net(crops + change).float(), targets)
    (uphill,) = torch.autograd.grad(worse, change)
    net.train()
    return crops + (change.detach() + 1.25 * reach * uphill.sign()).clamp(-reach, reach)
