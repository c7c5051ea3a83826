"""ONNX files of a few hundred bytes, as strangers may write them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

PATCH = (4, 6, 8)
DENSE = ("n", 3, *PATCH)
Maker = Callable[[Path], None]


def weights(classes: int = 3, channels: int = 1, kind: Any = np.float32) -> onnx.TensorProto:
    values = np.random.default_rng(0).normal(size=(classes, channels, 3, 3, 3)).astype(kind)
    return numpy_helper.from_array(values, "w")


def conv(given: str = "ct", answer: str = "answer") -> NodeProto:
    return helper.make_node("Conv", [given, "w"], [answer], pads=[1] * 6)


def pooled(answer: str = "answer", given: str = "ct") -> list[NodeProto]:
    """One answer for the patch, on a grid of one voxel."""
    return [conv(given, "dense"), helper.make_node("GlobalAveragePool", ["dense"], [answer])]


def value(name: str, shape: Sequence[Any] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[NodeProto],
    *,
    constants: Iterable[onnx.TensorProto] = (),
    given: Iterable[Any] = (),
    answers: Iterable[Any] = (),
    opset: int = 18,
    **more: Any,
) -> ModelProto:
    """By default (n, 1, *PATCH) to (n, 3, *PATCH), named ct and answer."""
    graph = helper.make_graph(
        nodes,
        "g",
        list(given) or [value("ct", ("n", 1, *PATCH))],
        list(answers) or [value("answer", DENSE)],
        list(constants) or [weights()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more
    )


def plain(**more: Any) -> ModelProto:
    return model([conv()], **more)


def saved(made: ModelProto | Callable[[], ModelProto]) -> Maker:
    return lambda path: onnx.save(made if isinstance(made, ModelProto) else made(), path)


def ends_of(kind: int) -> Maker:
    ends = {
        "given": [value("ct", ("n", 1, *PATCH), kind)],
        "answers": [value("answer", DENSE, kind)],
    }
    return saved(plain(constants=[weights(kind=helper.tensor_dtype_to_np_dtype(kind))], **ends))
