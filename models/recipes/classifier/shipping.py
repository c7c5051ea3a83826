"""The trained classifier to the shipped set: ONNX file and its block of the manifest."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from export.to_onnx import write_onnx
from models.recipes.classifier.calibration import FAMILIAR, Calibration, kept, load
from models.recipes.classifier.examples import CROP
from models.recipes.classifier.open_set import CLASSES, OpenSet
from vfx_edge.files import write_text
from vfx_edge.vocabulary import T1_TO_L5

_BLOCK = """[[network]]
roles = ["classifier"]
name = "fracture-classifier"
file = "classifier.onnx"
sha256 = "{zeros}"
[network.input]
name = "crop"
channels = 1
patch_zyx = [{patch}]
spacing_mm = 1.0
orientation = "SPL"
hu_clip = [-300.0, 1200.0]
hu_offset = -250.0
hu_scale = 250.0
padding_hu = -1024.0
interpolation = "linear"
mask = "none"
[network.output]
name = "cause"
classes = [{classes}]
activation = "softmax"
[network.batch]
min = 1
opt = 8
max = 16
[network.precision]
allowed = ["fp32", "bf16", "fp16"]
max_probability_difference = 0.05
min_dice = 0.99
# Chosen on held-out phantoms by models/recipes/classifier/calibration.py. p(unknown) is one half at
# a distance from the fractures taught within which {familiar:.0%} of those phantoms keep, or where
# the network itself says "no fracture that I know" more than it does to {familiar:.0%} of them.
[network.parameters]
threshold_malignant = {malignant}
threshold_osteoporotic = {osteoporotic}
threshold_unknown = 0.5
mirror = 1
temperature = {temperature:.3f} # for the record: the file's answers are scaled already
levels = [{levels}]
"""


def publish_classifier(checkpoint: Path, crops: Path, out: Path) -> None:
    """`out`/classifier.onnx, and the classifier's block of `out`/manifest.toml.

    crops: those that the calibration is made on, where it is not there yet.
    """
    chosen = kept(checkpoint, crops)
    write(chosen.published(load(checkpoint)), chosen, out)


def write(net: OpenSet, chosen: Calibration, out: Path) -> None:
    """ONNX file and block; the hash is for `update_hashes` to fill in."""
    write_onnx(net, torch.randn(2, 1, *CROP), out / "classifier.onnx", "crop", "cause", True)
    manifest = out / "manifest.toml"
    write_text(manifest, with_block(manifest.read_text(encoding="utf-8"), block(chosen)))


def block(chosen: Calibration) -> str:
    """The manifest's [[network]] table, its hash all zeros."""
    return _BLOCK.format(
        zeros="0" * 64,
        patch=", ".join(map(str, CROP)),
        classes=_quoted(CLASSES),
        levels=_quoted(T1_TO_L5),
        familiar=FAMILIAR,
        malignant=chosen.threshold_malignant,
        osteoporotic=chosen.threshold_osteoporotic,
        temperature=chosen.temperature,
    )


def with_block(manifest: str, new: str) -> str:
    """The manifest's text with the classifier's table replaced, or added where there was none."""
    head, *blocks = re.split(r"(?m)^(?=\[\[network\]\])", manifest)
    others = [b for b in blocks if not re.search(r'(?m)^roles\s*=.*"classifier"', b)]
    return head + "".join(others).rstrip("\n") + "\n\n" + new


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
