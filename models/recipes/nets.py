"""The networks that ship, as PyTorch modules: one 3-D U-Net for three roles."""

import torch
from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """Two (Conv3d k3, InstanceNorm3d, LeakyReLU) steps; the first may stride."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(cin, cout, 3, stride, 1, bias=False),
            nn.InstanceNorm3d(cout, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv3d(cout, cout, 3, 1, 1, bias=False),
            nn.InstanceNorm3d(cout, affine=True),
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
