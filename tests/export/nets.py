"""Random networks whose answers spread, so that a difference would show."""

import torch
from torch import nn

from models.recipes.nets import Net3D


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight drawn anew, norms and their statistics included."""
    draw = torch.Generator().manual_seed(seed)
    state = network.state_dict()
    for name, value in state.items():
        if not value.is_floating_point():
            continue
        if value.ndim > 1:
            fan = value[0].numel()
            value.normal_(0, (2 / fan) ** 0.5, generator=draw)
        elif name.endswith(("running_var", "weight")):
            value.uniform_(0.5, 1.5, generator=draw)
        else:
            value.normal_(0, 0.2, generator=draw)
    network.load_state_dict(state)
    return network.eval()


def random_classifier(seed: int = 0) -> Net3D:
    """Of the published architecture, as PyTorch draws its weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net3D().eval()


class TinyNet(nn.Module):
    """Two convolutions: (n, channels, p, p, p) -> (n, classes, p, p, p), or (n, classes)."""

    def __init__(self, channels: int = 1, classes: int = 3, dense: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, 4, 3, padding=1)
        self.norm = nn.InstanceNorm3d(4, affine=True)
        self.last = nn.Conv3d(4, classes, 1)
        self.dense = dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.last(torch.relu(self.norm(self.first(x))))
        return x if self.dense else x.mean((2, 3, 4))
