"""Reading the outside of an ONNX file: names, shapes, opset. No runtime, no onnx package.

Importing `onnx` costs half a second and each runtime reports other parts of it, so the few
protobuf fields that matter are read here: the check is the same for every backend.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.backends.errors import OnnxInvalid, not_onnx
from vfx_edge.manifest import NetworkSpec

FLOAT, FLOAT16 = 1, 10
OPSETS = range(9, 25)
"""What the runtimes read; a later one may mean by an operation something that they do not know."""
DEEPEST, TOO_DEEP = 8, "graphs are nested too deep"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Tensor:
    """A network's input or output; None stands for a free dimension."""

    name: str
    element_type: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxOutline:
    """What a file says of its network."""

    opset: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    external_data: bool


class _Malformed(ValueError):
    """The bytes are no protobuf message."""


def read_outline(data: bytes, path: Path) -> OnnxOutline:
    """The outline of an ONNX file's bytes; OnnxInvalid when they are none."""
    try:
        return _model(memoryview(data))
    except (_Malformed, IndexError, UnicodeDecodeError) as error:
        raise not_onnx(path, str(error) or "cut short") from error


def operations(data: bytes, path: Path) -> frozenset[str]:
    """Types of all nodes of an ONNX file's bytes, also of those inside nodes and functions of the
    file's own; OnnxInvalid when they are none."""
    try:
        view = memoryview(data)
        graphs, functions = _messages(view, 7), _messages(view, 25)
        nodes = [*(_messages(graph, 1) for graph in graphs), *(_messages(f, 7) for f in functions)]
        return frozenset(_text(node, 4) for each in nodes for node in _with_inner(each))
    except (_Malformed, IndexError, UnicodeDecodeError) as error:
        raise not_onnx(path, str(error) or "cut short") from error


def check_signature(spec: NetworkSpec, data: bytes) -> OnnxOutline:
    """Compare a network with its manifest; OnnxInvalid names the first difference."""
    outline = read_outline(data, spec.path)
    if outline.external_data:
        # Weights in a second file would escape the hash.
        raise misfit(spec, "weights lie in another file")
    if outline.opset not in OPSETS:
        known = f"{OPSETS[0]} to {OPSETS[-1]} are known"
        raise misfit(spec, f"it is written in opset {outline.opset}, {known}")
    given = _named(outline.inputs, spec.input.name, "input", spec)
    if len(outline.inputs) != 1:
        raise misfit(spec, f"{len(outline.inputs)} inputs, 1 is known")
    answer = _named(outline.outputs, spec.output.name, "output", spec)
    _check_shape(spec, given, spec.shape(1)[1:])
    _check_shape(spec, answer, spec.answer_shape(1)[1:])
    return outline


def misfit(spec: NetworkSpec, what: str) -> OnnxInvalid:
    """The error about a network that is not what its manifest says."""
    return OnnxInvalid(spec.path, f"does not fit its manifest ({what})")


def _named(tensors: tuple[Tensor, ...], name: str, kind: str, spec: NetworkSpec) -> Tensor:
    for tensor in tensors:
        if tensor.name == name:
            if tensor.element_type not in (FLOAT, FLOAT16):
                raise misfit(spec, f"{kind} '{name}' holds no floats")
            return tensor
    names = ", ".join(f"'{tensor.name}'" for tensor in tensors) or "none"
    raise misfit(spec, f"no {kind} '{name}', there is {names}")


def _check_shape(spec: NetworkSpec, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    """`wanted` are the dimensions after the batch; free ones fit anything."""
    batch, *rest = tensor.shape or (None,)
    name, sizes = tensor.name, spec.batch
    if batch is not None and not sizes.min == sizes.max == batch:
        what = f"'{name}' takes batches of {batch}, the manifest says {sizes.min} to {sizes.max}"
        raise misfit(spec, what)
    fits = len(rest) == len(wanted) and all(
        have is None or have == want for have, want in zip(rest, wanted, strict=True)
    )
    if tensor.shape and not fits:
        shown = "x".join("?" if have is None else str(have) for have in tensor.shape)
        want = "x".join(map(str, wanted))
        raise misfit(spec, f"'{name}' is {shown}, the manifest says ?x{want}")


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a protobuf message: ints, or bytes for anything longer."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        value: int | memoryview
        if wire == _VARINT:
            value, at = _varint(view, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, at = int.from_bytes(view[at : at + size], "little"), at + size
        elif wire == _BYTES:
            size, at = _varint(view, at)
            value, at = view[at : at + size], at + size
        else:
            raise _Malformed("not an ONNX message")
        if number == 0 or at > len(view):
            raise _Malformed("not an ONNX message or cut short")
        yield number, value


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = view[at]
        result |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise _Malformed("not an ONNX message")


def _messages(view: memoryview, *numbers: int) -> Iterator[memoryview]:
    for number, value in _fields(view):
        if number in numbers:
            if isinstance(value, int):
                raise _Malformed("not an ONNX message")
            yield value


def _integers(view: memoryview, number: int) -> list[int]:
    return [v for n, v in _fields(view) if n == number and isinstance(v, int)]


def _text(view: memoryview, number: int) -> str:
    return "".join(str(part, "utf-8") for part in _messages(view, number))


# Field numbers as in onnx.proto: ModelProto.graph 7, opset_import 8, functions 25; GraphProto.node
# 1, initializer 5, input 11, output 12, sparse_initializer 15; TensorProto.external_data 13,
# data_location 14; NodeProto.op_type 4, attribute 5; FunctionProto.node 7; AttributeProto.t 5, g 6,
# tensors 10, graphs 11.


def _model(view: memoryview) -> OnnxOutline:
    graphs = list(_messages(view, 7))
    opsets = [
        max(_integers(entry, 2), default=0)
        for entry in _messages(view, 8)
        if _text(entry, 1) in ("", "ai.onnx")
    ]
    if len(graphs) != 1 or not opsets:
        raise _Malformed("it has no graph or no opset")
    graph = graphs[0]
    constants = {_text(tensor, 8) for tensor in _messages(graph, 5)}
    inputs = tuple(_tensor(value) for value in _messages(graph, 11))
    return OnnxOutline(
        opset=opsets[0],
        # Before IR version 4 constants were listed among the inputs, too.
        inputs=tuple(tensor for tensor in inputs if tensor.name not in constants),
        outputs=tuple(_tensor(value) for value in _messages(graph, 12)),
        external_data=_external(graph),
    )


def _tensor(value_info: memoryview) -> Tensor:
    """ValueInfoProto: name 1, type 2 -> tensor_type 1 -> (elem_type 1, shape 2 -> dim 1)."""
    element, shape = 0, []
    for kind in _messages(value_info, 2):
        for tensor in _messages(kind, 1):
            element = max(_integers(tensor, 1), default=0)
            for dims in _messages(tensor, 2):
                shape = [max(_integers(dim, 1), default=0) or None for dim in _messages(dims, 1)]
    return Tensor(_text(value_info, 1), element, tuple(shape))


def _with_inner(nodes: Iterator[memoryview], depth: int = 0) -> Iterator[memoryview]:
    """The nodes, and those of the graphs inside them."""
    if depth > DEEPEST:
        raise _Malformed(TOO_DEEP)
    for node in nodes:
        yield node
        for attribute in _messages(node, 5):
            for inner in _messages(attribute, 6, 11):
                yield from _with_inner(_messages(inner, 1), depth + 1)


def _external(graph: memoryview, depth: int = 0) -> bool:
    """Whether any tensor of the graph, or of one inside a node, lies in another file."""
    if depth > DEEPEST:
        raise _Malformed(TOO_DEEP)
    tensors = list(_messages(graph, 5))
    for node in _messages(graph, 1):
        for attribute in _messages(node, 5):
            tensors += _messages(attribute, 5, 10)
            if any(_external(inner, depth + 1) for inner in _messages(attribute, 6, 11)):
                return True
    return any(any(n == 13 or (n == 14 and v) for n, v in _fields(tensor)) for tensor in tensors)
