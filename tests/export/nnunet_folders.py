"""nnU-Net model folders made by hand: what anyone may send, and a network right by design."""

import json
from pathlib import Path
from typing import Any

import torch

from export.nnunet_network import build
from export.nnunet_plans import read_plan

CT = {"mean": 0.0, "std": 100.0, "percentile_00_5": 0.0, "percentile_99_5": 2600.0}
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [2, 2],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 1, 1], [1, 1, 1]],
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": None,
        "norm_op_kwargs": None,
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def plans(**changes: Any) -> dict[str, Any]:
    """plans.json of a tiny network; changes: of its one configuration."""
    rules = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    chosen = {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [64, 48, 32],
        "spacing": [1.5, 1.5, 1.5],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {**rules, "order": 3},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**rules, "order": 1},
        "architecture": ARCHITECTURE,
        **changes,
    }
    return {
        "dataset_name": "Dataset900_Tiny",
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [2, 0, 1],
        "transpose_backward": [1, 2, 0],
        "configurations": {"3d_fullres": chosen},
        "foreground_intensity_properties_per_channel": {"0": CT},
    }


def dataset(names: tuple[str, ...] = ("vertebrae_L1",), **changes: Any) -> dict[str, Any]:
    """dataset.json with these classes after the background."""
    labels = {name: i for i, name in enumerate(("background", *names))}
    return {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz", **changes}


def write(folder: Path, plans_: dict, dataset_: dict, weights: Any = None, fold: int = 0) -> Path:
    """The folder; random weights for the plans unless others are given."""
    (folder / f"fold_{fold}").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans_))
    (folder / "dataset.json").write_text(json.dumps(dataset_))
    if weights is None:
        torch.manual_seed(fold)
        weights = build(read_plan(folder, "3d_fullres")).state_dict()
    checkpoint = {
        "network_weights": weights,
        "init_args": {"configuration": "3d_fullres", "fold": fold, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
    }
    torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def reader_of_codes(folder: Path, codes_hu: dict[str, float]) -> Path:
    """A model folder whose network says for each voxel which code its HU is nearest to.

    The network hands HU/100 through its finest stage; the answer for a code c is 20 c x - 10 c².
    """
    write(folder, plans(), dataset(tuple(codes_hu)))
    network: Any = build(read_plan(folder, "3d_fullres"))
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        # an array for each shared weight: encoder's first block, decoder's last block
        network.encoder.stages[0][0].convs[0].conv.weight[0, 0] = 1
        # the decoder reads (from below, from beside): two channels each
        network.decoder.stages[0].convs[0].conv.weight[0, 2] = 1
        code = torch.tensor([0.0, *codes_hu.values()]) / 100
        head = network.decoder.seg_layers[0]
        head.weight[:, 0, 0, 0, 0] = 20 * code
        head.bias[:] = -10 * code**2
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    values = {"network_weights": network.state_dict(),
              "init_args": {"configuration": "3d_fullres"}}  # fmt: skip
    torch.save(values, checkpoint)
    return folder
