"""What an nnU-Net v2 trained-model folder says of its network, checked.

The files may come from anyone: nothing named in them is imported or called. What cannot be
done here exactly as nnU-Net does it is refused, not approximated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.nnunet_files import CONFIGURATIONS, Folder, Reading
from export.nnunet_labels import Labels, labels_of
from vfx_edge.backends.errors import one_line

READERS = {"SimpleITKIO": "SPL", "NibabelIO": "SPL", "NibabelIOWithReorient": "SAR"}
"""What the axes of a reader's arrays grow towards. The first two keep the files' own axes, so it
is a guess that they were those of an axial DICOM series."""
RESAMPLERS = ("resample_data_or_seg_to_shape", "resample_torch_fornnunet")
AS_CT = (
    'write "channel_names": {"0": "CT"} into dataset.json, run nnUNetv2_plan_and_preprocess '
    "and train again, for weights keep to the numbers that they were trained with"
)
MAX_TILE = 256**3  # voxels: beyond, one tile takes more than a 16 GB card has


@dataclass(frozen=True)
class Plan:
    """One configuration of a plans.json with its dataset.json. Axes: nnU-Net's own, after
    `transpose`; orientation: what the axes grow towards before it."""

    folder: Folder
    dataset: str
    configuration: str
    spacing_mm: tuple[float, ...]
    patch: tuple[int, ...]
    transpose: tuple[int, ...]
    orientation: str
    orientation_known: bool
    hu_clip: tuple[float, float]
    mean: float
    deviation: float
    image_order: int
    answer_order: int
    separate: bool
    labels: Labels
    architecture: Mapping[str, Any]
    """network_class_name, arch_kwargs: unchecked."""


def read_plan(folder: Folder, configuration: str, orientation: str | None = None) -> Plan:
    """The configuration's plan; NotExportable says what can't be done with it.

    orientation: of the training images, where they are known better than by the reader's name.
    """
    read = Reading(folder)
    try:
        return _plan(read, configuration, orientation)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        # JSON from elsewhere may hold anything anywhere
        raise read.refused(f"its plans hold something odd: {one_line(error)}") from error


def _plan(read: Reading, configuration: str, orientation: str | None) -> Plan:
    plans, dataset = read.json("plans.json"), read.json("dataset.json")
    chosen = _configuration(read, plans, configuration)
    _check_single_ct(read, chosen, dataset)
    known, axes = _orientation(read, plans, orientation)
    clip, mean, deviation = _intensities(read, plans)
    image, answer = (_resampler(read, chosen, key) for key in ("data", "probabilities"))
    if image[1] != answer[1]:
        raise read.refused("image and answers are resampled by different rules")
    patch = tuple(int(n) for n in read.numbers(chosen, "patch_size", 8, 512))
    if math.prod(patch) > MAX_TILE:
        raise read.refused(f"tiles of {'x'.join(map(str, patch))} are too large for any card here")
    architecture = chosen.get("architecture") or old_architecture(read, chosen)
    if not isinstance(architecture, dict):
        raise read.refused("'architecture' is no table")
    return Plan(
        folder=read.folder,
        dataset=str(plans.get("dataset_name", dataset.get("name", "unnamed"))),
        configuration=configuration,
        spacing_mm=read.numbers(chosen, "spacing", 0.1, 20.0),
        patch=patch,
        transpose=_transpose(read, plans),
        orientation=axes,
        orientation_known=known,
        hu_clip=clip,
        mean=mean,
        deviation=deviation,
        image_order=image[0],
        answer_order=answer[0],
        separate=image[1],
        labels=labels_of(read, dataset),
        architecture=architecture,
    )


def _configuration(read: Reading, plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The configuration with what it inherits."""
    every = read.table(plans, "configurations", "plans.json")
    if name not in CONFIGURATIONS:
        why = f"the configuration '{name}' is not one of {', '.join(CONFIGURATIONS)}"
        raise read.refused(why, "export the folder of a network trained as one of these")
    chain: list[dict[str, Any]] = []
    at: Any = name
    while at is not None:
        if len(chain) > len(every):
            raise read.refused("its configurations inherit in a circle")
        chain.append(read.table(every, str(at), "plans.json"))
        at = chain[-1].get("inherits_from")
    merged: dict[str, Any] = {}
    for part in reversed(chain):
        merged |= part
    return merged


def _check_single_ct(read: Reading, chosen: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    single = "export a network that takes a single CT"
    if chosen.get("previous_stage") is not None:
        raise read.refused("it is the second stage of a cascade", single)
    channels = dataset.get("channel_names") or dataset.get("modality")
    if not isinstance(channels, dict) or len(channels) != 1:
        count = len(channels) if isinstance(channels, dict) else 0
        raise read.refused(f"it takes {count} input channels, not one", single)
    schemes = chosen.get("normalization_schemes")
    if schemes != ["CTNormalization"]:
        why = f"its images were normalised by {schemes}, not by nnU-Net's fixed numbers for CT"
        raise read.refused(why, AS_CT)
    if chosen.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        raise read.refused("it has a preprocessor of its own", "export one with nnU-Net's default")


def _orientation(read: Reading, plans: Mapping[str, Any], given: str | None) -> tuple[bool, str]:
    """Whether it is known, and what the training arrays' axes (z, y, x) grow towards."""
    reader = str(plans.get("image_reader_writer"))
    if given is not None:
        return True, given
    if reader not in READERS:
        remedy = "say with --orientation what the axes of the training images grow towards"
        raise read.refused(f"its images were read by '{reader}'", remedy)
    # TotalSegmentator turns every image to the nearest of RAS before nnU-Net sees it.
    if "totalsegmentator" in str(plans.get("dataset_name", "")).lower():
        return True, "SAR"
    return reader == "NibabelIOWithReorient", READERS[reader]


def _intensities(
    read: Reading, plans: Mapping[str, Any]
) -> tuple[tuple[float, float], float, float]:
    """(low, high) of the clipping, mean and standard deviation, in HU."""
    key = "foreground_intensity_properties_per_channel"
    if key not in plans:  # of older plans
        key = "foreground_intensity_properties_by_modality"
    channel = read.table(read.table(plans, key, "plans.json"), "0", key)
    low, high, mean, deviation = (
        read.number(channel.get(name), name, -1e5, 1e5)
        for name in ("percentile_00_5", "percentile_99_5", "mean", "std")
    )
    if not low < high or deviation <= 1e-3:
        raise read.refused("its intensities have no range")
    return (low, high), mean, deviation


def _resampler(read: Reading, chosen: Mapping[str, Any], what: str) -> tuple[int, bool]:
    """(order of the splines, whether thick slices are resampled plane by plane)."""
    name = chosen.get(f"resampling_fn_{what}", RESAMPLERS[0])
    rules = chosen.get(f"resampling_fn_{what}_kwargs") or {}
    remedy = "export a network with nnU-Net's default resampling"
    if name not in RESAMPLERS or not isinstance(rules, dict):
        raise read.refused(f"its {what} is resampled by '{name}'", remedy)
    if name == RESAMPLERS[0]:
        order = rules.get("order", 3)  # the default of nnU-Net's function
        known = rules.get("order_z", 0) == 0
    else:
        order = {"linear": 1}.get(rules.get("mode", "linear"))
        known = rules.get("aniso_axis_mode", "nearest-exact") == "nearest-exact"
    separate = rules.get("force_separate_z", False if name == RESAMPLERS[0] else None)
    threshold = rules.get("separate_z_anisotropy_threshold", 3)
    if not known or order not in (1, 3) or separate is True or threshold != 3:
        raise read.refused(f"its {what} is resampled by rules that are not known here", remedy)
    return order, separate is None


def _transpose(read: Reading, plans: Mapping[str, Any]) -> tuple[int, ...]:
    order = plans.get("transpose_forward")
    if not isinstance(order, list) or order not in (
        [0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0],
    ):  # fmt: skip
        raise read.refused("'transpose_forward' is no order of three axes")
    return tuple(int(axis) for axis in order)


def old_architecture(read: Reading, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture as older plans say it, in today's terms (after nnU-Net's own
    translation)."""
    name = str(chosen.get("UNet_class_name"))
    blocks = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
    if name not in blocks:
        raise read.refused(f"plans.json describes no architecture that is known ('{name}')")
    keys = ("n_conv_per_stage_encoder", "n_conv_per_stage_decoder", "conv_kernel_sizes",
            "pool_op_kernel_sizes")  # fmt: skip
    for key in keys:
        if not isinstance(chosen.get(key), list):
            raise read.refused(f"'{key}' is missing from the plans")
    width, limit = (
        int(read.number(chosen.get(key), key, 1, 4096))
        for key in ("UNet_base_num_features", "unet_max_num_features")
    )
    stages = len(chosen["n_conv_per_stage_encoder"])
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(width * 2**i, limit) for i in range(stages)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": chosen["conv_kernel_sizes"],
            "strides": chosen["pool_op_kernel_sizes"],
            blocks[name]: chosen["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": chosen["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
    }
