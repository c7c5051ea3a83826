"""`export resnet`: a ResNet-50 of three neighbouring slices, from its weights alone.

Names of the weights are torchvision's, so that whoever taught its `resnet50` new classes has a
checkpoint that fits; so has `python -m models.recipes classifier --network slices`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export import by_manifest, options
from export.by_manifest import Made, Misfit, Steps, by

if TYPE_CHECKING:
    from torch import Tensor

    from export.template import Facts
    from models.recipes.nets import ResNet50
    from vfx_edge.manifest import NetworkSpec

NAME = "resnet"
WIDTHS = range(4, 257)
"""Of the first stage: 64 is the published network."""
EXAMPLES = """\b
Examples:
  python -m export resnet slices.pth --template mine.toml --role classifier    then fill it in
  python -m export resnet slices.pth --manifest mine.toml -o models/mine
"""


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A state_dict under torchvision's names, as PyTorch saved it.",
            readable=False,
        ),
    ],
    out: by_manifest.Out = None,
    manifest: by_manifest.Manifest = None,
    template: by_manifest.Template = None,
    role: by_manifest.Role = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of a ResNet-50 that sees three neighbouring sagittal slices.

    First with --template, which writes a manifest to fill in; then with --manifest and -o. Reads
    weights only: a file that would execute code is refused.
    """
    steps = Steps(file, out, manifest, template, role, overwrite)
    by_manifest.take(NAME, steps, lambda: _facts(file), lambda spec: _made(file, spec))


def load(checkpoint: Path) -> "ResNet50":
    """The network with the checkpoint's weights; NotACheckpoint, RunsCode or WrongWeights."""
    from export.checkpoints import load_weights
    from models.recipes.nets import ResNet50

    weights = _weights(checkpoint)
    network = ResNet50(_size(weights, "fc.weight", checkpoint, range(1, 10_001)),
                       _size(weights, "conv1.weight", checkpoint, WIDTHS))  # fmt: skip
    load_weights(network, weights, checkpoint)
    return network


def _weights(checkpoint: Path) -> "dict[str, Tensor]":
    from export.checkpoints import read_checkpoint, weights_in

    return weights_in(read_checkpoint(checkpoint), checkpoint, "state_dict")


def _size(weights: "dict[str, Tensor]", name: str, path: Path, known: range) -> int:
    """How many outputs a layer has; bounded, since a network of that size is made."""
    from export.checkpoints import WrongWeights

    if name not in weights:
        raise WrongWeights(path, f"'{name}' is missing")
    size = weights[name].shape[0] if weights[name].ndim else 0
    if size not in known:
        raise WrongWeights(path, f"'{name}' has {size} outputs, {known[0]} to {known[-1]} can be")
    return int(size)


def _facts(file: Path) -> "Facts":
    from export.template import Facts
    from vfx_edge.manifest import NEIGHBOURS

    network = load(file)
    return Facts(
        channels=NEIGHBOURS,
        classes=network.fc.out_features,
        voxelwise=False,
        slices=True,
        activation="softmax",
    )


def _made(file: Path, spec: "NetworkSpec") -> Made:
    import torch

    from export.to_onnx import compare, onnx_bytes

    network = load(file)
    if spec.slices is None:
        raise Misfit(file, "it sees slices, and the manifest has no [network.slices]")
    if (count := network.fc.out_features) != len(spec.output.classes):
        what = f"it answers {count} classes, the manifest names {len(spec.output.classes)}"
        raise Misfit(file, what)
    example = torch.randn(spec.shape(2), generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            network(example)
    except RuntimeError as error:
        what = f"it does not take {by(tuple(example.shape))}: {error}"
        raise Misfit(file, what) from error
    onnx = onnx_bytes(network, example, spec.input.name, spec.output.name)
    compare(network, onnx, example[:1], file.name)
    return Made(onnx)
