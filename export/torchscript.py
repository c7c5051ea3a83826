"""TorchScript as a `torch.export` program: its graph is walked in Python, under torch.export.

The walker takes branches and unrolls loops as they come, which is right as long as they hang on
constants and on the fixed patch only. What hangs on the batch or on the image's own values is no
constant for torch.export, and it refuses: nothing is frozen in silence, as `torch.jit.trace` would.
torch's own converter (`TS2EPConverter`) is not used, for it knows no loops.
"""

import io
import logging
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn

from export.finishing import ExportFailed
from vfx_edge.errors import ModelError

_DTYPES = (
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16),
    *(torch.float32, torch.float64, torch.complex32, torch.complex64, torch.complex128, torch.bool),
)
"""In the order of their numbers in TorchScript."""
_FORMATS = (
    torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d,
)  # fmt: skip
_BY_VALUES = ("data-dependent", "DataDependent", "Could not extract specialized integer")
_BY_BATCH = "Constraints violated (batch)"
_REFUSALS = (
    RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError,
)  # fmt: skip
"""All that torch.export was seen to raise over what it does not know."""
Values = dict[str, Any]
"""Name in the graph -> what it holds."""


class DecidesByValues(ModelError):
    """A branch or loop of the script hangs on what is in the image."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' can't be written as ONNX (its TorchScript decides by the image's own values "
            "what it computes): ask its makers for a network without such branches and loops"
        )


class FixedBatch(ModelError):
    """The script does for each image of a batch, or for a number of them, something of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' can't be written as ONNX with a free batch size (its TorchScript computes "
            "for one number of images only): write min = 1, opt = 1 and max = 1 under "
            "[network.batch], or have it made for any number"
        )


def to_program(module: Any, example: Tensor, name: str) -> torch.export.ExportedProgram:
    """The scripted or traced module, in eval mode, as a program.

    example: (n, channels, z, y, x). One image alone fixes the batch at one, more leave it free.
    Raises DecidesByValues, FixedBatch and, for what else is not known, ExportFailed.
    """
    free = ({0: torch.export.Dim("batch", min=1)},) if len(example) > 1 else None
    try:
        with _muted(), torch.no_grad():
            walked = _Walked(torch.jit.freeze(module))
            return torch.export.export(walked, (example,), dynamic_shapes=free)
    except _REFUSALS as error:
        said = f"{type(error).__name__}: {error}"
        if any(words in said for words in _BY_VALUES):
            raise DecidesByValues(name) from error
        if _BY_BATCH in said:
            raise FixedBatch(name) from error
        raise ExportFailed(name, f"TorchScript, {error}") from error


@contextmanager
def _muted() -> Iterator[None]:
    """Without warnings that TorchScript is deprecated, and without the graph in torch's log."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


class _Walked(nn.Module):
    """Computes what the frozen module's graph says, node after node."""

    def __init__(self, frozen: Any) -> None:
        super().__init__()
        self.graph = frozen.graph
        torch._C._jit_pass_inline(self.graph)
        self.places: dict[str, str] = {}
        self.numbers: Values = {}  # tensors without axes: a trace reckons sizes with them
        for node in self.graph.findAllNodes("prim::Constant"):
            value = node.output().toIValue() if node.hasAttributes() else None
            if isinstance(value, Tensor):
                self.places[node.output().debugName()] = f"constant_{len(self.places)}"
                self.register_buffer(f"constant_{len(self.places) - 1}", value)
                if value.dim() == 0:
                    self.numbers[node.output().debugName()] = value.item()

    def forward(self, image: Tensor) -> Any:
        _, given = self.graph.inputs()
        values = {given.debugName(): image}
        (answer,) = self._walk(self.graph, values)
        return answer

    def _walk(self, block: Any, values: Values) -> list[Any]:
        for node in block.nodes():
            made = self._made(node, values)
            for output, value in zip(node.outputs(), made, strict=True):
                values[output.debugName()] = value
        return [values[output.debugName()] for output in block.outputs()]

    def _made(self, node: Any, values: Values) -> Sequence[Any]:
        """What the node puts out, one value for each of its outputs."""
        given = [values[value.debugName()] for value in node.inputs()]
        kind = node.kind()
        match kind:
            case "prim::Constant":
                return [self._constant(node)]
            case "prim::If":
                yes, no = node.blocks()
                return self._walk(yes if given[0] else no, values)
            case "prim::Loop":
                return self._looped(node, given, values)
            case "prim::ListUnpack" | "prim::TupleUnpack":
                return list(given[0])
            case "prim::RaiseException":
                raise ValueError(f"the network refuses the patch: {given[0]}")
        plain = [
            self.numbers.get(name.debugName(), value)
            for name, value in zip(node.inputs(), given, strict=True)
        ]
        if kind in _PLAIN:
            made = _PLAIN[kind](*given)
        elif kind in _NUMBERS and not any(isinstance(value, Tensor) for value in plain):
            made = _NUMBERS[kind](*plain)
        else:
            made = _operation(node, given)
        return [made] if node.outputsSize() == 1 else made if node.outputsSize() else []

    def _constant(self, node: Any) -> Any:
        output = node.output()
        if place := self.places.get(output.debugName()):
            return getattr(self, place)
        return output.toIValue() if node.hasAttributes() else None

    def _looped(self, node: Any, given: list[Any], values: Values) -> list[Any]:
        (body,) = node.blocks()
        count, goes_on, *carried = given
        turn = 0
        while turn < count and goes_on:
            names = [value.debugName() for value in body.inputs()]
            values |= dict(zip(names, [turn, *carried], strict=True))
            goes_on, *carried = self._walk(body, values)
            turn += 1
        return carried


def _operation(node: Any, given: list[Any]) -> Any:
    """One of PyTorch's operators, its arguments as the schema has them."""
    kind = node.kind()
    if not kind.startswith("aten::") or node.schema() == "(no schema)":
        raise NotImplementedError(f"{kind} is unknown here")
    schema = torch._C.parse_schema(node.schema())
    packet = getattr(torch.ops.aten, kind.removeprefix("aten::"))
    places: list[Any] = []
    named: Values = {}
    for argument, value in zip(schema.arguments, given, strict=True):
        value = _as_python(str(argument.real_type), value)
        if argument.kwarg_only:
            named[argument.name] = value
        else:
            places.append(value)
    if kind == "aten::_convolution":  # what traces hold; the last four say how cuDNN works
        return torch.ops.aten.convolution.default(*places[:9])
    return getattr(packet, schema.overload_name or "default")(*places, **named)


def _as_python(kind: str, value: Any) -> Any:
    """TorchScript has integers where Python has types and formats."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if "ScalarType" in kind:
        return _DTYPES[value]
    if "MemoryFormat" in kind:
        return _FORMATS[value]
    return None if "Layout" in kind else value


def _size(tensor: Tensor, axis: int | None = None) -> Any:
    return list(tensor.shape) if axis is None else tensor.shape[axis]


def _put(values: list[Any], *given: Any) -> list[Any]:
    """`append(value)` and `_set_item(place, value)`."""
    if len(given) == 1:
        values.append(given[0])
    else:
        values[given[0]] = given[1]
    return values


def _sliced(values: list[Any], first: int | None, end: int | None, step: int = 1) -> list[Any]:
    return values[first:end:step]


def _same(value: Any, *_: Any) -> Any:
    return value


_PLAIN: dict[str, Callable[..., Any]] = {
    "prim::ListConstruct": lambda *given: list(given),
    "prim::TupleConstruct": lambda *given: given,
    "prim::TupleIndex": operator.getitem,
    "prim::NumToTensor": _same,
    "prim::unchecked_cast": _same,
    "prim::Uninitialized": lambda: None,
    "prim::device": lambda tensor: tensor.device,
    "prim::dtype": lambda tensor: _DTYPES.index(tensor.dtype),
    "aten::size": _size,
    "aten::dim": lambda tensor: tensor.dim(),
    "aten::numel": lambda tensor: tensor.numel(),
    "aten::len": len,
    "aten::list": list,
    "aten::reverse": list.reverse,
    "aten::extend": list.extend,
    "aten::pop": list.pop,
    "aten::append": _put,
    "aten::_set_item": _put,
    "aten::__getitem__": operator.getitem,
    "aten::__contains__": operator.contains,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__not__": operator.not_,
    "aten::format": lambda text, *given: text.format(*given),
    "aten::warn": lambda *_: None,
}
"""Whatever they are given."""
_NUMBERS: dict[str, Callable[..., Any]] = {
    "prim::min": min,
    "prim::max": max,
    "aten::add": lambda one, other, times=1: one + other * times if times != 1 else one + other,
    "aten::sub": lambda one, other, times=1: one - other * times,
    "aten::mul": operator.mul,
    "aten::div": lambda one, other, rounding_mode=None: (
        one // other if rounding_mode else one / other
    ),
    "aten::floordiv": operator.floordiv,
    "aten::floor_divide": operator.floordiv,
    "aten::remainder": operator.mod,
    "aten::pow": operator.pow,
    "aten::neg": operator.neg,
    "aten::eq": operator.eq,
    "aten::ne": operator.ne,
    "aten::lt": operator.lt,
    "aten::le": operator.le,
    "aten::gt": operator.gt,
    "aten::ge": operator.ge,
    "aten::Int": torch.sym_int,
    "aten::IntImplicit": torch.sym_int,
    "aten::ScalarImplicit": _same,
    "aten::Float": torch.sym_float,
    "aten::Bool": bool,
    "aten::ceil": math.ceil,
    "aten::floor": math.floor,
    "aten::slice": _sliced,
}
"""Where no tensor is among what they are given: TorchScript's own arithmetic."""
