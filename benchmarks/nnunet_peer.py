"""The way there is today: nnU-Net's network over the whole scan, as TotalSegmentator runs it.

A worker of its own, which reports what one study cost. The plan is that of TotalSegmentator's
vertebrae: PlainConvUNet, 32 to 320 channels, 26 classes, patches of 128³, half overlapping, no
mirroring. The weights are random, which costs the same. Reading, which TotalSegmentator does
through NIfTI, is done by our reader: its time is not what is compared.

Sources: TotalSegmentator's resampling.py (change_spacing: float64, spline of order 3 there and
order 0 back) and nnunet.py (1.5 mm; 3 mm with --fast).
"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import threads
from vfx_edge.bench.protocol import Parent, serve
from vfx_edge.inputs import load_scan
from vfx_edge.memory import peak_rss_mib

CLASSES = 26
"""Background, sacrum and the 24 vertebrae from C1 to L5. TotalSegmentator has S1 as well."""
CHANNELS = (32, 64, 128, 256, 320, 320)


@dataclass(frozen=True)
class Order:
    """path: the CT. spacing_mm: 1.5, or 3 as with --fast. patch: voxels a side. most_patches: so
    many are computed, and the others taken to last as long each; 0: all."""

    path: str
    spacing_mm: float
    patch: int = 128
    channels: tuple[int, ...] = CHANNELS
    most_patches: int = 0


def plans(order: Order) -> dict[str, Any]:
    """plans.json, as far as nnU-Net's predictor reads it."""
    stages = len(order.channels)
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(order.channels),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "data_identifier": "random",
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [order.patch] * 3,
        "spacing": [order.spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {**resampling, "order": 3},
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": architecture,
    }
    ct = {"mean": 112.5, "std": 143.25, "percentile_00_5": -161.7, "percentile_99_5": 703.3}
    return {
        "dataset_name": "Dataset900_Random",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": ct},
        "configurations": {"3d_fullres": configuration},
    }


def predictor(order: Order) -> Any:
    """nnU-Net's own predictor with the network of the plan, weights random."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(threads())
    torch.manual_seed(0)
    manager = PlansManager(plans(order))
    configuration = manager.get_configuration("3d_fullres")
    labels = {"background": 0, **{f"part_{n}": n for n in range(1, CLASSES)}}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    network = nnUNetTrainer.build_network_architecture(
        manager, configuration, 1, CLASSES, enable_deep_supervision=False
    )
    made = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False,
        perform_everything_on_device=False, device=torch.device("cpu"),
    )  # fmt: skip
    weights = [network.state_dict()]
    made.manual_initialization(
        network, manager, configuration, weights, dataset, "nnUNetTrainer", None
    )
    return made


def study(order: Order) -> dict[str, Any]:
    """Seconds of each step and of all; the networks are made before the clock starts."""
    from scipy import ndimage

    ready = predictor(order)
    watch = _Patches(ready, order.most_patches)
    clock = [time.perf_counter()]
    volume = load_scan(Path(order.path))
    spacing = volume.image.spacing_zyx_mm
    clock.append(time.perf_counter())
    # get_fdata() makes 64-bit numbers of any image, and zoom keeps them
    image: NDArray[np.float64] = volume.image.values.astype(np.float64)
    small = ndimage.zoom(image, spacing / order.spacing_mm, order=3).astype(np.int32)
    del image
    clock.append(time.perf_counter())
    given = small[None].astype(np.float32)
    properties = {"spacing": [order.spacing_mm] * 3}
    labels = ready.predict_single_npy_array(given, properties, None, None, False)
    clock.append(time.perf_counter())
    back = np.array(volume.image.values.shape) / np.array(labels.shape)
    there = ndimage.zoom(labels.astype(np.float64), back, order=0).astype(np.uint8)
    clock.append(time.perf_counter())
    if there.shape != volume.image.values.shape:
        raise ValueError(f"labels of shape {there.shape} for a CT of {volume.image.values.shape}")
    steps = ("read", "resample", "predict", "back")
    stages = dict(zip(steps, np.diff(clock).tolist(), strict=True))
    stages["predict"] += watch.left_out_s
    return {
        "wall": clock[-1] - clock[0] + watch.left_out_s,
        "stages": stages,
        "grid_zyx": list(small.shape),
        "patches": watch.patches,
        "computed": len(watch.seconds),
        "peak_rss_mib": peak_rss_mib(),
    }


class _Patches:
    """Counts and times a predictor's patches, and keeps it to the first ones of them."""

    def __init__(self, predictor: Any, most: int) -> None:
        self.patches, self.seconds, self._most = 0, list[float](), most
        self._where = predictor._internal_get_sliding_window_slicers
        self._answer = predictor._internal_maybe_mirror_and_predict
        predictor._internal_get_sliding_window_slicers = self._some
        predictor._internal_maybe_mirror_and_predict = self._timed

    @property
    def left_out_s(self) -> float:
        """What the patches that were not computed would have taken, by the median of the others."""
        return float(np.median(self.seconds)) * (self.patches - len(self.seconds))

    def _some(self, size: Any) -> Any:
        places = self._where(size)
        self.patches = len(places)
        return places[: self._most] if self._most else places

    def _timed(self, patch: Any) -> Any:
        begin = time.perf_counter()
        answer = self._answer(patch)
        self.seconds.append(time.perf_counter() - begin)
        return answer


def work(given: dict[str, Any], parent: Parent) -> None:
    """Do the order once, and report what it cost."""
    with tempfile.TemporaryDirectory() as nowhere:
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            os.environ.setdefault(name, nowhere)  # it warns of their absence
        parent.report("study", **study(Order(**given)))


if __name__ == "__main__":
    serve(work)
