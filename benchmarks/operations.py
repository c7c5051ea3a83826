"""What a network asks of a machine: its operations and bytes, counted from the ONNX graph."""

from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
from onnx import helper, shape_inference

HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Work:
    """For one patch. gflop: a multiplication and an addition count as two; multiplications with
    the padding don't count, as nobody has to do them.

    numbers: those that convolutions and matrix products have to read and write if everything
    between them is fused and nothing stays in a cache. weights: read once for a batch.
    """

    gflop: float
    numbers: int
    weights: int

    def mib(self, batch: int, bytes_each: int) -> float:
        """Memory traffic of one batch."""
        return (self.numbers * batch + self.weights) * bytes_each / 2**20


def counted(onnx_bytes: bytes) -> Work:
    """The work of one patch, from the graph with its shapes inferred for a batch of one."""
    model = onnx.load_from_string(onnx_bytes)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = _shapes(graph)
    constants = {tensor.name for tensor in graph.initializer} | _made_from_constants(graph)
    flop = numbers = weights = 0
    for node in graph.node:
        if node.op_type not in HEAVY or node.output[0] in constants:
            continue
        flop += 2 * _multiplications(node, shapes)
        fixed = [name for name in node.input if name in constants]
        moved = [name for name in (*node.input, *node.output) if name and name not in constants]
        weights += sum(prod(shapes[name]) for name in fixed)
        numbers += sum(prod(shapes[name]) for name in moved)
    return Work(flop / 1e9, numbers, weights)


def _multiplications(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    given, weight, out = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":  # weight: (out, in / groups, *kernel)
        return out[0] * prod(weight[:2]) * _taps(node, given[2:], out[2:])
    if node.op_type == "ConvTranspose":  # weight: (in, out / groups, *kernel)
        return prod(given) * prod(weight[1:])
    return prod(out) * given[-1]


def _taps(node: onnx.NodeProto, given: tuple[int, ...], out: tuple[int, ...]) -> int:
    """Pairs of an output voxel and an input voxel that its kernel covers; stride and pads as the
    node has them."""
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    kernel, axes = attributes["kernel_shape"], len(given)
    strides = attributes.get("strides", [1] * axes)
    pads = attributes.get("pads", [0] * 2 * axes)
    spread = attributes.get("dilations", [1] * axes)
    return prod(
        taps(given[a], out[a], kernel[a], strides[a], pads[a], spread[a]) for a in range(axes)
    )


def taps(given: int, out: int, kernel: int, stride: int = 1, pad: int = 0, spread: int = 1) -> int:
    """Along one axis: how often a kernel's element meets a voxel and not the padding."""
    places = range(0, out * stride, stride)
    return sum(0 <= at + spread * k - pad < given for at in places for k in range(kernel))


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {t.name: tuple(t.dims) for t in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        dims: Any = info.type.tensor_type.shape.dim
        found[info.name] = tuple(dim.dim_value for dim in dims)
    return found


def _made_from_constants(graph: onnx.GraphProto) -> set[str]:
    """Values that do not depend on the input: weights that are cast from half precision."""
    known = {tensor.name for tensor in graph.initializer}
    made: set[str] = set()
    for node in graph.node:
        if all(name in known for name in node.input if name):
            known.update(node.output)
            made.update(node.output)
    return made
