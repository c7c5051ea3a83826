"""An FP32 network as an INT8 one that OpenVINO computes in 8 bits, or a part of it.

ONNX Runtime's quantiser writes the file (QDQ). What it is told was measured with OpenVINO 2026.4:

- Convolutions alone: a quantised subtraction (Sub) ends the process that compiles it, and
  transposed convolutions gain nothing.
- Their inputs in 8 bits without a sign, with a zero point: a LeakyReLU's answers are lopsided.
- Their answers and biases stay floats: a normalisation follows.
- Weights in 7 bits, one scale a channel: CPUs without VNNI add two products in 16 bits, which would
  overflow, so that answers would depend on the CPU.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from export.finishing import strip
from vfx_edge.backends.half import read_by, stored_in
from vfx_edge.backends.onnxruntime_backend import runtime
from vfx_edge.errors import ModelError
from vfx_edge.manifest import NetworkSpec

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from vfx_edge.bench.networks import Figures

Floats = NDArray[np.float32]
KIND = "Conv"
"""The one operation that is quantised."""
QUIET = 50
"""Above every level of a log: the quantiser advises on standard error."""


class NotQuantisable(ModelError):
    """A network that can't be had in INT8, whatever is left in floats."""

    def __init__(self, spec: NetworkSpec, why: str) -> None:
        super().__init__(
            f"'{spec.name}' can't be quantised ({why}): leave it out, by --role for the others"
        )


@dataclass(frozen=True, eq=False)
class Quantised:
    """A network's INT8 file, and what it was found to be worth."""

    spec: NetworkSpec
    onnx: bytes
    floats: int
    """Of `convolutions` so many stay in floats."""
    convolutions: int
    source: str
    figures: "Figures"

    @property
    def file(self) -> str:
        """Its name beside the FP32 file's."""
        return f"{self.spec.file.removesuffix('.onnx')}.int8.onnx"

    @property
    def holds(self) -> bool:
        """Whether the manifest's tolerance does."""
        return self.figures.within(self.spec) and not self.figures.tier_changes


def opened(spec: NetworkSpec, onnx: bytes) -> "ModelProto":
    """The FP32 file as a model: weights stored in FP16 as FP32, each node with a name of its own.
    NotQuantisable where it is no FP32 file, or has no convolution."""
    from onnx import ModelProto
    from onnx.numpy_helper import from_array, to_array

    model: ModelProto = ModelProto.FromString(onnx)
    if (stored := stored_in(model)) == "int8" or spec.precision.stored != "fp32":
        raise NotQuantisable(spec, f"its file is in {stored} itself")
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.input[0] in constants:
            weight = constants[node.input[0]]
            weight.CopyFrom(from_array(to_array(weight).astype(np.float32), node.output[0]))
            graph.node.remove(node)
    for i, node in enumerate(graph.node):
        node.name = f"{i}.{node.op_type}"
    if not convolutions(model):
        raise NotQuantisable(spec, "it has no convolution")
    return model


def convolutions(model: "ModelProto") -> list[str]:
    """Names of the nodes that are quantised, in the file's order."""
    return [node.name for node in model.graph.node if node.op_type == KIND]


def quantised(model: "ModelProto", input_name: str, patches: Floats) -> "ModelProto":
    """All of `convolutions` in 8 bits, scales from what flows while it is asked about
    (n, channels, z, y, x)."""
    import logging

    from onnx import ModelProto, load
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    runtime()
    given = ModelProto()
    given.CopyFrom(model)  # the quantiser takes its weights out, into a file
    log = logging.getLogger()
    level = log.level
    log.setLevel(QUIET)
    try:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "int8.onnx"
            quantize_static(
                given,
                target,
                _Reader(input_name, patches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[KIND],
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                extra_options={
                    "QuantizeBias": False,
                    "OpTypesToExcludeOutputQuantization": [KIND],
                },
            )
            made = load(target)
    finally:
        log.setLevel(level)
    strip(made)
    return made


class _Reader:
    """What the quantiser asks for patches, one at a time."""

    def __init__(self, name: str, patches: Floats) -> None:
        self._left: Iterator[dict[str, Any]] = ({name: patch[None]} for patch in patches)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._left, None)


def in_part(made: "ModelProto", plain: "ModelProto", floats: Iterable[str]) -> bytes:
    """The quantised network with these nodes in floats, as bytes; weights that FP16 holds exactly
    are stored so. plain: what it was made of."""
    from onnx import ModelProto

    model = ModelProto()
    model.CopyFrom(made)
    before = {node.name: node for node in plain.graph.node}
    for node in model.graph.node:
        if node.name in set(floats):
            node.CopyFrom(before[node.name])
    graph = model.graph
    own = {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(t for t in plain.graph.initializer if t.name not in own)
    _drop_unread(model)
    _store_small(model)
    return bytes(model.SerializeToString(deterministic=True))


def _drop_unread(model: "ModelProto") -> None:
    """Nodes and weights that nothing reads any more."""
    graph = model.graph
    read = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):  # each stands behind what it reads
        if read.intersection(node.output):
            read.update(read_by(node))
            kept.append(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    for field, items in ((graph.node, kept[::-1]), (graph.initializer, weights)):
        del field[:]
        field.extend(items)
    del graph.value_info[:]


def _store_small(model: "ModelProto") -> None:
    """Weights that were FP16 before stay so in the file, with a Cast behind."""
    from onnx import TensorProto
    from onnx.helper import make_node
    from onnx.numpy_helper import from_array, to_array

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT:
            continue
        values, name = to_array(weight), weight.name
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size >= 1024 and np.array_equal(half, values):
            weight.CopyFrom(from_array(half, f"{name}.half"))
            casts.append(make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
