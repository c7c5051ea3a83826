"""A network that sees slices, taught with crops: what it says of a crop is the mean of what it says
of the triplets, as at run time."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from export.checkpoints import load_weights, read_checkpoint, weights_in
from models.recipes.labelled.plan import Plan, crop_spec
from models.recipes.nets import ResNet50
from vfx_edge.inference.patches import network_axes
from vfx_edge.inference.slices import weights

HEAD = "fc."
"""The last layer, of the classes that a network was taught: a start of others brings its own."""


class OfCrops(nn.Module):
    """Crops (n, 1, z, y, x), our axes -> (n, classes) logarithms of the triplets' mean
    probabilities: to cross-entropy and softmax they are logits."""

    def __init__(self, net: ResNet50, plan: Plan) -> None:
        super().__init__()
        spec = crop_spec(plan)
        self.net = net
        self.order, self.flips = network_axes(spec.input)
        self.register_buffer("weights", torch.from_numpy(weights(spec)), persistent=False)

    def slices_of(self, crops: Tensor) -> Tensor:
        """(n * triplets, 3, rows, columns), as `inference.slices.triplets` cuts them."""
        turned = crops[:, 0].flip([1 + axis for axis in self.flips])
        turned = turned.permute(0, *(1 + axis for axis in self.order))
        return torch.einsum("tcd,ndhw->ntchw", self.weights, turned).flatten(0, 1)

    def forward(self, crops: Tensor) -> Tensor:
        logits = self.net(self.slices_of(crops)).float()
        each = logits.log_softmax(1).unflatten(0, (len(crops), -1))
        mean: Tensor = each.logsumexp(1) - math.log(each.shape[1])
        return mean


def network(plan: Plan) -> OfCrops:
    """Untaught, or from the weights of `plan.start`: all but the last layer. NotACheckpoint,
    RunsCode, WrongWeights."""
    net = ResNet50(len(plan.classes), plan.width)
    if plan.start:
        path = Path(plan.start)
        found = weights_in(read_checkpoint(path), path, "state_dict")
        own = {name: value for name, value in net.state_dict().items() if name.startswith(HEAD)}
        rest = {name: value for name, value in found.items() if not name.startswith(HEAD)}
        load_weights(net, {**rest, **own}, path)
    # channels beside each other: a CPU's convolutions are quicker so
    return OfCrops(convert_conv2d_weight_memory_format(net, torch.channels_last), plan)
