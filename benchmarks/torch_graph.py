"""An ONNX graph computed by PyTorch, node after node: eager mode, as a user of PyTorch has it.

Only what the shipped networks are made of is known here; any other operation is refused by name.
Converters of others were no help: the one that is kept (onnx2torch) needs torchvision and has not
followed the newer forms of the reductions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor

Attributes = dict[str, Any]
Values = list[Any]
"""Tensors; None for an input that the node may have and has not."""


def _ints(value: Tensor) -> list[int]:
    return [int(number) for number in value.flatten()]


def _pads(attributes: Attributes) -> list[int]:
    """Symmetric pads alone, as PyTorch's layers have them."""
    pads: list[int] = attributes.get("pads", [0, 0, 0, 0, 0, 0])
    if pads[:3] != pads[3:] or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b""):
        raise NotImplementedError(f"pads {pads}: make them the same on both sides")
    return pads[:3]


def _conv(v: Values, a: Attributes) -> Tensor:
    x, weight, bias = (*v, None)[:3]
    where = {"stride": a.get("strides", 1), "padding": _pads(a), "dilation": a.get("dilations", 1)}
    return F.conv3d(x, weight, bias, groups=a.get("group", 1), **where)


def _conv_transpose(v: Values, a: Attributes) -> Tensor:
    x, weight, bias = (*v, None)[:3]
    return F.conv_transpose3d(
        x, weight, bias, a.get("strides", 1), _pads(a), groups=a.get("group", 1)
    )


def _instance_norm(v: Values, a: Attributes) -> Tensor:
    return F.instance_norm(v[0], weight=v[1], bias=v[2], eps=a.get("epsilon", 1e-5))


def _gemm(v: Values, a: Attributes) -> Tensor:
    weight = v[1] if a.get("transB") else v[1].T
    if a.get("transA") or a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0:
        raise NotImplementedError("Gemm with transA, alpha or beta")
    return F.linear(v[0], weight, v[2] if len(v) > 2 else None)


def _reduce(function: Callable[..., Tensor]) -> Callable[[Values, Attributes], Tensor]:
    def reduced(v: Values, a: Attributes) -> Tensor:
        axes = a.get("axes") if len(v) < 2 or v[1] is None else _ints(v[1])
        every = list(range(v[0].ndim)) if axes is None else axes
        return function(v[0], dim=every, keepdim=bool(a.get("keepdims", 1)))

    return reduced


def _slice(v: Values, _: Attributes) -> Tensor:
    x: Tensor = v[0]
    starts, ends = _ints(v[1]), _ints(v[2])
    axes = _ints(v[3]) if len(v) > 3 and v[3] is not None else list(range(len(starts)))
    steps = _ints(v[4]) if len(v) > 4 else [1] * len(starts)
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 0:
            raise NotImplementedError("Slice that steps backwards")
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _pool(function: Callable[..., Tensor]) -> Callable[[Values, Attributes], Tensor]:
    return lambda v, a: function(v[0], a["kernel_shape"], a.get("strides"), _pads(a))


def _unsqueeze(v: Values, _: Attributes) -> Tensor:
    x: Tensor = v[0]
    for axis in sorted(_ints(v[1])):
        x = x.unsqueeze(axis)
    return x


def _cast(v: Values, a: Attributes) -> Tensor:
    x: Tensor = v[0]
    kind = helper.tensor_dtype_to_np_dtype(a["to"])
    return x.to(torch.from_numpy(np.empty(0, kind)).dtype)


def _gather(v: Values, a: Attributes) -> Tensor:
    x: Tensor = v[0]
    axis, index = a.get("axis", 0), v[1]
    chosen = x.index_select(axis, index.flatten())
    return chosen.reshape(x.shape[:axis] + index.shape + x.shape[axis + 1 :])


def _reshape(v: Values, _: Attributes) -> Tensor:
    x: Tensor = v[0]
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(_ints(v[1]))])


OPERATIONS: dict[str, Callable[[Values, Attributes], Tensor]] = {
    "Abs": lambda v, _: v[0].abs(),
    "Add": lambda v, _: v[0] + v[1],
    "AveragePool": _pool(F.avg_pool3d),
    "Cast": _cast,
    "Clip": lambda v, _: v[0].clamp(*v[1:3]),
    "Concat": lambda v, a: torch.cat(v, dim=a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": lambda v, _: v[0] / v[1],
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": lambda v, _: v[0],
    "InstanceNormalization": _instance_norm,
    "LeakyRelu": lambda v, a: F.leaky_relu(v[0], a.get("alpha", 0.01), a.get("inplace", False)),
    "Log": lambda v, _: v[0].log(),
    "MatMul": lambda v, _: v[0] @ v[1],
    "Max": lambda v, _: torch.maximum(v[0], v[1]),
    "MaxPool": _pool(F.max_pool3d),
    "Mul": lambda v, _: v[0] * v[1],
    "Pow": lambda v, _: v[0] ** v[1],
    "ReduceLogSumExp": _reduce(torch.logsumexp),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "Relu": lambda v, a: F.relu(v[0], a.get("inplace", False)),
    "Reshape": _reshape,
    "Sigmoid": lambda v, _: v[0].sigmoid(),
    "Slice": _slice,
    "Softmax": lambda v, a: v[0].softmax(a.get("axis", -1)),
    "Sqrt": lambda v, _: v[0].sqrt(),
    "Sub": lambda v, _: v[0] - v[1],
    "Unsqueeze": _unsqueeze,
}


@dataclass(frozen=True, eq=False)
class _Step:
    operation: Callable[[Values, Attributes], Tensor]
    attributes: Attributes
    inputs: tuple[str, ...]
    output: str
    spent: tuple[str, ...]
    """Values that nothing needs after this step: freed, as Python's own names would be."""


class TorchGraph:
    """A network of one input and one output; call it with a tensor."""

    def __init__(self, onnx_bytes: bytes, *, channels_last: bool) -> None:
        graph = onnx.load_from_string(onnx_bytes).graph
        self._values: dict[str, Tensor] = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in graph.initializer
        }
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self._steps = self._planned(self._folded(list(graph.node)))
        if channels_last:
            for name, value in self._values.items():
                if value.ndim == 5:
                    self._values[name] = value.contiguous(memory_format=torch.channels_last_3d)

    def __call__(self, given: Tensor) -> Tensor:
        live = {self.input: given}
        for step in self._steps:
            values = [
                live[name] if name in live else self._values[name] if name else None
                for name in step.inputs
            ]
            live[step.output] = step.operation(values, step.attributes)
            del values
            for name in step.spent:
                del live[name]
        return live[self.output]

    def _folded(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """The nodes that depend on the input; the others are computed here, once."""
        left = []
        for node in nodes:
            if node.op_type == "Constant":
                value = numpy_helper.to_array(_attributes(node)["value"])
                self._values[node.output[0]] = torch.from_numpy(value.copy())
            elif all(name in self._values for name in node.input if name):
                values = [self._values[name] if name else None for name in node.input]
                self._values[node.output[0]] = _operation(node)(values, _attributes(node))
            else:
                left.append(node)
        return left

    def _planned(self, nodes: list[onnx.NodeProto]) -> list[_Step]:
        uses: dict[str, list[int]] = {}
        for place, node in enumerate(nodes):
            for name in node.input:
                uses.setdefault(name, []).append(place)
        steps = []
        for place, node in enumerate(nodes):
            spent = {n for n in node.input if n and uses[n][-1] == place and n not in self._values}
            attributes = _attributes(node)
            if node.op_type in ("Relu", "LeakyRelu") and node.input[0] != self.input:
                attributes["inplace"] = len(uses[node.input[0]]) == 1
            steps.append(
                _Step(_operation(node), attributes, tuple(node.input), node.output[0], tuple(spent))
            )
        return steps


def _operation(node: onnx.NodeProto) -> Callable[[Values, Attributes], Tensor]:
    if node.op_type not in OPERATIONS or len(node.output) != 1:
        raise NotImplementedError(f"the ONNX operation {node.op_type}: add it to torch_graph.py")
    return OPERATIONS[node.op_type]


def _attributes(node: onnx.NodeProto) -> Attributes:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}
