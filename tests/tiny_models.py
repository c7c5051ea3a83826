"""Networks of a few hundred bytes and model sets around them, made with onnx.helper, no torch."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.manifests import update_hashes
from vfx_edge.vocabulary import NEEDED_ROLES

Shape = Sequence[int | str]
HEAD = """schema = "vfx-edge/model/1"
name = "{name}"
version = "1.0"
{base}intended_use = "{intended_use}"
licence = "Apache-2.0"
training_data = "none: random numbers"
summary = "A tiny set for tests."
"""

NETWORK = """
[[network]]
roles = [{roles}]
name = "tiny {name}"
file = "{name}.onnx"
sha256 = "{zeros}"
[network.input]
name = "image"
channels = {channels}
patch_zyx = [{patch}, {patch}, {patch}]
spacing_mm = 3.0
orientation = "SPL"
hu_clip = [-1000, 1000]
hu_offset = 1000
hu_scale = 2000
padding_hu = -1000
[network.output]
name = "logits"
classes = [{classes}]
activation = "softmax"
[network.batch]
max = 4
opt = 2
[network.precision]
allowed = [{precisions}]
[network.parameters]
{parameters}
"""

CLASSES = {
    "locator": ("background", "spine", "other"),
    "finder": ("background", "centre", "body"),
    "labeller": ("background", "T12", "L1"),
    "segmenter": ("background", "body", "arch"),
    "detector": ("intact", "fractured"),
    "classifier": ("osteoporotic", "malignant"),
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "labeller": {"backward_mm": 8.0},
    "segmenter": {"backward_mm": 20.0, "guide_sigma_mm": 6.0},
    "detector": {"threshold": 0.7, "levels": ["T12", "L1"]},
    "classifier": {
        "threshold_malignant": 0.85,
        "threshold_osteoporotic": 0.95,
        "levels": ["T12", "L1"],
    },
}


def conv_weights(classes: int, seed: int = 0, channels: int = 1) -> np.ndarray:
    """(classes, channels, 3, 3, 3) float32, small."""
    shape = (classes, channels, 3, 3, 3)
    return (np.random.default_rng(seed).normal(size=shape) / 5).astype(np.float32)


def tiny_segmenter(
    patch: int = 8, classes: int = 3, seed: int = 0, batch: int | str = "n", channels: int = 1
) -> bytes:
    """One 3x3x3 convolution, (n, channels, p, p, p) -> (n, classes, p, p, p), as ONNX bytes."""
    shape = [patch] * 3
    node = helper.make_node("Conv", ["image", "w"], ["logits"], pads=[1] * 6)
    weights = {"w": conv_weights(classes, seed, channels)}
    return tiny_network([node], weights, [batch, channels, *shape], [batch, classes, *shape])


def tiny_classifier(
    patch: int = 8,
    classes: int = 2,
    seed: int = 0,
    *,
    tail: Sequence[NodeProto] = (),
    answer: Shape | None = None,
    opset: int = 18,
    **constants: np.ndarray,
) -> bytes:
    """Convolution, global mean: (n, 1, p, p, p) -> (n, classes), as ONNX bytes.

    tail: nodes behind it, from "means" to "logits", whose shape the file says is `answer`.
    """
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], pads=[1] * 6),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["means" if tail else "logits"]),
        *tail,
    ]
    weights = {"w": conv_weights(classes, seed), **constants}
    shape = answer if answer is not None else ("n", classes)
    return tiny_network(nodes, weights, ["n", 1, *[patch] * 3], shape, opset)


def tiny_network(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, np.ndarray],
    image: Shape,
    logits: Shape,
    opset: int = 18,
) -> bytes:
    """Nodes from "image" to "logits" with these shapes, as ONNX bytes."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    domains = {node.domain for node in nodes} - {""}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString())


def write_set(
    folder: Path,
    networks: dict[str, bytes],
    *,
    name: str | None = None,
    base: str | None = None,
    intended_use: str = "demonstration",
    precisions: tuple[str, ...] = ("fp32",),
    patch: int = 8,
    classes: Mapping[str, tuple[str, ...]] | None = None,
    window: str | None = None,
) -> Path:
    """A model set in `folder`: one network a role ("a+b" joins roles), hashes right.

    window: lines of a [network.window], for labeller and segmenter in one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base_line = f'base = "{base}"\n' if base else ""
    text = HEAD.format(name=name or folder.name, base=base_line, intended_use=intended_use)
    for roles, onnx in networks.items():
        each = roles.split("+")
        default = tuple(dict.fromkeys(name for role in each for name in CLASSES[role]))
        own = {k: v for r in each for k, v in PARAMETERS.get(r, {}).items()}
        if window is not None:
            own = {}
        (folder / f"{roles}.onnx").write_bytes(onnx)
        text += NETWORK.format(
            roles=_quoted(each),
            name=roles,
            zeros="0" * 64,
            patch=patch,
            classes=_quoted((classes or {}).get(roles, default)),
            precisions=_quoted(precisions),
            channels=2 if "segmenter" in each and window is None else 1,
            parameters="\n".join(f"{key} = {json.dumps(value)}" for key, value in own.items()),
        )
        if window is not None:
            text = text.replace("[network.output]", f"[network.window]\n{window}\n[network.output]")
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    (folder / "card.md").write_text("# A tiny set\n", encoding="utf-8")
    update_hashes(folder / "manifest.toml")
    return folder


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def write_full_set(folder: Path, **options: Any) -> Path:
    """A set that fills every role that the chain needs."""
    networks: dict[str, bytes] = {
        role: tiny_segmenter(seed=i) for i, role in enumerate(NEEDED_ROLES)
    }
    networks |= {"finder": tiny_segmenter(seed=7), "segmenter": tiny_segmenter(channels=2)}
    networks |= {"labeller": tiny_classifier(classes=3), "classifier": tiny_classifier()}
    return write_set(folder, networks, **options)
