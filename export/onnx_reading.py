"""A stranger's ONNX file as one plain network, weights inside, or a sentence why not.

Nothing here computes. What could harm is refused before a library follows it: weights in files
elsewhere, lengths beyond what a file may have, functions that would unfold without end.
"""

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    checker,
    helper,
    inliner,
    shape_inference,
    version_converter,
)  # fmt: skip

from vfx_edge.backends.errors import one_line
from vfx_edge.backends.half import QUANTISED, nodes_of
from vfx_edge.backends.onnx_file import OPSETS, read_outline
from vfx_edge.errors import ModelError
from vfx_edge.manifest.files import MAX_ONNX_BYTES

OLDEST = 7
"""The first opset that ONNX Runtime runs, so that an upgrade can be compared with what was."""
MAX_NODES = 100_000
ZIP = b"PK\x03\x04"
_STANDARD = ("", "ai.onnx")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32)  # the last: sums, biases


class NotOnnx(ModelError):
    """The file is no ONNX network that can be used."""

    def __init__(self, path: Path, why: object, remedy: str = "export it again") -> None:
        super().__init__(f"{path} can't be used ({one_line(why)}): {remedy}")


def read_network(path: Path) -> ModelProto:
    """The file's network: functions unfolded, weights inside, checked by onnx; else NotOnnx.

    It computes what the file's own does, in the file's own opset.
    """
    model = _parsed(path)
    _check_operations(model, path)
    _inline_weights(model, path)
    if model.functions:
        model = _unfolded(model, path)
    constants = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]  # before IR version 4 constants were listed there, too
    model.graph.input.extend(given)
    model.ir_version = oldest_format(model)  # a newer one than the runtimes' says nothing more
    if not all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        model = _inferred(model, path)  # runtimes do without; onnx's checker doesn't
    _check(model, path)
    return model


def upgraded(model: ModelProto, path: Path) -> ModelProto:
    """In an opset that every runtime reads; NotOnnx where there is no way."""
    if opset_of(model) >= OPSETS[0]:
        return model
    try:
        return version_converter.convert_version(model, OPSETS[0])
    except (RuntimeError, ValueError) as error:
        raise NotOnnx(path, f"opset {opset_of(model)} can't be upgraded: {error}") from error


def kind_name(kind: int) -> str:
    """What onnx calls a kind of numbers."""
    known = kind in TensorProto.DataType.values()
    return TensorProto.DataType.Name(kind) if known else f"the unknown kind {kind}"


def oldest_format(model: ModelProto) -> int:
    """The IR version that its opset needs, and that takes constants which are no inputs."""
    opset = helper.make_opsetid("", opset_of(model))
    return max(4, helper.find_min_ir_version_for([opset]))


def opset_of(model: ModelProto) -> int:
    """Of ONNX's own operations."""
    return max((o.version for o in model.opset_import if o.domain in _STANDARD), default=0)


def _parsed(path: Path) -> ModelProto:
    try:
        if not path.is_file():
            raise NotOnnx(path, "it is no file", "name the .onnx file itself")
        if (size := path.stat().st_size) > MAX_ONNX_BYTES:
            raise NotOnnx(path, f"it is {size / 2**30:.1f} GiB long, and 2 are the most")
        data = path.read_bytes()
    except OSError as error:
        raise NotOnnx(path, error.strerror or error, "let it be read") from error
    if data.startswith(ZIP):
        why = "it is a zip, as PyTorch and MONAI write them"
        raise NotOnnx(path, why, "give it to python -m export network, monai or nnunet")
    read_outline(data, path)  # also refuses graphs that are nested too deep
    try:
        model: ModelProto = ModelProto.FromString(data)
    except Exception as error:  # protobuf's own, which onnx has no name for
        raise NotOnnx(path, "it is damaged, or no ONNX") from error
    opset = opset_of(model)
    if not OLDEST <= opset <= OPSETS[-1]:
        known = f"{OLDEST} to {OPSETS[-1]} are known"
        raise NotOnnx(path, f"it is written in opset {opset}, {known}", "export it with opset 18")
    return model


def _check_operations(model: ModelProto, path: Path) -> None:
    """NotOnnx when an operation is another library's own, or holds other than 8-bit integers."""
    functions = {(function.domain, function.name) for function in model.functions}
    for node in _all_nodes(model):
        if node.domain not in _STANDARD and (node.domain, node.op_type) not in functions:
            why = f"its operation {node.op_type} is one of '{node.domain}', not of ONNX"
            remedy = "save it with ONNX's own operations only, quantised ones as QDQ"
            raise NotOnnx(path, why, remedy)
    if model.graph.sparse_initializer:
        raise NotOnnx(path, "it holds sparse weights", "store them in full")
    quantised = [node for node in _all_nodes(model) if node.op_type in QUANTISED]
    read = {name for node in quantised for name in node.input}
    for tensor in model.graph.initializer:
        if tensor.name in read and tensor.data_type not in (*_FLOATS, *_EIGHT_BITS):
            why = f"it is quantised to {kind_name(tensor.data_type)}"
            raise NotOnnx(path, why, "quantise it to INT8 or UINT8")


def _all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    yield from nodes_of(model.graph.node)
    for function in model.functions:
        yield from nodes_of(function.node)


# --- weights in other files ---------------------------------------------------------------------


def _inline_weights(model: ModelProto, path: Path) -> None:
    """Put weights of files beside it inside; NotOnnx when a name leads elsewhere."""
    outside = [t for t in _tensors(model) if t.data_location == TensorProto.EXTERNAL]
    total = model.ByteSize()
    for tensor in outside:
        _check_place(tensor, path)
        total += prod(tensor.dims) * _item_bytes(tensor, path)
        if total > MAX_ONNX_BYTES:
            raise NotOnnx(path, "its weights are longer than 2 GiB")
    for tensor in outside:
        try:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        except (OSError, ValueError, RuntimeError, checker.ValidationError) as error:
            raise NotOnnx(path, f"its weights can't be read: {error}") from error


def _check_place(tensor: TensorProto, path: Path) -> None:
    facts = {str(entry.key): str(entry.value) for entry in tensor.external_data}
    name = facts.get("location", "")
    plain = PurePosixPath(name).name == PureWindowsPath(name).name == name
    if not plain or name in ("", ".", ".."):
        why = f"its weights lie in '{name}', which is not beside it"
        raise NotOnnx(path, why, "put the file with the weights beside it, and export it again")
    size = _size_of(path.parent / name)
    if size is None:
        why = f"its weights lie in '{name[:80]}', and there is no such file beside it"
        raise NotOnnx(path, why, "put that file there, no link")
    wanted = prod(tensor.dims) * _item_bytes(tensor, path)
    offset = _number(facts.get("offset", "0"))
    length = _number(facts.get("length", str(size - offset)))  # without one: up to the end
    if offset < 0 or min(tensor.dims, default=0) < 0 or length != wanted or offset + length > size:
        raise NotOnnx(path, f"the weights of '{tensor.name}' are not whole in '{name}'")
    del tensor.external_data[:]  # what was looked at is what is read
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _size_of(file: Path) -> int | None:
    """Bytes; None where there is no file of that name, or a link."""
    try:
        return file.stat().st_size if file.is_file() and not file.is_symlink() else None
    except OSError:  # no name for a file, such as one too long
        return None


def _number(text: str) -> int:
    """-1 for what is none."""
    return int(text) if text.isdecimal() and len(text) < 20 else -1


def _item_bytes(tensor: TensorProto, path: Path) -> int:
    try:
        return helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError) as error:
        raise NotOnnx(path, f"'{tensor.name}' holds no numbers") from error


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in _all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer


# --- functions ----------------------------------------------------------------------------------


def _unfolded(model: ModelProto, path: Path) -> ModelProto:
    """Without functions of its own, which not every runtime knows."""
    sizes: dict[tuple[str, str], int] = {}
    bodies = {(f.domain, f.name): f.node for f in model.functions}

    def size(nodes: Iterable[NodeProto], open_ones: tuple[tuple[str, str], ...]) -> int:
        """Of what the nodes become."""
        total = 0
        for node in nodes_of(nodes):
            key = (node.domain, node.op_type)
            if key in open_ones:
                raise NotOnnx(path, f"its function {node.op_type} calls itself")
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key], (*open_ones, key))
            total += sizes.get(key, 1)
        return total

    try:
        count = size(model.graph.node, ())
    except RecursionError as error:
        raise NotOnnx(path, "its functions are nested too deep") from error
    if count > MAX_NODES:
        raise NotOnnx(path, f"its functions unfold to more than {MAX_NODES} operations")
    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise NotOnnx(path, f"its functions can't be unfolded: {error}") from error


def _inferred(model: ModelProto, path: Path) -> ModelProto:
    """With the shapes of its outputs, as far as they follow from the rest."""
    try:
        return shape_inference.infer_shapes(model)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise NotOnnx(path, error) from error


def _check(model: ModelProto, path: Path) -> None:
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise NotOnnx(path, error) from error
    except (RuntimeError, ValueError, MemoryError) as error:
        raise NotOnnx(path, f"onnx can't check it: {error}") from error
