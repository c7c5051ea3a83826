"""Who is right: the network that was exported, in PyTorch or ONNX, else the set's own file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from export.zips import is_script, names_in
from vfx_edge.backends import Budget, class_probabilities, default_backends
from vfx_edge.backends.errors import one_line
from vfx_edge.bench.networks import Ask, Floats
from vfx_edge.errors import ModelError, first_line
from vfx_edge.manifest import JointParameters, NetworkSpec, PrecisionSpec

if TYPE_CHECKING:
    import torch

AT_ONCE = 2  # patches, so that a network of 128³ stays within a few GB


def from_original(checkpoint: Path, spec: NetworkSpec) -> Ask:
    """The network of a model.tar, an nnU-Net's folder or zip, a MONAI bundle's folder, a .pt2 or
    TorchScript file in PyTorch, or of an ONNX file in ONNX Runtime on the CPU; in fp32."""
    if is_onnx(checkpoint):
        return _from_other_onnx(checkpoint, spec)
    import torch

    module = _module(checkpoint, spec)

    def ask(patches: Floats) -> Floats:
        parts = []
        with torch.no_grad():
            for at in range(0, len(patches), AT_ONCE):
                batch = torch.from_numpy(np.ascontiguousarray(patches[at : at + AT_ONCE]))
                parts.append(_answer(module, batch, checkpoint, spec))
        return class_probabilities(np.concatenate(parts), spec)

    return ask


class AnotherNetwork(ModelError):
    """The checkpoint answers as the set's network never could."""

    def __init__(self, checkpoint: Path, spec: NetworkSpec, why: str) -> None:
        super().__init__(
            f"{checkpoint} is not what '{spec.name}' was exported from ({why}): give the file or "
            "folder that the set was made of"
        )


def _answer(
    module: Callable[..., Any], batch: "torch.Tensor", checkpoint: Path, spec: NetworkSpec
) -> Floats:
    import torch

    try:
        answer = module(batch)
    except (RuntimeError, ValueError, TypeError, torch.jit.Error) as error:
        raise AnotherNetwork(checkpoint, spec, one_line(error)) from error
    wanted = (len(batch), len(spec.output.classes))
    if tuple(answer.shape[:2]) != wanted or answer.ndim not in (2, 5):
        shape = "x".join(map(str, answer.shape))
        raise AnotherNetwork(checkpoint, spec, f"it answers {shape}")
    return np.asarray(answer.numpy())


def _module(checkpoint: Path, spec: NetworkSpec) -> Callable[..., Any]:
    origin = spec.parameters_of(JointParameters) if spec.window is not None else None
    if origin and origin.configuration:  # perhaps in a zip
        from export import nnunet

        return nnunet.reference(checkpoint, origin)
    if checkpoint.is_dir():
        from export.monai_bundle import read_bundle
        from export.programs import open_program

        return open_program(checkpoint, read_bundle(checkpoint).script).ask
    names = names_in(checkpoint)
    if is_script(names) or any(name.endswith("/models/model.json") for name in names):
        from export.programs import open_program

        return open_program(checkpoint).ask
    if spec.slices is not None:
        from export import resnet

        return resnet.load(checkpoint)
    from export.tum import load

    return load(checkpoint)


def named(checkpoint: Path | None, specs: Sequence[NetworkSpec]) -> str:
    """Who is right, in words for the table."""
    if checkpoint is not None:
        who = "ONNX Runtime on the CPU" if is_onnx(checkpoint) else "PyTorch"
        return f"{who} in fp32 ({checkpoint.name})"
    words = "ONNX Runtime on the CPU in fp32, not from PyTorch: no --checkpoint was given"
    if any(spec.precision.stored == "int8" for spec in specs):
        words += "; what quantising to INT8 changed is not seen without the float network's file"
    return words


def is_onnx(checkpoint: Path | None) -> bool:
    return checkpoint is not None and checkpoint.suffix.lower() == ".onnx"


def _from_other_onnx(file: Path, spec: NetworkSpec) -> Ask:
    """Such as the float network that a quantised one was made of: fed as the manifest says."""
    from export.by_manifest import Misfit
    from export.onnx_fitting import fitted
    from export.onnx_reading import read_network
    from vfx_edge.backends.half import stored_in

    model = read_network(file)
    stored = PrecisionSpec(stored=stored_in(model))
    own = structs.replace(spec, precision=stored)
    for end, values in (("input", model.graph.input), ("output", model.graph.output)):
        if len(values) == 1:  # whatever it is called there
            called = structs.replace(getattr(spec, end), name=values[0].name)
            own = structs.replace(own, **{end: called})
    try:
        onnx = fitted(model, own, file).onnx
    except Misfit as error:
        raise AnotherNetwork(file, spec, first_line(error)) from error
    return default_backends()["cpu"].open(own, onnx, "fp32", Budget()).probabilities


def from_onnx(spec: NetworkSpec) -> Ask:
    """The set's own ONNX file in ONNX Runtime on the CPU, in fp32."""
    network = default_backends()["cpu"].open(spec, spec.read(), "fp32", Budget())
    return network.probabilities
