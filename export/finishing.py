"""What every ONNX file goes through, whoever wrote it: notes off, FP16 form. No torch."""

from typing import TYPE_CHECKING

from vfx_edge.backends.errors import one_line
from vfx_edge.errors import ModelError

if TYPE_CHECKING:
    import onnx


class ExportFailed(ModelError):
    """The network can't be written as ONNX."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"'{name}' can't be written as ONNX ({one_line(why)}): "
            "use operations that torch.onnx exports, and one input and one output"
        )


class NoNumbers(ModelError):
    """The network answers NaN or infinity before anything was changed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the network of '{name}' answers NaN or infinities to plain noise: its weights are "
            "broken, take another checkpoint"
        )


def halved(model: bytes, name: str) -> bytes:
    """The FP16 form of an ONNX file's bytes; ExportFailed where there can be none."""
    from vfx_edge.backends.half import half_precision

    try:
        return half_precision(model)
    except ValueError as error:
        raise ExportFailed(name, str(error)) from error


def strip(model: "onnx.ModelProto") -> None:
    """Without the exporter's notes: they hold source lines and change from run to run."""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
