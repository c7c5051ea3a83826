"""A network with its batch written into the file, so that no shape inside it is left open.

TensorRT through ONNX Runtime cuts a network where it can't take a node, and then wants to be told
the range of every open shape at each cut. With a batch that is fixed, all of them are known.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

_BY_WHAT_IT_SEES = {
    "Compress", "ConcatFromSequence", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan",
    "SequenceAt", "SequenceMap", "SplitToSequence", "Unique",
}  # fmt: skip
"""How large their answers are is known only once they have computed."""


class ShapesOpen(ValueError):
    """A fixed batch does not settle the shapes inside; the text names the node."""


def with_batch(onnx: bytes, count: int) -> bytes:
    """The same network for batches of `count` only; ONNX bytes to ONNX bytes.

    ShapesOpen: a node's answer is as large as what it is shown makes it.
    """
    from onnx import ModelProto

    model = ModelProto.FromString(onnx)
    if node := _open_node(model):
        raise ShapesOpen(node)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims and not dims[0].dim_value:
            dims[0].dim_value = count
    # They hold the open batch; the runtime infers what they are now.
    del model.graph.value_info[:]
    return bytes(model.SerializeToString(deterministic=True))


def _open_node(model: "ModelProto") -> str:
    """The first node, of the graph or of a function of the file's own, whose shapes stay open."""
    inside = (node for function in model.functions for node in function.node)
    for node in (*model.graph.node, *inside):
        if node.op_type in _BY_WHAT_IT_SEES:
            return (
                f"its node '{node.name or node.output[0]}' ({node.op_type}) answers with a shape "
                "that depends on what it is shown"
            )
    return ""
