"""`python -m export repository`: a model set for a shared server, in the layout of Triton, which
OpenVINO Model Server reads, too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.errors import BackendError, UsageError

if TYPE_CHECKING:
    from vfx_edge.manifest import NetworkSpec

EXAMPLES = """\b
Examples:
  python -m export repository default -o /srv/models
  python -m export repository models/mine -o /srv/models --precision fp16 --instances 2
  python -m export repository default -o /srv/models --device cpu
"""
DEVICES = ("gpu", "cpu")
CONFIG, OVMS = "config.pbtxt", "ovms.json"
WORKSPACE_BYTES = 1 << 30
"""That TensorRT may take while it builds an engine."""
QUEUE_US = 500
"""A request waits so long for others to be computed with: less than any network takes."""


class ClientMissing(BackendError):
    """Without the client nothing knows how a server's configuration is written."""

    def __init__(self, why: str) -> None:
        super().__init__(f'no repository can be written ({why}): pip install "vfx-edge[kserve]"')


class NoHalfOnCpu(UsageError):
    """FP16 is computed by TensorRT, on a GPU."""

    def __init__(self) -> None:
        super().__init__("--precision fp16 needs --device gpu: on a CPU leave it fp32.")


class NotAllowed(UsageError):
    """The manifest does not allow the precision."""

    def __init__(self, network: str, precision: str) -> None:
        super().__init__(
            f"the manifest does not allow '{network}' to be computed in {precision}: see `python "
            "-m export parity` whether it keeps the answers, or leave --precision fp32."
        )


def command(
    model: Annotated[str, typer.Argument(help="Folder or name of a model set.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="The repository; may hold other models."),
    ],
    device: Annotated[
        str, typer.Option(metavar="gpu|cpu", help="What the server computes on.")
    ] = "gpu",
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32|fp16", help="fp16: by TensorRT, where each network's manifest allows it."
        ),
    ] = "fp32",
    instances: Annotated[
        int, typer.Option(min=1, max=64, help="Of each network, on each card or for the CPU.")
    ] = 1,
) -> None:
    """Write what a server loads: Triton, or OpenVINO Model Server by the ovms.json beside it.

    A folder a network, named by its name, precision and sha256, so that a workstation can tell
    whether the server holds what its manifest means. With warm-up, instances and TensorRT.
    """
    from vfx_edge.cli.parse import one_of

    device = one_of(device, DEVICES, "device")
    precision = one_of(precision, ("fp32", "fp16"), "precision")
    for name in write_repository(model, out, device, precision, instances):
        typer.echo(name)


def write_repository(
    model: str | Path, out: Path, device: str = "gpu", precision: str = "fp32", instances: int = 1
) -> list[str]:
    """Names of the models that were written. ModelError, OutputError, UsageError leaves."""
    from vfx_edge.backends.kserve_names import model_name
    from vfx_edge.files import write_bytes, write_text
    from vfx_edge.manifest import load_model_set

    if precision == "fp16" and device == "cpu":
        raise NoHalfOnCpu
    networks = load_model_set(model).networks
    for spec in networks:
        if precision not in spec.precision.allowed:
            raise NotAllowed(spec.name, precision)
    made = []
    for spec in networks:
        name = model_name(spec, precision)
        config = _config(spec, onnx := spec.read(), name, device, precision, instances)
        write_bytes(out / name / "1" / "model.onnx", onnx)
        write_text(out / name / CONFIG, config)  # last: where it is, all is
        made.append(name)
    write_text(out / OVMS, _for_openvino(out))
    return made


def _config(
    spec: "NetworkSpec", onnx: bytes, name: str, device: str, precision: str, instances: int
) -> str:
    """config.pbtxt. The client's own types refuse what Triton would not know."""
    from vfx_edge.backends.kserve_names import HASH
    from vfx_edge.backends.onnx_file import check_signature

    outline = check_signature(spec, onnx)
    free = all(tensor.shape[0] is None for tensor in (*outline.inputs, *outline.outputs))
    facts: dict[str, Any] = {
        "name": name,
        "backend": "onnxruntime",
        "max_batch_size": spec.batch.max if free else 0,
        "input": [_tensor(spec.input.name, spec.shape(spec.batch.min), outline.inputs, free)],
        "output": [
            _tensor(spec.output.name, spec.answer_shape(spec.batch.min), outline.outputs, free)
        ],
        "version_policy": {"latest": {"num_versions": 1}},
        "instance_group": [{"count": instances, "kind": f"KIND_{device.upper()}"}],
        "model_warmup": list(_warm_up(spec, free, device)),
        "parameters": {HASH: {"string_value": spec.sha256}},
    }
    if free and spec.batch.max > 1:
        facts["dynamic_batching"] = {"max_queue_delay_microseconds": QUEUE_US}
    if device == "gpu":
        accelerators = {"gpu_execution_accelerator": [_tensorrt(precision)]}
        facts["optimization"] = {"execution_accelerators": accelerators}
    return _as_text(facts)


def _as_text(facts: dict[str, Any]) -> str:
    try:
        from google.protobuf import json_format, text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise ClientMissing(str(error)) from error
    made = json_format.ParseDict(facts, model_config_pb2.ModelConfig())
    return str(text_format.MessageToString(made))


def _tensor(name: str, shape: tuple[int, ...], told: Any, free: bool) -> dict[str, Any]:
    """told: the file's own tensors, whose types are FP32 or FP16."""
    from vfx_edge.backends.onnx_file import FLOAT16

    half = next(tensor for tensor in told if tensor.name == name).element_type == FLOAT16
    dims = list(shape[1:] if free else shape)
    return {"name": name, "data_type": "TYPE_FP16" if half else "TYPE_FP32", "dims": dims}


def _tensorrt(precision: str) -> dict[str, Any]:
    """Engines are not kept: only the server's keeper knows where, and whoever may write there could
    plant one."""
    return {
        "name": "tensorrt",
        "parameters": {
            "precision_mode": precision.upper(),
            "max_workspace_size_bytes": str(WORKSPACE_BYTES),
        },
    }


def _warm_up(spec: "NetworkSpec", free: bool, device: str) -> Iterator[dict[str, Any]]:
    """The smallest batch, and for TensorRT the largest: engines are built for what lies between."""
    most = spec.batch.max if device == "gpu" else spec.batch.min
    sizes = sorted({spec.batch.min, most}) if free else [0]
    for size in sizes:
        shape = spec.shape(spec.batch.min)
        tensor = {"data_type": "TYPE_FP32", "dims": list(shape[1:] if free else shape)}
        given = {**tensor, "zero_data": True}
        sample = {"name": f"batch of {size or shape[0]}", "inputs": {spec.input.name: given}}
        yield {**sample, "batch_size": size} if free else sample


def _for_openvino(out: Path) -> str:
    """OpenVINO Model Server's list of all models that lie here. By itself it would compute in what
    the processor has, such as bf16: each is held to the precision that its name says."""
    names = sorted(path.parent.name for path in out.glob(f"*/{CONFIG}"))
    models = [{"config": _of_openvino(name)} for name in names]
    return json.dumps({"model_config_list": models}, indent=1) + "\n"


def _of_openvino(name: str) -> dict[str, Any]:
    hint = "f16" if name.split("-")[-2:-1] == ["fp16"] else "f32"
    return {"name": name, "base_path": name, "plugin_config": {"INFERENCE_PRECISION_HINT": hint}}
