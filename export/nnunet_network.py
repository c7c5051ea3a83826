"""An nnU-Net's network from its plans, by `dynamic-network-architectures`, and its folds' weights.

nnU-Net itself imports whatever class the plans name. Plans may come from anyone, so here they
may only choose from what nnU-Net's planners write.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import Tensor, nn

from export.checkpoints import load_weights, numpy_scalars, read_checkpoint, weights_in
from export.nnunet_files import Folder, NotExportable, Reading
from export.nnunet_plans import Plan

NETWORKS: dict[str, type[nn.Module]] = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet": PlainConvUNet,
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet": ResidualEncoderUNet,
    # where it was in earlier versions
    "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet": (
        ResidualEncoderUNet
    ),
}
MODULES: dict[str, dict[str, type[nn.Module]]] = {
    "conv_op": {"torch.nn.modules.conv.Conv3d": nn.Conv3d, "torch.nn.Conv3d": nn.Conv3d},
    "norm_op": {
        "torch.nn.modules.instancenorm.InstanceNorm3d": nn.InstanceNorm3d,
        "torch.nn.InstanceNorm3d": nn.InstanceNorm3d,
        "torch.nn.modules.batchnorm.BatchNorm3d": nn.BatchNorm3d,
        "torch.nn.BatchNorm3d": nn.BatchNorm3d,
    },
    "dropout_op": {
        "torch.nn.modules.dropout.Dropout3d": nn.Dropout3d,
        "torch.nn.Dropout3d": nn.Dropout3d,
    },
    "nonlin": {
        "torch.nn.LeakyReLU": nn.LeakyReLU,
        "torch.nn.modules.activation.LeakyReLU": nn.LeakyReLU,
        "torch.nn.ReLU": nn.ReLU,
        "torch.nn.modules.activation.ReLU": nn.ReLU,
    },
}
COUNTS = ("n_stages", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage",
          "n_blocks_per_stage", "n_conv_per_stage_decoder", "stem_channels")  # fmt: skip
SETTINGS = {"norm_op_kwargs": {"eps", "affine", "momentum", "track_running_stats"},
            "dropout_op_kwargs": {"p", "inplace"},
            "nonlin_kwargs": {"negative_slope", "inplace"}}  # fmt: skip
FLAGS = ("conv_bias", "nonlin_first")
MOST = 4096  # of any count in the plans
MOST_WEIGHTS = 512_000_000  # what one ONNX file can hold in FP32


class Averaged(nn.Module):
    """The mean of the folds' logits, which is what nnU-Net's predictor labels by: the weights of
    tiles and the resampling are linear, so it does not matter when the mean is taken."""

    def __init__(self, folds: Sequence[nn.Module]) -> None:
        super().__init__()
        self.folds = nn.ModuleList(folds)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.folds
        total: Tensor = first(x)
        for fold in others:
            total = total + fold(x)
        return total / len(self.folds) if others else total


def build(plan: Plan, folds: int = 1) -> nn.Module:
    """The network with random weights, deep supervision off; NotExportable for any other, and where
    so many folds of it do not fit into one file."""
    read = Reading(plan.folder)
    known = "export a PlainConvUNet or ResidualEncoderUNet as nnU-Net plans them"
    name = plan.architecture.get("network_class_name")
    if not isinstance(name, str) or name not in NETWORKS:
        raise read.refused(f"its network is '{name}'", known)
    given = read.table(plan.architecture, "arch_kwargs", "the architecture")
    arguments = {key: _argument(read, key, value) for key, value in given.items()}
    _check_size(read, plan, arguments)
    try:
        with torch.device("meta"):  # its size is known before any memory is taken
            weights = _network(name, plan, arguments).parameters()
        many = sum(weight.numel() for weight in weights)
        if many * folds > MOST_WEIGHTS:
            fewer = f"choose at most {MOST_WEIGHTS // many} folds with --folds"
            remedy = fewer if many <= MOST_WEIGHTS else known
            raise read.refused("its network is too large for one ONNX file", remedy)
        return _network(name, plan, arguments)
    except (TypeError, ValueError, IndexError, AssertionError, RuntimeError) as error:
        raise read.refused(f"its plans describe no network that works: {error}", known) from error


def _network(name: str, plan: Plan, arguments: Mapping[str, Any]) -> nn.Module:
    return NETWORKS[name](
        input_channels=1, num_classes=len(plan.labels.names), deep_supervision=False, **arguments
    )


def _argument(read: Reading, key: str, value: Any) -> Any:
    if value is None and key not in COUNTS:
        return None
    if key in MODULES and isinstance(value, str) and value in MODULES[key]:
        return MODULES[key][value]
    if key in COUNTS and _is_counts(value):
        return value
    if key in FLAGS and isinstance(value, bool):
        return value
    if key in SETTINGS and isinstance(value, dict) and set(value) <= SETTINGS[key]:
        if all(isinstance(v, int | float) for v in value.values()):
            return value
    elif key == "deep_supervision":
        return False
    raise read.refused(
        f"its architecture has {key} = {value!r:.80}, which is not known here",
        "export a PlainConvUNet or ResidualEncoderUNet as nnU-Net plans them",
    )


def _is_counts(value: Any, depth: int = 0) -> bool:
    """Whole numbers from 1 to MOST, or lists of them."""
    if isinstance(value, list):
        return depth < 2 and 0 < len(value) <= 16 and all(_is_counts(v, depth + 1) for v in value)
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST


def _check_size(read: Reading, plan: Plan, arguments: Mapping[str, Any]) -> None:
    """A tile has to be halved as often as the network halves it."""
    strides = arguments.get("strides")
    if not isinstance(strides, list):
        raise read.refused("'strides' is missing from the architecture")
    steps = [stride if isinstance(stride, list) else [stride] * 3 for stride in strides]
    if any(len(step) != 3 for step in steps):
        raise read.refused("its network is not three-dimensional", "export a 3d configuration")
    for length, *each in zip(plan.patch, *steps, strict=True):
        if length % math.prod(each):
            raise read.refused(f"a tile of {length} voxels is not a multiple of its strides")


def found_folds(folder: Folder, checkpoint: str) -> tuple[str, ...]:
    """Folds whose checkpoint is there: "0", "1", …, or "all"."""
    there = [path for path in folder.iterdir() if (path / checkpoint).is_file()]
    folds = [path.name.removeprefix("fold_") for path in there if path.name.startswith("fold_")]
    return tuple(sorted(fold for fold in folds if fold == "all" or fold.isdigit()))


def chosen_folds(folder: Folder, wanted: Sequence[str] | None, checkpoint: str) -> tuple[str, ...]:
    """The folds to average; without a wish every one there is, as nnU-Net does."""
    there = found_folds(folder, checkpoint)
    if not there:
        raise NotExportable(
            folder, f"no fold_*/{checkpoint} is there",
            "give the folder that holds plans.json and the folds, or another --checkpoint",
        )  # fmt: skip
    if wanted is None:
        numbered = tuple(fold for fold in there if fold != "all")
        return numbered or there
    if missing := [fold for fold in wanted if fold not in there]:
        raise NotExportable(
            folder, f"fold {missing[0]} has no {checkpoint}",
            f"choose with --folds from {','.join(there)}",
        )  # fmt: skip
    return tuple(dict.fromkeys(wanted))


def read_fold(folder: Folder, fold: str, checkpoint: str) -> dict[str, Any]:
    """What is needed of a fold's checkpoint, read without running anything in it."""
    path = folder / f"fold_{fold}" / checkpoint
    values = read_checkpoint(path, allow=numpy_scalars())
    if not isinstance(values, dict):
        raise NotExportable(folder, f"{path.name} of fold {fold} holds no table", "restore it")
    return {key: values[key] for key in ("network_weights", "init_args") if key in values}


def trained_as(checkpoint: Mapping[str, Any]) -> str | None:
    """The configuration that a checkpoint says it was trained in."""
    arguments = checkpoint.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, dict) else None
    return name if isinstance(name, str) else None


def load(plan: Plan, folds: Mapping[str, Mapping[str, Any]], checkpoint: str) -> nn.Module:
    """The folds' networks as one; WrongWeights where plans and weights do not fit."""
    networks = []
    for fold, values in folds.items():
        network = build(plan, len(folds))
        path = plan.folder / f"fold_{fold}" / checkpoint
        load_weights(network, weights_in(values, path, "network_weights"), path)
        networks.append(network)
    return Averaged(networks).eval()
