"""A fitted pipeline of scikit-learn as the ONNX file of a network that sees a row of features.

skl2onnx writes it; operators of `ai.onnx.ml`, which ONNX Runtime alone has, are asked away, so that
every backend can run it. Then its answers are compared with scikit-learn's.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from export.manifests import NewNetwork
from vfx_edge.errors import ModelError
from vfx_edge.manifest.roles import FeatureSpec

if TYPE_CHECKING:
    import onnx

OPSET = 17
CLASSES = ("osteoporotic", "malignant")
"""What the pipeline's classes False and True mean."""
INPUT, OUTPUT = "features", "probabilities"
CLOSE = 1e-5
_OF_ONE_RUNTIME = {"LinearClassifier", "Scaler", "Normalizer"}


class RowNotExported(ModelError):
    """A fitted model can't become a network of every backend."""

    def __init__(self, model: str, why: str) -> None:
        super().__init__(
            f"{model} can't be written as ONNX ({why}): use logistic regression or a small MLP."
        )


class ConverterMissing(ModelError):
    """What writes such models is of an extra."""

    def __init__(self) -> None:
        super().__init__(
            "skl2onnx is not installed, which belongs to the extra export: "
            'pip install "vfx-edge[export]".'
        )


def row_network(
    pipeline: Any,
    rows: NDArray[np.floating[Any]],
    role: str,
    name: str,
    features: Sequence[FeatureSpec],
    **parameters: float,
) -> NewNetwork:
    """The role's network and its table. rows: (n, features) on which both are asked and compared;
    parameters: of the role besides. RowNotExported."""
    data = onnx_of(pipeline, len(features))
    check_parity(data, pipeline, np.asarray(rows, np.float32))
    table = {
        "roles": [role],
        "name": name,
        "input": {"name": INPUT},
        "output": {"name": OUTPUT, "classes": list(CLASSES), "activation": "none"},
        "parameters": {"features": [_told(one) for one in features], **parameters},
    }
    return NewNetwork(role, table, data)


def _told(feature: FeatureSpec) -> dict[str, Any]:
    return {
        "name": feature.name,
        "usual": feature.usual,
        "may_be_missing": int(feature.may_be_missing),
    }


def onnx_of(pipeline: Any, width: int) -> bytes:
    """(n, width) float32 -> (n, 2) probabilities. RowNotExported where the model takes operators
    that one runtime alone has."""
    try:
        from skl2onnx import to_onnx
    except ImportError:
        raise ConverterMissing from None
    last = pipeline.steps[-1][1]
    written = to_onnx(
        pipeline,
        np.zeros((1, width), np.float32),
        options={id(last): {"zipmap": False, "nocl": True}},
        target_opset=OPSET,
        black_op=_OF_ONE_RUNTIME,
    )
    return bytes(_probabilities_alone(written, type(last).__name__).SerializeToString())


def _probabilities_alone(written: "onnx.ModelProto", model: str) -> "onnx.ModelProto":
    """Without the label, whose operators no other runtime has, and with names of our own."""
    import onnx
    from onnx import helper
    from onnx.utils import Extractor

    given = written.graph.input[0].name
    cut = Extractor(written).extract_model([given], [OUTPUT])
    if special := {node.op_type for node in cut.graph.node if node.domain}:
        needs = f"it needs {', '.join(sorted(special))}, which not every backend has"
        raise RowNotExported(model, needs)
    for node in cut.graph.node:
        node.input[:] = [INPUT if name == given else name for name in node.input]
    cut.graph.input[0].name = INPUT
    opset = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(cut.graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(made)
    return made


def check_parity(data: bytes, pipeline: Any, rows: NDArray[np.float32]) -> None:
    """RowNotExported where ONNX Runtime answers otherwise than scikit-learn did."""
    from vfx_edge.backends.onnxruntime_backend import runtime

    session = runtime().InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: rows})
    gap = float(np.abs(found - pipeline.predict_proba(rows)).max())
    if not gap <= CLOSE:
        name = type(pipeline.steps[-1][1]).__name__
        raise RowNotExported(name, f"its answers differ by {gap:.2g} from scikit-learn's")
