"""The network as it ships: calibrated, and with a third answer, "unknown".

That answer has two sources: the network was shown some of what is no fracture, and a distance tells
how far a crop is from every fracture it was shown.
The distance is Mahalanobis' to the nearer class, shared covariance (Lee et al. 2018). It is taken
where a stranger shows: in the picture's own grey values and in what each stage finds on average.
The last features, on which the classes are told apart, have forgotten all that does not tell them
apart: metal, or a vertebra on its side, lies among the known there.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes.nets import Net3D

CLASSES = ("osteoporotic", "malignant", "unknown")
_EDGES = (-2.2, -1.5, -1.0, -0.8, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 3.8)  # as normalised
_FINEST = 0.05  # steps between voxels below this are all alike
_SHRINKAGE = 0.1  # of the covariance towards its diagonal
_FARTHEST = 10.0  # standard deviations in any direction count; keeps half precision in range
_TYPICAL_UNKNOWN = 0.01  # p(unknown) at the median distance of what is known


def describe(net: Net3D, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Crops (n, 1, 64, 64, 64) -> logits (n, 2 or 3) and what strangers are told by, (n, d)."""
    stages = net.encoder.stages(crops)
    means = [stage.mean((2, 3, 4)) for stage in stages]
    return net.classifier(stages[-1]), torch.cat([*means, _picture(crops)], 1)


def _picture(crops: Tensor) -> Tensor:
    """Histograms and grain of the crop and of its middle; mean of each 16 mm block."""
    numbers = []
    for part in (crops, crops[..., 20:44, 20:44, 20:44]):
        numbers += [torch.sigmoid((part - edge) * 8).mean((2, 3, 4)) for edge in _EDGES]
        z = part[:, :, 1:] - part[:, :, :-1]
        y = part[..., 1:, :] - part[..., :-1, :]
        x = part[..., 1:] - part[..., :-1]
        numbers += [(step.abs().mean((2, 3, 4)) + _FINEST).log() for step in (z, y, x)]
    return torch.cat([*numbers, F.avg_pool3d(crops, 16).flatten(1)], 1)


@dataclass(frozen=True, eq=False)
class Familiar:
    """What is known, as Gaussians in a whitened space of d numbers.

    z = (features - centre) / scale @ whiten; distance = root mean square of z - mean, to the
    nearer of the two class means (2, d). At `limit` p(unknown) is one half.
    """

    centre: Tensor
    scale: Tensor
    whiten: Tensor
    means: Tensor
    limit: float = 0.0
    steepness: float = 1.0

    def distance(self, features: Tensor) -> Tensor:
        """(n, d) -> (n,)."""
        z = ((features - self.centre) / self.scale) @ self.whiten
        away = (z[:, None] - self.means[None]).clamp(-_FARTHEST, _FARTHEST)
        near: Tensor = away.square().mean(2).amin(1)
        return near.sqrt()

    def with_limit(self, distances: Tensor, percentile: float) -> "Familiar":
        """The limit such that this share of known distances lies below it."""
        limit = float(distances.quantile(percentile))
        typical = float(distances.median())
        steepness = math.log(1 / _TYPICAL_UNKNOWN - 1) / max(limit - typical, 1e-3)
        return replace(self, limit=limit, steepness=steepness)


def familiar(features: Tensor, classes: Tensor) -> Familiar:
    """From the features (n, d) of training crops and their classes (n,)."""
    known = features.double()
    # Half precision rounds at a few thousandths: what varies less than that is not looked at.
    centre, scale = known.mean(0), known.std(0) + 0.01 * known.mean(0).abs() + 1e-3
    z = (known - centre) / scale
    means = torch.stack([z[classes == c].mean(0) for c in (0, 1)])
    rest = z - means[classes]
    covariance = rest.T @ rest / len(rest)
    own = torch.diag(torch.diag(covariance))
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * own
    covariance += 1e-3 * torch.eye(len(covariance), dtype=torch.float64)
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance)).T.half().double()  # as it ships
    return Familiar(centre.float(), scale.float(), whiten.float(), (means @ whiten).float())


class OpenSet(nn.Module):
    """(n, 1, 64, 64, 64) -> logits (n, 3) of CLASSES, for a softmax.

    The ratio of the first two is the network's own. taught_limit: the network's log odds of
    "unknown" against any fracture, after the temperature, at which p(unknown) is one half; the
    distance's limit is the other way to that. A network of two answers has the distance alone.
    """

    def __init__(
        self, net: Net3D, temperature: float, known: Familiar, taught_limit: float
    ) -> None:
        super().__init__()
        self.net, self.temperature, self.known = net, temperature, known
        self.taught_limit = taught_limit

    def forward(self, crops: Tensor) -> Tensor:
        logits, features = describe(self.net, crops)
        logits = logits / self.temperature
        strange = (self.known.distance(features) - self.known.limit) * self.known.steepness
        if logits.shape[1] == len(CLASSES):
            strange = torch.maximum(strange, log_odds_unknown(logits) - self.taught_limit)
        fracture = logits[:, :2]
        return torch.cat([fracture, (fracture.logsumexp(1) + strange)[:, None]], 1)


def log_odds_unknown(logits: Tensor) -> Tensor:
    """Of the third answer against the first two, (n, 3) -> (n,)."""
    return logits[:, 2] - logits[:, :2].logsumexp(1)
