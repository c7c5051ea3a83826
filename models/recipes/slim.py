"""Recipe of a segmenter with two fifths of the arithmetic of the one that teaches it. It does not
ship: README says what it falls short of.

The larger one (`segmenter`) answers each example, drawn as large as it needs; the slim one sees
the middle of it and learns that answer, and the truth where it is known.
"""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.recipes import segmenter
from models.recipes.nets import SharpUNet3D, UNet3D, loaded

PATCH = (48, 72, 64)
FIRST = 1  # plane of the larger patch where this one begins
DOWNWARD_MM = 4.5  # so its middle lies lower: spinous processes of the chest slope to the next body
CHANNELS = (32, 64, 128)  # the larger one's without its finest
TRUST = 0.4
"""What the teacher's answer counts for where there are masks; elsewhere it is all there is."""

loss = segmenter.loss


def network(start: Path | None = None) -> SharpUNet3D:
    return loaded(SharpUNet3D(2, 3, CHANNELS), start)


def begun(teacher: UNet3D) -> SharpUNet3D:
    """A slim network that has the teacher's weights, but for the layers that it has not."""
    net = network()
    own = net.state_dict()
    coarser = _coarser(teacher.state_dict())
    own.update({k: v for k, v in coarser.items() if k in own and own[k].shape == v.shape})
    net.load_state_dict(own)
    return net


def lesson(
    teacher: nn.Module, example: tuple[Tensor, Tensor], masked: bool
) -> tuple[Tensor, Tensor]:
    """(input (2, *PATCH), target (3, *PATCH)) from a segmenter's example. masked: its target is
    the truth; else nothing is known of it but where the vertebrae are."""
    x, truth = example
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        answer = teacher(x[None].contiguous(memory_format=torch.channels_last_3d))[0]
    trust = TRUST if masked else 1.0
    target = trust * answer.float().softmax(0) + (1 - trust) * truth
    planes = slice(FIRST, FIRST + PATCH[0])
    return x[:, planes], target[:, planes]


def taught_by(onnx_file: Path) -> UNet3D:
    """The larger segmenter with the weights of a published file: also one that ships no more."""
    net = segmenter.network()
    weights = onnx.load(onnx_file).graph.initializer
    net.load_state_dict(
        {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in weights}
    )
    return net


def _coarser(known: dict[str, Tensor]) -> dict[str, Tensor]:
    """The teacher's layers under the names that they have here: its second block is the first."""
    out = {}
    for name, weight in known.items():
        part, _, rest = name.partition(".")
        if part in ("up", "merge"):
            out[name] = weight
        elif part == "down" and not rest.startswith("0."):
            at, _, rest = rest.partition(".")
            out[f"down.{int(at) - 1}.{rest}"] = weight
    return out
