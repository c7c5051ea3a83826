"""The networks that ship, as PyTorch modules: one 3-D U-Net for three roles."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.InstanceNorm3d):
    """torch's, but a single image in training goes by batch norm, which is the same sum and on
    a CPU keeps the channels-last layout: a step takes two thirds of the time."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        return super().forward(input)


def each_alone(net: nn.Module, batch: Tensor) -> Tensor:
    """`net(batch)`; on a CPU image by image, for `InstanceNorm`'s sake."""
    if batch.is_cuda:
        return net(batch)  # type: ignore[no-any-return]
    return torch.cat([net(image[None]) for image in batch])


class ConvBlock(nn.Sequential):
    """Two (Conv3d k3, InstanceNorm3d, LeakyReLU) steps; the first may stride."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(cin, cout, 3, stride, 1, bias=False),
            InstanceNorm(cout, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv3d(cout, cout, 3, 1, 1, bias=False),
            InstanceNorm(cout, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        )


class UNet3D(nn.Module):
    """U-Net (Cicek et al. 2016) with strided convolutions down and transposed ones up.

    Input (n, cin, z, y, x) float; z, y, x divisible by 2 ** (len(channels) - 1).
    Output (n, cout, z, y, x) logits.
    """

    def __init__(self, cin: int, cout: int, channels: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        previous = cin
        for depth, width in enumerate(channels):
            self.down.append(ConvBlock(previous, width, stride=1 if depth == 0 else 2))
            previous = width
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        for below, width in zip(channels[:0:-1], channels[-2::-1], strict=True):
            self.up.append(nn.ConvTranspose3d(below, width, 2, 2))
            self.merge.append(ConvBlock(2 * width, width))
        self.head = nn.Conv3d(channels[0], cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
        out: Tensor = self.head(x)
        return out
