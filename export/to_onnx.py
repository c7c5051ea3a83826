"""One PyTorch module to one self-contained ONNX file, always the same bytes.

By torch's current exporter (`dynamo=True`). Opset 18: the one it writes without conversion, and
one that every runtime of vfx_edge/backends reads.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from export.finishing import ExportFailed, NoNumbers, strip
from vfx_edge.manifest.files import MAX_ONNX_BYTES

OPSET = 18
SAME = 1e-3  # of the largest answer: rounding in another order, over some hundred operations
LARGE = 1024  # weights below this are not worth halving


def write_onnx(
    module: nn.Module,
    example: torch.Tensor,
    path: Path,
    input_name: str,
    output_name: str,
    half_weights: bool = False,
) -> None:
    """`onnx_bytes` into a file whose folder is made."""
    data = onnx_bytes(module, example, input_name, output_name, half_weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def onnx_bytes(
    module: nn.Module,
    example: torch.Tensor,
    input_name: str,
    output_name: str,
    half_weights: bool = False,
) -> bytes:
    """Export with a free batch size and fixed patch; weights inside; checked by onnx.

    example: a batch of two or more (a batch of one would be taken for a constant).
    half_weights: large weights are stored as float16 and cast back when the file is loaded;
    computing stays in float32, and the file is half as long. Raises ExportFailed.
    """
    module = module.eval().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    batch = {0: torch.export.Dim("batch", min=1)}
    model = _exported(module, (example,), input_name, output_name, dynamic_shapes=(batch,))
    return _finished(model, half_weights, type(module).__name__)


def program_bytes(
    program: torch.export.ExportedProgram, input_name: str, output_name: str
) -> bytes:
    """ONNX of a program that `torch.export` made: its free dimensions stay free."""
    return _finished(_exported(program, (), input_name, output_name), False, "the program")


def compare(module: Callable[..., Any], model: bytes, example: torch.Tensor, name: str) -> None:
    """ExportFailed when ONNX Runtime's answer to the example is not PyTorch's, within rounding."""
    from vfx_edge.backends.onnxruntime_backend import runtime

    with torch.no_grad():
        wanted = module(example).numpy()
    if not np.isfinite(wanted).all():
        raise NoNumbers(name)
    session = runtime().InferenceSession(model, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    gap = float(np.abs(got - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
    if not gap <= SAME:
        raise ExportFailed(name, f"its answers differ from PyTorch's by {gap:.1e}")


def _exported(
    module: Any, arguments: tuple[Any, ...], input_name: str, output_name: str, **more: Any
) -> onnx.ModelProto:
    name = type(module).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own makers, about its own code
            program = torch.onnx.export(
                module,
                arguments,
                input_names=[input_name],
                output_names=[output_name],
                opset_version=OPSET,
                dynamo=True,
                optimize=True,
                verbose=False,
                **more,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportFailed(name, str(error.__cause__ or error)) from error
    assert program is not None
    return program.model_proto


def _finished(model: onnx.ModelProto, half_weights: bool, name: str) -> bytes:
    """Stripped, checked and as bytes."""
    strip(model)
    if half_weights:
        _halve_weights(model)
    if (size := model.ByteSize()) > MAX_ONNX_BYTES:  # weights would go into a second file
        raise ExportFailed(name, f"{size / 2**30:.1f} GiB of weights do not fit into one file")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


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
