"""One PyTorch module to one self-contained ONNX file, always the same bytes."""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

OPSET = 18


LARGE = 1024  # weights below this are not worth halving


def write_onnx(
    module: nn.Module,
    example: torch.Tensor,
    path: Path,
    input_name: str,
    output_name: str,
    half_weights: bool = False,
) -> None:
    """Export with a free batch size and fixed patch; weights inside; checked by onnx.

    example: a batch of two or more (a batch of one would be taken for a constant).
    half_weights: large weights are stored as float16 and cast back when the file is loaded;
    computing stays in float32, and the file is half as long.
    """
    module = module.eval().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    program = torch.onnx.export(
        module,
        (example,),
        input_names=[input_name],
        output_names=[output_name],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        opset_version=OPSET,
        dynamo=True,
        optimize=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    _strip(model)
    if half_weights:
        _halve_weights(model)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _strip(model: onnx.ModelProto) -> None:
    """Without the exporter's notes: they hold source lines and change from run to run."""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]


def _halve_weights(model: onnx.ModelProto) -> None:
    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if weight.data_type != onnx.TensorProto.FLOAT or values.size < LARGE:
            continue
        name = weight.name
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
