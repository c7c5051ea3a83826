"""Our networks as PyTorch modules: one 3-D U-Net for three roles, the labeller's, the classifier's,
and one that sees slices. Layer names are those of the checkpoints, the classifier's its authors',
the last one's torchvision's."""

from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


def loaded(net: Net, checkpoint: Path | None) -> Net:
    """The network with the checkpoint's weights, if one is given."""
    if checkpoint is not None:
        net.load_state_dict(torch.load(checkpoint, weights_only=True))
    return net


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


def _step(cin: int, cout: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv3d(cin, cout, 3, stride, 1, bias=False),
        InstanceNorm(cout, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


class ConvBlock(nn.Sequential):
    """Two (Conv3d k3, InstanceNorm3d, LeakyReLU) steps; the first may stride."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__(*_step(cin, cout, stride), *_step(cout, cout, 1))


class UNet3D(nn.Module):
    """U-Net (Cicek et al. 2016) with strided convolutions down and transposed ones up.

    stem: stride of the first convolution. With 2 nothing is computed at full resolution, where
    most of a U-Net's work lies: the head is a transposed convolution, which gives each voxel its
    answer from the features of its block of eight.
    Input (n, cin, z, y, x) float; z, y, x divisible by stem * 2 ** (len(channels) - 1).
    Output (n, cout, z, y, x) logits.
    """

    def __init__(self, cin: int, cout: int, channels: tuple[int, ...], stem: int = 1) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        previous = cin
        for depth, width in enumerate(channels):
            self.down.append(ConvBlock(previous, width, stride=2 if depth else stem))
            previous = width
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        for below, width in zip(channels[:0:-1], channels[-2::-1], strict=True):
            self.up.append(nn.ConvTranspose3d(below, width, 2, 2))
            self.merge.append(ConvBlock(2 * width, width))
        last = nn.Conv3d if stem == 1 else nn.ConvTranspose3d
        self.head = last(channels[0], cout, stem, stem)

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


class SharpUNet3D(UNet3D):
    """A U-Net with a stem of stride 2, and two thin convolutions at full resolution behind it that
    see its answer beside the image: edges lie where the image has them.

    width: channels of these two, the image's own among them. Input, output as of `UNet3D`.
    """

    def __init__(self, cin: int, cout: int, channels: tuple[int, ...], width: int = 8) -> None:
        super().__init__(cin, width - cin, channels, stem=2)
        self.edges = ConvBlock(width, width)
        self.last = nn.Conv3d(width, cout, 1)
        nn.init.zeros_(self.last.weight)  # training begins with the answer of the U-Net alone
        self.cout = cout

    def forward(self, x: Tensor) -> Tensor:
        rough = super().forward(x)
        out: Tensor = rough[:, : self.cout] + self.last(self.edges(torch.cat([rough, x], 1)))
        return out


class LevelNet(nn.Module):
    """(n, 1, z, y, x) -> logits (n, answers).

    Pooled over all places, so that where in the crop something lies counts little.
    """

    def __init__(self, answers: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers = [nn.Sequential(*_step(1, widths[0], 2))]
        for cin, cout in pairwise(widths):
            layers += [nn.Sequential(*_step(cin, cout, 2)), nn.Sequential(*_step(cout, cout, 1))]
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(2 * widths[-1], answers)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        pooled = torch.cat([features.mean((2, 3, 4)), features.amax((2, 3, 4))], 1)
        out: Tensor = self.head(self.drop(pooled))
        return out


def _conv_norm(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(cin, cout, 3, 1, 1), nn.InstanceNorm3d(cout, affine=True), nn.ReLU()
    )


class Encoder(nn.Module):
    """Five stages of two convolutions, halved by max pooling in between: 64^3 -> 4^3."""

    def __init__(self, base: int) -> None:
        super().__init__()
        width = [1, base, 2 * base, 4 * base, 8 * base, 16 * base]
        stages = [nn.Sequential(_conv_norm(a, b), _conv_norm(b, b)) for a, b in pairwise(width)]
        self.encoder_1, self.encoder_2, self.encoder_3, self.encoder_4, self.encoder_5 = stages
        self.pool = nn.MaxPool3d(2)

    def stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """Each stage's output, the finest first."""
        out = [self.encoder_1(x)]
        for stage in (self.encoder_2, self.encoder_3, self.encoder_4, self.encoder_5):
            out.append(stage(self.pool(out[-1])))
        return tuple(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1]


class LinearBlock(nn.Module):
    """Linear, BatchNorm1d, LeakyReLU."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.linear_block = nn.Sequential(
            nn.Linear(cin, cout), nn.BatchNorm1d(cout), nn.LeakyReLU(0.01)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear_block(x)
        return out


class Classifier(nn.Module):
    """Encoder features (n, 256, 4, 4, 4) -> logits (n, classes)."""

    def __init__(self, cin: int, channels: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.initial_conv = nn.Conv3d(cin, cin // 2, 3, padding=1)
        self.bn_init = nn.InstanceNorm3d(cin // 2, affine=True)
        self.initial_conv1 = nn.Conv3d(cin // 2, cin // 4, 3, padding=1)
        self.bn_init1 = nn.InstanceNorm3d(cin // 4, affine=True)
        self.initial_conv2 = nn.Conv3d(cin // 4, cin // 8, 3, padding=1)
        self.bn_init2 = nn.InstanceNorm3d(cin // 8, affine=True)
        self.initial_conv3 = nn.Conv3d(cin // 8, 8, 3, padding=1)
        self.bn_init3 = nn.InstanceNorm3d(8, affine=True)
        self.layer1 = LinearBlock(512, channels[0])
        self.layer2 = LinearBlock(channels[0], channels[1])
        self.layer3 = LinearBlock(channels[1], channels[2])
        self.final_dense = nn.Linear(channels[2], classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer decides on: (n, channels[2])."""
        x = self.bn_init(self.initial_conv(x))
        x = self.bn_init1(self.initial_conv1(x))
        x = self.bn_init2(self.initial_conv2(x))
        x = self.bn_init3(self.initial_conv3(x)).flatten(1)
        out: Tensor = self.layer3(self.layer2(self.layer1(x)))
        return out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.final_dense(self.features(x))
        return out


class Net3D(nn.Module):
    """The fracture classifier of Foreman et al. 2024 (malekosh/osteo-malignant, MIT).

    (n, 1, 64..79 cubed) in 0..1-like numbers -> logits (n, 2): osteoporotic, malignant.
    """

    def __init__(
        self,
        projector_base: int = 16,
        classifier_channels: tuple[int, int, int] = (256, 128, 64),
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(projector_base)
        self.classifier = Classifier(16 * projector_base, classifier_channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.encoder(x))
        return out


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3, 1x1 beside a shortcut (He et al. 2016). The 3x3 strides, as in
    torchvision, whose weights fit."""

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        cout = 4 * width
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or cin != cout:
            fit = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.downsample = nn.Sequential(fit, nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + beside)
        return out


class ResNet50(nn.Module):
    """ResNet-50 (He et al. 2016) of three slices: (n, 3, rows, columns) -> logits (n, classes).

    width: of its first stage; 64 is the published network, whose weights from torchvision fit.
    """

    def __init__(self, classes: int = 2, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages, cin = [], width
        for number, blocks in enumerate((3, 4, 6, 3)):
            own = width << number
            steps = [Bottleneck(cin, own, 2 if number else 1)]
            steps += [Bottleneck(4 * own, own, 1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*steps))
            cin = 4 * own
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(cin, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        out: Tensor = self.fc(x.mean((2, 3)))
        return out
