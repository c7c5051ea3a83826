"""Published networks whose checkpoints can be exported, layer names as their authors have them."""

import itertools

from torch import Tensor, nn


def _conv_norm(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(cin, cout, 3, 1, 1), nn.InstanceNorm3d(cout, affine=True), nn.ReLU()
    )


class Encoder(nn.Module):
    """Five stages of two convolutions, halved by max pooling in between: 64^3 -> 4^3."""

    def __init__(self, base: int) -> None:
        super().__init__()
        width = [1, base, 2 * base, 4 * base, 8 * base, 16 * base]
        stages = [
            nn.Sequential(_conv_norm(a, b), _conv_norm(b, b)) for a, b in itertools.pairwise(width)
        ]
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
