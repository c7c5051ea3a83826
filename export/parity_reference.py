"""Who is right: the PyTorch network that was exported, else ONNX Runtime's fp32 on the CPU."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends import Budget, activate, default_backends
from vfx_edge.manifest import NetworkSpec

Floats = NDArray[np.float32]
Ask = Callable[[Floats], Floats]
"""Patches (n, channels, ...) -> probabilities (n, classes, ...)."""
AT_ONCE = 2  # patches, so that a network of 128³ stays within a few GB


def from_pytorch(checkpoint: Path, spec: NetworkSpec) -> Ask:
    """The network of a model.tar, an nnU-Net folder, a .pt2 or a TorchScript file, in fp32."""
    import torch

    module = _module(checkpoint, spec)

    def ask(patches: Floats) -> Floats:
        parts = []
        with torch.no_grad():
            for at in range(0, len(patches), AT_ONCE):
                batch = torch.from_numpy(np.ascontiguousarray(patches[at : at + AT_ONCE]))
                parts.append(module(batch).numpy())
        return activate(np.concatenate(parts), spec.output.activation)

    return ask


def _module(checkpoint: Path, spec: NetworkSpec) -> Callable[..., Any]:
    if checkpoint.is_dir():
        from export import nnunet

        return nnunet.reference(checkpoint, spec.parameters)
    if checkpoint.is_file() and zipfile.is_zipfile(checkpoint):
        with zipfile.ZipFile(checkpoint) as archive:
            names = archive.namelist()
        if any("/code/" in name or name.endswith("/models/model.json") for name in names):
            from export.programs import open_program

            return open_program(checkpoint).ask
    from export.tum import load

    return load(checkpoint)


def from_onnx(spec: NetworkSpec) -> Ask:
    """The set's own ONNX file in ONNX Runtime on the CPU, in fp32."""
    network = default_backends()["cpu"].open(spec, spec.read(), "fp32", Budget())
    return network.probabilities
