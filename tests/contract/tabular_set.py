"""A model set with a tabular network that only looks at one fact: made by hand, without a recipe.

Nothing here imports vfx_edge.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MANIFEST = """schema = "vfx-edge/model/1"
name = "beside"
version = "1"
base = "{base}"
intended_use = "research"
licence = "Apache-2.0"
training_data = "none"
summary = "A known tumour and nothing else."
[[network]]
roles = ["tabular"]
name = "tumour"
file = "tabular.onnx"
sha256 = "{sha256}"
[network.input]
name = "features"
[network.output]
name = "probabilities"
classes = ["osteoporotic", "malignant"]
activation = "none"
[network.parameters]
features = [{{name = "clinical_known_tumour", usual = 0.0}}]
"""


def of_known_tumour(base: Path, folder: Path) -> Path:
    """p(malignant) is 0.75 with a known tumour, 0.25 without one."""
    folder.mkdir(parents=True)
    data = _network()
    (folder / "tabular.onnx").write_bytes(data)
    told = MANIFEST.format(base=base.as_posix(), sha256=hashlib.sha256(data).hexdigest())
    (folder / "manifest.toml").write_text(told, encoding="utf-8")
    (folder / "card.md").write_text("# Beside\n", encoding="utf-8")
    return folder


def _network() -> bytes:
    third = np.log(3.0)
    weights = {
        "w": np.array([[-third, third]], np.float32),
        "b": np.array([third / 2, -third / 2], np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["features", "w", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "tumour",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())
