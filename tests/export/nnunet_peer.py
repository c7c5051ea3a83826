"""Run as a program of its own, with nnunetv2 and nothing of ours: trained-model folders as its
planner and trainer write them, weights random, and what its own predictor says of a CT.

    python nnunet_peer.py WORK

takes WORK/ct.npz (hu, spacing) and WORK/cases.json (case -> configuration, folds), and writes
WORK/models/CASE and WORK/CASE.npy, the label map; of the case `folds` WORK/exported.zip.
Needs the three folders of nnU-Net in the environment: nnUNet_raw, nnUNet_preprocessed,
nnUNet_results.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
    ExperimentPlanner,
)
from nnunetv2.experiment_planning.experiment_planners.residual_unets import (
    residual_encoder_unet_planners as residual,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

WORK = Path(sys.argv[1])
LABELS = ["background", "sacrum", *(f"vertebrae_L{i}" for i in range(5, 0, -1)),
          *(f"vertebrae_T{i}" for i in range(12, 7, -1))]  # fmt: skip
REGIONS = {
    "background": 0, "spine": [*range(1, 13)], **{name: [i] for i, name in enumerate(LABELS) if i},
}  # fmt: skip
"""One over all the others: what is left of it is label 12."""
CT = {"mean": 112.5, "median": 90.0, "std": 143.25, "min": -900.0, "max": 1500.0,
      "percentile_00_5": -161.7, "percentile_99_5": 703.3}  # fmt: skip
CASES: dict[str, Any] = json.loads((WORK / "cases.json").read_text())


def plan(name: str, planner_class: type, spacing: tuple[float, ...]) -> tuple[dict, dict]:
    """plans.json and dataset.json by nnU-Net's planner, made to plan for a tiny machine."""
    raw, ready = (Path(os.environ[f"nnUNet_{p}"]) / name for p in ("raw", "preprocessed"))
    (raw / "imagesTr").mkdir(parents=True)
    (raw / "labelsTr").mkdir()
    ready.mkdir(parents=True)
    (raw / "imagesTr" / "a_0000.nii.gz").touch()
    dataset = {
        "channel_names": {"0": "CT"}, "labels": {name: i for i, name in enumerate(LABELS)},
        "numTraining": 1, "file_ending": ".nii.gz", "overwrite_image_reader_writer": "SimpleITKIO",
    }  # fmt: skip
    fingerprint = {
        "spacings": [[3.0, 1.5, 1.5]], "shapes_after_crop": [[60, 100, 120]],
        "foreground_intensity_properties_per_channel": {"0": CT},
        "median_relative_size_after_cropping": 1.0,
    }  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(dataset))
    (ready / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    planner = planner_class(name, gpu_memory_target_in_gb=0.05, overwrite_target_spacing=spacing)
    planner.UNet_base_num_features, planner.UNet_max_features_3d = 4, 16
    planner.UNet_blocks_per_stage_encoder = (1, 2) + (1,) * 12
    planner.UNet_max_features_2d, planner.lowres_creation_threshold = 16, 0.5
    return planner.plan_experiment(), dataset


def train(plans: dict, dataset: dict, configuration: str, fold: int, folder: Path) -> None:
    """A fold's checkpoint by nnU-Net's trainer, after no training at all."""
    torch.manual_seed(fold)
    plans = json.loads(json.dumps(plans)) | {"continue_training": False}
    trainer = nnUNetTrainer(plans, configuration, fold, dataset, torch.device("cpu"))
    heads = trainer.label_manager.num_segmentation_heads
    arguments = (trainer.plans_manager, trainer.configuration_manager, 1, heads)
    trainer.network = trainer.build_network_architecture(*arguments, enable_deep_supervision=True)
    with torch.no_grad():
        for weight in trainer.network.parameters():
            spread = 0.3 if weight.ndim == 1 else float(weight.std()) + 0.02
            weight += spread * torch.randn_like(weight)
        for head in trainer.network.decoder.seg_layers:  # else one class would win everywhere
            head.weight -= head.weight.mean(1, keepdim=True)
            # of regions, some voxels have to be in none
            head.bias.fill_(-0.5 if trainer.label_manager.has_regions else 0.0)
    trainer.optimizer, trainer.lr_scheduler = trainer.configure_optimizers()
    trainer.inference_allowed_mirroring_axes = (0, 1, 2)
    trainer._best_ema = np.float64(0.75)  # as numbers of NumPy come into real checkpoints
    trainer.logger.log("mean_fg_dice", np.float64(0.7), 0)
    trainer.logger.log("train_losses", np.float32(-0.5), 0)
    (folder / f"fold_{fold}").mkdir(parents=True)
    trainer.save_checkpoint(str(folder / f"fold_{fold}" / "checkpoint_final.pth"))


def in_old_words(plans: dict, configuration: str) -> dict:
    """The plans as earlier versions of nnU-Net wrote them."""
    old: dict[str, Any] = json.loads(json.dumps(plans))
    chosen = old["configurations"][configuration]
    arguments = chosen.pop("architecture")["arch_kwargs"]
    chosen |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 16,
        "n_conv_per_stage_encoder": arguments["n_conv_per_stage"],
        "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"],
        "conv_kernel_sizes": arguments["kernel_sizes"],
        "pool_op_kernel_sizes": arguments["strides"],
        "num_pool_per_axis": [0, 0, 0],
    }
    return old


def export(model: Path, name: str, folds: list[int]) -> None:
    """The folder as a zip, by nnU-Net's own command; it wants files that training leaves."""
    results = Path(os.environ["nnUNet_results"])  # noqa: SIM112
    placed = results / name / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    shutil.copytree(model, placed, dirs_exist_ok=True)
    (placed / "dataset_fingerprint.json").touch()
    for fold in folds:
        (placed / f"fold_{fold}" / "validation").mkdir()
        (placed / f"fold_{fold}" / "validation" / "summary.json").touch()
        (placed / f"fold_{fold}" / "progress.png").touch()
    export_pretrained_model(name, str(WORK / "exported.zip"), ("3d_fullres",), folds=tuple(folds))


def predict(folder: Path, folds: list[int]) -> np.ndarray:
    """(z, y, x): the label map of nnU-Net's own predictor."""
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False,
        perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False,
    )  # fmt: skip
    predictor.initialize_from_trained_model_folder(str(folder), folds, "checkpoint_final.pth")
    with np.load(WORK / "ct.npz") as ct:
        image, spacing = ct["hu"].astype(np.float32), [float(mm) for mm in ct["spacing"]]
    found = predictor.predict_single_npy_array(image[None], {"spacing": spacing}, None, None, False)
    return np.asarray(found)


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    cubic = plan("Dataset901_Plain", ExperimentPlanner, (2.0, 2.0, 2.0))
    flat = plan("Dataset902_Residual", residual.nnUNetPlannerResEncM, (1.9, 6.0, 1.7))
    for case, (configuration, folds) in CASES.items():
        plans, dataset = flat if case == "residual" else cubic
        if case == "regions":
            order = [12, *range(1, len(LABELS))]
            dataset = {**dataset, "labels": REGIONS, "regions_class_order": order}
        folder = WORK / "models" / case
        for fold in folds:
            train(plans, dataset, configuration, fold, folder)
        plans = in_old_words(plans, configuration) if case == "old" else plans
        (folder / "plans.json").write_text(json.dumps(plans))
        (folder / "dataset.json").write_text(json.dumps(dataset))
        if case == "folds":
            export(folder, "Dataset901_Plain", folds)
        if case == "old":
            continue  # its weights are those of `folds`
        labels = predict(folder, folds)
        np.save(WORK / f"{case}.npy", labels.astype(np.uint8))


if __name__ == "__main__":
    main()
