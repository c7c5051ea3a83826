"""`export tum`: the fracture classifier of Foreman et al. 2024 from its authors' `model.tar`.

Network, input and thresholds are those of the authors' published code (MIT),
malekosh/deep-learning-models-for-the-differentiation-of-osteoporotic-and-malignant-vertebral-
fractures; the weights were never published.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from export import options
from vfx_edge.cli.parse import one_of
from vfx_edge.vocabulary import INTENDED_USES, T1_TO_L5

if TYPE_CHECKING:
    from models.recipes.nets import Net3D

EXAMPLES = """\b
Examples:
  python -m export tum model.tar -o models/published
  vfx-edge run ct/ --model models/published
  python -m export tum model.tar -o models/masked --mask vertebra
"""
EDGE = 70  # voxels of 1 mm: 35 to each side of the centroid, as the code has it; the paper says 64
MARGIN_MM = {"box": 10.0, "vertebra": 0.0, "none": 0.0}


def command(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL.TAR",
            help="The authors' checkpoint, as PyTorch saved it.",
            readable=False,
        ),
    ],
    out: options.Out,
    mask: Annotated[
        str,
        typer.Option(
            "--mask",
            metavar="box|vertebra|none",
            help="box: the scan is first cut to the box about all vertebrae and 10 mm, as the "
            "published code does. vertebra: only the vertebra itself is shown, as the paper says. "
            "none: neither.",
        ),
    ] = "box",
    licence: options.Licence = options.NOT_STATED,
    training_data: options.TrainingData = options.NOT_STATED,
    intended_use: options.IntendedUse = "research",
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of the published fracture classifier.

    Reads the checkpoint without running anything in it, writes FP32 and FP16 ONNX files and a
    manifest with the authors' own preprocessing and thresholds. All other networks are those of
    the default set.
    """
    mask = one_of(mask, tuple(MARGIN_MM), "mask")
    use = one_of(intended_use, INTENDED_USES, "intended use")
    from export import manifests
    from vfx_edge.manifest.writing import check_target

    check_target(out, overwrite=overwrite)
    network = manifests.new_network(load(checkpoint), "classifier", table(mask))
    summary = "The fracture classifier of Foreman et al. 2024, from its authors' checkpoint."
    head = options.head(use, licence, training_data, summary)
    manifests.write_set(out, head, [network], card(checkpoint.name, mask), overwrite=overwrite)
    typer.echo(manifests.report_of(out, checkpoint))


def load(checkpoint: Path) -> "Net3D":
    """The network with the checkpoint's weights; NotACheckpoint, RunsCode or WrongWeights."""
    from export.checkpoints import load_weights, read_checkpoint, weights_in
    from models.recipes.nets import Net3D

    network = Net3D()
    weights = weights_in(read_checkpoint(checkpoint), checkpoint, "state_dict")
    load_weights(network, weights, checkpoint)
    return network


def table(mask: str) -> dict[str, Any]:
    """The manifest's [[network]] table."""
    return {
        "roles": ["classifier"],
        "name": "Foreman et al. 2024",
        "input": {
            "name": "crop",
            "channels": 1,
            "patch_zyx": [EDGE] * 3,
            "spacing_mm": 1.0,
            "orientation": "IAL",
            "transpose": [2, 0, 1],
            "hu_clip": [-1000.0, 3500.0],
            "hu_offset": 1000.0,
            "hu_scale": 2500.0,
            "padding_hu": "mean",
            "interpolation": "cubic",
            "mask": mask,
        },
        "output": {
            "name": "cause",
            "classes": ["osteoporotic", "malignant"],
            "activation": "softmax",
        },
        "batch": {"min": 1, "opt": 8, "max": 16},
        "precision": {
            "allowed": ["fp32", "bf16", "fp16"],
            "max_probability_difference": 0.02,
        },
        "parameters": {
            "threshold_malignant": 0.85,
            "threshold_osteoporotic": 0.95,
            "levels": [level.value for level in T1_TO_L5],
            "centre": "voxel",
            "smooth": 0,
            "mask_margin_mm": MARGIN_MM[mask],
        },
    }


def card(checkpoint: str, mask: str) -> str:
    """The model card; what is measured of the set is added by `export parity`."""
    shown = {
        "box": "the scan cut to the box about all vertebrae and 10 mm",
        "vertebra": "the vertebra alone",
        "none": "all that is in the crop",
    }[mask]
    return f"""# Model card: the published fracture classifier
The network of Foreman et al. 2024, exported from `{checkpoint}` by `python -m export tum`. Every
other network is that of the set `default`, whose card and limits hold as well.

- **Network:** `Net3D` of `models/recipes/nets.py`: five stages of convolutions with instance norm,
  four more, four linear layers; two answers.
- **Input:** {EDGE}³ voxels of 1 mm about the vertebra's centroid, by cubic splines; axes to the
  left, the feet, the front; HU clipped to -1000..3500, plus 1000, divided by 2500. Shown is
  {shown}. What lies outside is the crop's own mean.
- **Answer:** malignant from p(malignant) 0.85, osteoporotic from p(osteoporotic) 0.95, else
  uncertain; T1 to L5 only.

The centroid lies on the crop's middle voxel. The authors' code rounds it to a whole voxel of the
resampled scan, so that its crop may lie about a voxel beside, and leaves a rim of air of up to a
voxel where the scan ends.
"""
