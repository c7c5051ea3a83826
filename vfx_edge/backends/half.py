"""An FP32 network as one that computes in FP16 and is fed and read as before.

Strongly typed runtimes (TensorRT 11, TensorRT-RTX) take the precision from the file, and for Turing
TensorRT-RTX refuses 3-D convolutions and matrix products in FP32. So the precision is written into
the file, node by node: these in FP16, and what only moves or selects numbers between them as well;
everything else (normalisations, reductions, softmax, arithmetic with constants) stays in FP32,
because sums over a patch overflow FP16 and small differences vanish in it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from vfx_edge.backends.errors import not_onnx
from vfx_edge.backends.onnx_file import check_signature
from vfx_edge.manifest import NetworkSpec

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

RULES = 1
"""Goes up whenever the same FP32 network would give other FP16 bytes than before."""
_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
"""Where the time goes. All their inputs are floats."""
_FOLLOWING = {
    "Add", "Concat", "Dropout", "Flatten", "Identity", "LeakyRelu", "MaxPool", "Relu", "Reshape",
    "Slice", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""In FP16 when a node in FP16 reads them."""
_MOVING = _FOLLOWING - {"Add"} | {
    "Cast", "Constant", "ConstantOfShape", "DepthToSpace", "Expand", "Gather", "Pad", "Resize",
    "SpaceToDepth", "Split", "Tile", "Upsample", "Where",
}  # fmt: skip
"""Rounded to FP16 or not, the numbers that come out are those that went in."""
_NORMALISING = {
    "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization",
}  # fmt: skip
_ALL_FLOATS = _HEAVY | {"Add", "Concat"}
"""The others' first input is the only float."""
_FLOAT, _FLOAT16 = 1, 10  # TensorProto.DataType
_LARGEST = float(np.finfo(np.float16).max)


def half_of(spec: NetworkSpec, onnx: bytes) -> bytes:
    """The network's FP16 form: the file the manifest names, checked, else made from `onnx`.

    Raises ModelError leaves: changed or missing file, wrong signature, not to be converted.
    """
    data = spec.read_half()
    if data is not None:
        check_signature(replace(spec, file=spec.file_fp16), data)
        return data
    try:
        return half_precision(onnx)
    except ValueError as error:
        raise not_onnx(spec.path, error) from error


def kept_full(half: bytes) -> tuple[str, ...]:
    """Types of the nodes of an FP16 form that calculate in FP32, sorted, for runtimes that may lower
    them. Left out: what only moves or selects numbers, and the normalisations that are one node,
    which such runtimes keep in FP32 or fold into the convolution before them."""
    from onnx import ModelProto, shape_inference

    graph = shape_inference.infer_shapes(ModelProto.FromString(half)).graph
    values = (*graph.value_info, *graph.output)
    full = {value.name for value in values if value.type.tensor_type.elem_type == _FLOAT}
    types = {node.op_type for node in graph.node if full.intersection(node.output)}
    return tuple(sorted(types - _MOVING - _NORMALISING))


def half_key(spec: NetworkSpec) -> str:
    """What, beside the FP32 file, the FP16 form depends on."""
    return spec.sha256_fp16 or f"rules {RULES}"


def half_precision(onnx: bytes) -> bytes:
    """The same network with convolutions and matrix products in FP16; ONNX bytes to ONNX bytes.

    Inputs and outputs keep names, shapes and float32; a free batch stays free. Weights stored as
    `<name>.half` with a Cast behind are used as they are. The same bytes give the same bytes, and
    a network that is in FP16 already is returned as it is. A node with constants beyond FP16
    stays in FP32. ValueError: the bytes are no ONNX network, or onnx's checker refuses the result.
    """
    from onnx import ModelProto, checker, shape_inference

    try:
        checker.check_model(onnx)
    except (checker.ValidationError, ValueError) as error:
        raise ValueError(f"no ONNX network ({error})") from error
    model = ModelProto.FromString(onnx)
    if _is_half(model):
        return onnx
    _Conversion(model.graph).rewrite()
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ValueError(f"the network can't be had in FP16 ({error})") from error
    return bytes(model.SerializeToString(deterministic=True))


def _is_half(model: "ModelProto") -> bool:
    """Whether the network computes in FP16, or at least partly does, as it is."""
    given = (value.type.tensor_type.elem_type for value in model.graph.input)
    return _FLOAT16 in given or any(
        node.op_type == "Cast" and any(a.name == "to" and a.i == _FLOAT16 for a in node.attribute)
        for node in model.graph.node
    )


class _Conversion:
    """One graph. Every tensor keeps its name and type; what is needed in FP16 gets a twin."""

    def __init__(self, graph: "GraphProto") -> None:
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.stored_half = {
            node.output[0]: node
            for node in graph.node
            if node.op_type == "Cast" and self._constant_type(node.input[0]) == _FLOAT16
        }
        """Casts of weights that are stored in FP16, by the name of the FP32 weight."""
        self.half = self._choose()
        self.twins: dict[str, str] = {}
        self.only_half: set[str] = set()
        self.not_yet_full = dict(self.stored_half)
        self.nodes: list[NodeProto] = []

    def _constant_type(self, name: str) -> int:
        return self.constants[name].data_type if name in self.constants else 0

    def _choose(self) -> set[int]:
        """Positions of the nodes that shall compute in FP16, found from the last to the first."""
        chosen: set[int] = set()
        read_in_half: set[str] = set()
        for i, node in reversed(list(enumerate(self.graph.node))):
            follows = node.op_type in _FOLLOWING and node.output[0] in read_in_half
            if (node.op_type in _HEAVY or follows) and self._may(node):
                chosen.add(i)
                read_in_half.update(_floats(node))
        return chosen

    def _may(self, node: "NodeProto") -> bool:
        """Whether FP16 can hold what the node works with."""
        if len([name for name in node.output if name]) > 1:
            return False  # indices of a pooling, the mask of a dropout
        constants = [name for name in _floats(node) if name in self.constants]
        inputs = {value.name for value in self.graph.input}
        if node.op_type == "Add" and (constants or inputs.intersection(node.input)):
            return False  # no sum of activations: it may still be preprocessing, in HU
        return all(self._fits(name) for name in constants)

    def _fits(self, name: str) -> bool:
        from onnx.numpy_helper import to_array

        values = to_array(self.constants[name])
        return values.dtype == np.float32 and bool(np.abs(values).max(initial=0) <= _LARGEST)

    def rewrite(self) -> None:
        """Replace the graph's nodes, and drop what is not read any more."""
        for i, node in enumerate(self.graph.node):
            if i in self.half:
                self._add_half(node)
            elif node.output[0] not in self.stored_half:
                for name in _read_by(node):
                    self._have_full(name)
                self.nodes.append(node)
        for value in self.graph.output:
            self._have_full(value.name)
        used = {name for node in self.nodes for name in _read_by(node)}
        used.update(value.name for value in self.graph.output)
        kept = [tensor for tensor in self.constants.values() if tensor.name in used]
        for field, items in ((self.graph.node, self.nodes), (self.graph.initializer, kept)):
            del field[:]
            field.extend(items)
        # They hold the old types; the runtimes infer the new ones.
        del self.graph.value_info[:]

    def _add_half(self, node: "NodeProto") -> None:
        floats = _floats(node)
        inputs = [self._half_of(name) if name in floats else name for name in node.input]
        name = node.output[0]
        self.twins[name] = f"{name}.fp16"
        self.only_half.add(name)
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.append(self.twins[name])
        self.nodes.append(node)

    def _half_of(self, name: str) -> str:
        """The name of a tensor's FP16 twin, which is made where there is none yet."""
        if name in self.stored_half:
            return str(self.stored_half[name].input[0])
        if name not in self.twins:
            self.twins[name] = f"{name}.fp16"
            if name in self.constants:
                self._halve_constant(name)
            else:
                self.nodes.append(_cast(name, self.twins[name], _FLOAT16))
        return self.twins[name]

    def _halve_constant(self, name: str) -> None:
        from onnx.numpy_helper import from_array, to_array

        values = to_array(self.constants[name]).astype(np.float16)
        self.constants[self.twins[name]] = from_array(values, self.twins[name])

    def _have_full(self, name: str) -> None:
        """Make sure that a tensor is there in FP32."""
        if name in self.only_half:
            self.only_half.remove(name)
            self.nodes.append(_cast(self.twins[name], name, _FLOAT))
        elif name in self.not_yet_full:
            self.nodes.append(self.not_yet_full.pop(name))


def _cast(source: str, target: str, to: int) -> "NodeProto":
    from onnx.helper import make_node

    return make_node("Cast", [source], [target], f"{target}.cast", to=to)


def _floats(node: "NodeProto") -> list[str]:
    """The inputs of a node of ours that hold floats; absent optional ones left out."""
    count = None if node.op_type in _ALL_FLOATS else 1
    return [name for name in node.input[:count] if name]


def _read_by(node: "NodeProto") -> Iterator[str]:
    """Names that a node, or a graph inside it, reads."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_by(inner)
            yield from (value.name for value in graph.output)
